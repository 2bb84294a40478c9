//! Sessions in Redis: the hash `session:{sid}`, the sets `sessions:active` and `sessions:{injectionId}`, and the events.
//!
//! A session is decided upon outside and written only if no other was written meanwhile (WATCH): two injections that are
//! asked at once do not allot the same SSRC.

use std::collections::BTreeMap;

use node::commands::Commands;
use node::config::RedisConfig;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult};

use crate::session::{Session, Taken};

/// How long an ended session is remembered: a day.
const ENDED: u64 = 86_400;

/// Sessions as Redis has them. Whoever calls lets nobody else call meanwhile.
pub struct Sessions {
    commands: Commands,
    node_id: String,
    tree_id: String,
}

/// What was seen, to be written to only if it is still so.
pub struct Seen {
    connection: MultiplexedConnection,
    /// What others have.
    pub taken: Vec<Taken>,
}

impl Sessions {
    /// Nothing is connected yet.
    pub fn new(redis: RedisConfig, node_id: &str, tree_id: &str) -> Sessions {
        Sessions { commands: Commands::new(redis), node_id: node_id.to_owned(), tree_id: tree_id.to_owned() }
    }

    /// The active sessions of this node, and those that cannot be read, with why.
    pub async fn load(&self) -> Result<Vec<(String, Result<Session, String>)>, String> {
        let mut connection = self.commands.connection().await?;
        let ids = ids(&mut connection, &format!("sessions:{}", self.node_id)).await.map_err(said)?;
        let mut sessions = Vec::new();
        for id in ids {
            let fields = hash(&mut connection, &id).await.map_err(said)?;
            let of_others = fields.get("injectionNodeId").is_some_and(|node| *node != self.node_id);
            if fields.is_empty() || of_others || !is_active(&fields) {
                continue;
            }
            let session = Session::of(&id, &fields);
            sessions.push((id, session));
        }
        Ok(sessions)
    }

    /// What all sessions have.
    pub async fn see(&self) -> Result<Seen, String> {
        let mut connection = self.commands.connection().await?;
        let taken = self.taken(&mut connection).await.map_err(said)?;
        Ok(Seen { connection, taken })
    }

    /// Writes a new session. False: another was written since [`see`](Self::see).
    pub async fn add(&self, mut seen: Seen, session: &Session) -> Result<bool, String> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        self.write(&mut pipe, session);
        let written: Option<()> = pipe.query_async(&mut seen.connection).await.map_err(said)?;
        Ok(written.is_some())
    }

    /// Forgets what was seen.
    pub async fn leave(&self, mut seen: Seen) {
        let _ = redis::cmd("UNWATCH").query_async::<()>(&mut seen.connection).await;
    }

    /// A session is over.
    pub async fn end(&self, session: &Session, now: u64) -> Result<(), String> {
        let mut connection = self.commands.connection().await?;
        let key = format!("session:{}", session.id);
        let ended = Session { updated: now, ..session.clone() };
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset_multiple(&key, &ended.fields(&self.node_id, &self.tree_id, false)).ignore();
        pipe.expire(&key, ENDED as i64).ignore();
        for set in ["sessions:active".to_owned(), format!("sessions:{}", self.node_id)] {
            pipe.srem(set, &session.id).ignore();
        }
        self.publish(&mut pipe, "session-destroyed", &session.id);
        pipe.query_async::<()>(&mut connection).await.map_err(said)
    }

    /// What a session's video is encoded with, now that a publisher has brought it: egresses cannot tell from RTP.
    pub async fn encoded_with(&self, id: &str, codec: &str) -> Result<(), String> {
        let mut connection = self.commands.connection().await?;
        let key = format!("session:{id}");
        let known: Option<String> = redis::cmd("HGET")
            .arg(&key)
            .arg("videoCodec")
            .query_async(&mut connection)
            .await
            .map_err(said)?;
        if known.as_deref() == Some(codec) {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset(&key, "videoCodec", codec).ignore();
        self.publish(&mut pipe, "session-created", id);
        pipe.query_async::<()>(&mut connection).await.map_err(said)
    }

    /// Writes again what of our sessions is no longer there: the server lost its data. Gives which.
    pub async fn mend(&self, sessions: &[Session]) -> Result<Vec<String>, String> {
        let mut connection = self.commands.connection().await?;
        let mut missing = Vec::new();
        for session in sessions {
            let mut pipe = redis::pipe();
            pipe.atomic();
            pipe.hget(format!("session:{}", session.id), "active");
            pipe.hget(format!("session:{}", session.id), "videoCodec");
            pipe.sismember("sessions:active", &session.id);
            pipe.sismember(format!("sessions:{}", self.node_id), &session.id);
            let (active, codec, in_all, in_ours): (Option<String>, Option<String>, bool, bool) =
                pipe.query_async(&mut connection).await.map_err(said)?;
            let same_codec = session.codec.is_none() || session.codec == codec;
            if active.as_deref() == Some("true") && same_codec && in_all && in_ours {
                continue;
            }
            let mut pipe = redis::pipe();
            pipe.atomic();
            self.write(&mut pipe, session);
            pipe.query_async::<()>(&mut connection).await.map_err(said)?;
            missing.push(session.id.clone());
        }
        Ok(missing)
    }

    fn write(&self, pipe: &mut Pipeline, session: &Session) {
        let key = format!("session:{}", session.id);
        // Whatever a session of this name left behind goes, its time to live with it.
        pipe.del(&key).ignore();
        pipe.hset_multiple(&key, &session.fields(&self.node_id, &self.tree_id, true)).ignore();
        for set in ["sessions:active".to_owned(), format!("sessions:{}", self.node_id)] {
            pipe.sadd(set, &session.id).ignore();
        }
        self.publish(pipe, "session-created", &session.id);
    }

    fn publish(&self, pipe: &mut Pipeline, kind: &str, id: &str) {
        let event = serde_json::json!({ "type": kind, "sessionId": id, "treeId": self.tree_id }).to_string();
        for channel in [format!("sessions:tree:{}", self.tree_id), format!("sessions:node:{}", self.node_id)]
        {
            pipe.publish(channel, &event).ignore();
        }
    }

    async fn taken(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Taken>> {
        redis::cmd("WATCH").arg("sessions:active").query_async::<()>(connection).await?;
        let mut taken = Vec::new();
        for id in ids(connection, "sessions:active").await? {
            let fields = hash(connection, &id).await?;
            if fields.is_empty() || !is_active(&fields) {
                continue;
            }
            let ssrc = |name: &str| fields.get(name)?.trim().parse::<u32>().ok();
            taken.push(Taken {
                same_tree: fields.get("treeId").is_none_or(|tree| tree.is_empty() || *tree == self.tree_id),
                room: fields.get("roomId").and_then(|room| room.trim().parse().ok()),
                ssrcs: ["audioSsrc", "videoSsrc"].into_iter().filter_map(ssrc).collect(),
                id,
            });
        }
        Ok(taken)
    }
}

async fn ids(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<Vec<String>> {
    redis::cmd("SMEMBERS").arg(key).query_async(connection).await
}

async fn hash(connection: &mut MultiplexedConnection, id: &str) -> RedisResult<BTreeMap<String, String>> {
    redis::cmd("HGETALL").arg(format!("session:{id}")).query_async(connection).await
}

fn is_active(fields: &BTreeMap<String, String>) -> bool {
    !matches!(fields.get("active").map(|active| active.trim()), Some("false" | "0"))
}

fn said(error: redis::RedisError) -> String {
    format!("Redis: {error}")
}
