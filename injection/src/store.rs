//! Sessions in Redis: the hash `session:{sid}`, the sets `sessions:active` and `sessions:{injectionId}`, and the events
//! (docs/contract.md, *Sessions* and *Channels*).
//!
//! A session is decided upon outside and written only if no other was written meanwhile (WATCH): two injections that are
//! asked at once do not allot the same SSRC.

use std::collections::BTreeMap;

use node::commands::Commands;
use node::config::RedisConfig;
use node::contract::field::session as field;
use node::contract::{ENDED_TTL, channel, key};
use node::event::Event;
use node::media::Ssrc;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult};

use crate::session::{Session, Taken};

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
        let ids = ids(&mut connection, &key::sessions(&self.node_id)).await.map_err(said)?;
        let mut sessions = Vec::new();
        for id in ids {
            let fields = hash(&mut connection, &id).await.map_err(said)?;
            let of_others = fields.get(field::INJECTION_NODE_ID).is_some_and(|node| *node != self.node_id);
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
        let key = key::session(&session.id);
        let ended = Session { updated: now, ..session.clone() };
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset_multiple(&key, &ended.fields(&self.node_id, &self.tree_id, false)).ignore();
        pipe.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
        for set in self.sets() {
            pipe.srem(set, &session.id).ignore();
        }
        self.publish(&mut pipe, &self.destroyed(&session.id));
        pipe.query_async::<()>(&mut connection).await.map_err(said)
    }

    /// What a session's video is encoded with, now that a publisher has brought it: egresses cannot tell from RTP.
    pub async fn encoded_with(&self, id: &str, codec: &str) -> Result<(), String> {
        let mut connection = self.commands.connection().await?;
        let key = key::session(id);
        let known: Option<String> = redis::cmd("HGET")
            .arg(&key)
            .arg(field::VIDEO_CODEC)
            .query_async(&mut connection)
            .await
            .map_err(said)?;
        if known.as_deref() == Some(codec) {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset(&key, field::VIDEO_CODEC, codec).ignore();
        self.publish(&mut pipe, &self.created(id));
        pipe.query_async::<()>(&mut connection).await.map_err(said)
    }

    /// Writes again what of our sessions is no longer there: the server lost its data. Gives which.
    pub async fn mend(&self, sessions: &[Session]) -> Result<Vec<String>, String> {
        let mut connection = self.commands.connection().await?;
        let mut missing = Vec::new();
        for session in sessions {
            let mut pipe = redis::pipe();
            pipe.atomic();
            pipe.hget(key::session(&session.id), field::ACTIVE);
            pipe.hget(key::session(&session.id), field::VIDEO_CODEC);
            for set in self.sets() {
                pipe.sismember(set, &session.id);
            }
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
        let key = key::session(&session.id);
        // Whatever a session of this name left behind goes, its time to live with it.
        pipe.del(&key).ignore();
        pipe.hset_multiple(&key, &session.fields(&self.node_id, &self.tree_id, true)).ignore();
        for set in self.sets() {
            pipe.sadd(set, &session.id).ignore();
        }
        self.publish(pipe, &self.created(&session.id));
    }

    /// Where the names of active sessions are: all, and this node's.
    fn sets(&self) -> [String; 2] {
        [key::ACTIVE_SESSIONS.to_owned(), key::sessions(&self.node_id)]
    }

    fn created(&self, id: &str) -> Event {
        Event::SessionCreated { session_id: id.to_owned(), tree_id: self.tree_id.clone() }
    }

    fn destroyed(&self, id: &str) -> Event {
        Event::SessionDestroyed { session_id: id.to_owned(), tree_id: self.tree_id.clone() }
    }

    fn publish(&self, pipe: &mut Pipeline, event: &Event) {
        for channel in [channel::tree_sessions(&self.tree_id), channel::node_sessions(&self.node_id)] {
            pipe.publish(channel, event.message()).ignore();
        }
    }

    async fn taken(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Taken>> {
        redis::cmd("WATCH").arg(key::ACTIVE_SESSIONS).query_async::<()>(connection).await?;
        let mut taken = Vec::new();
        for id in ids(connection, key::ACTIVE_SESSIONS).await? {
            let fields = hash(connection, &id).await?;
            if fields.is_empty() || !is_active(&fields) {
                continue;
            }
            let ssrc = |name: &str| fields.get(name)?.trim().parse::<Ssrc>().ok();
            taken.push(Taken {
                same_tree: fields
                    .get(field::TREE_ID)
                    .is_none_or(|tree| tree.is_empty() || *tree == self.tree_id),
                room: fields.get(field::ROOM_ID).and_then(|room| room.trim().parse().ok()),
                ssrcs: [field::AUDIO_SSRC, field::VIDEO_SSRC].into_iter().filter_map(ssrc).collect(),
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
    redis::cmd("HGETALL").arg(key::session(id)).query_async(connection).await
}

fn is_active(fields: &BTreeMap<String, String>) -> bool {
    !matches!(fields.get(field::ACTIVE).map(|active| active.trim()), Some("false" | "0"))
}

fn said(error: redis::RedisError) -> String {
    format!("Redis: {error}")
}
