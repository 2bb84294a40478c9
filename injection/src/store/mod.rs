//! Sessions in Redis: the hash `session:{sid}`, the sets that it is in, what it has claimed, and the events
//! (docs/contract.md, *Sessions*, *Keys* and *Channels*).
//!
//! A session is decided upon outside. Redis lets it have its name, SSRCs and room (`script::CLAIM`, `script::LIST`) or says
//! who has them: two injections that are asked at once do not allot the same. Then it is written, and told of last: whoever
//! reads it then finds all of it. Each step costs the same however many sessions there are.

mod mend;
pub mod orphans;
mod script;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use node::commands::Commands;
use node::config::RedisConfig;
use node::contract::field::session as field;
use node::contract::{ENDED_TTL, key};
use node::event::{Event, Payload};
use node::media::Ssrc;
use node::sessions::tell::{Told, tell};
use redis::{Cmd, FromRedisValue, Pipeline};

use crate::session::{Session, Taken};

/// Most hashes that one check looks into; the next one goes on from there.
const CHECKED_AT_ONCE: usize = 100;

/// Sessions as Redis has them. Whoever calls lets nobody else call meanwhile.
pub struct Sessions {
    commands: Commands,
    node_id: String,
    tree_id: String,
    /// Written, or not: Redis has not said. They are none of ours, and are ended when it answers again.
    doubtful: Mutex<BTreeMap<String, Session>>,
    /// Whose hash is looked into next.
    next: Mutex<String>,
}

/// The fields of a hash.
type Hash = BTreeMap<String, String>;

impl Sessions {
    /// Nothing is connected yet.
    pub fn new(redis: RedisConfig, node_id: &str, tree_id: &str) -> Sessions {
        Sessions {
            commands: Commands::new(redis),
            node_id: node_id.to_owned(),
            tree_id: tree_id.to_owned(),
            doubtful: Mutex::default(),
            next: Mutex::default(),
        }
    }

    /// The active sessions of this node, and those that cannot be read, with why.
    pub async fn load(&self) -> Result<Vec<(String, Result<Session, String>)>, String> {
        let ids: Vec<String> = self.one(redis::cmd("SMEMBERS").arg(key::sessions(&self.node_id))).await?;
        let mut sessions = Vec::new();
        for some in ids.chunks(CHECKED_AT_ONCE) {
            let mut pipe = redis::pipe();
            for id in some {
                pipe.hgetall(key::session(id));
            }
            let hashes: Vec<Hash> = self.commands.run(&pipe).await?;
            for (id, fields) in some.iter().zip(hashes) {
                let of_others =
                    fields.get(field::INJECTION_NODE_ID).is_some_and(|node| *node != self.node_id);
                if !fields.is_empty() && !of_others && is_active(&fields) {
                    sessions.push((id.clone(), Session::of(id, &fields)));
                }
            }
        }
        Ok(sessions)
    }

    /// The session of this name, of whatever tree, if there is one.
    pub async fn see(&self, id: &str) -> Result<Option<Taken>, String> {
        let mut pipe = redis::pipe();
        pipe.sismember(key::ACTIVE_SESSIONS, id).hgetall(key::session(id));
        let (listed, fields): (bool, Hash) = self.commands.run(&pipe).await?;
        Ok(if listed { self.taken(id, &fields) } else { None })
    }

    /// What the session of this hash has, if it is one and is active.
    fn taken(&self, id: &str, fields: &Hash) -> Option<Taken> {
        if fields.is_empty() || !is_active(fields) {
            return None;
        }
        let text = |name: &str| fields.get(name).map(|value| value.trim());
        let ssrc = |name: &str| text(name)?.parse::<Ssrc>().ok();
        Some(Taken {
            id: id.to_owned(),
            same_tree: text(field::TREE_ID).is_none_or(|tree| tree.is_empty() || tree == self.tree_id),
            room: text(field::ROOM_ID).and_then(|room| room.parse().ok()),
            ssrcs: [field::AUDIO_SSRC, field::VIDEO_SSRC].into_iter().filter_map(ssrc).collect(),
        })
    }

    /// Writes a new session, unless another has its name or one of its numbers: that one is given.
    pub async fn add(&self, session: &Session, now: u64) -> Result<Option<Taken>, String> {
        let added = self.try_to_add(session, now).await;
        if added.is_err() {
            self.doubtful().insert(session.id.clone(), session.clone());
        } else {
            self.doubtful().remove(&session.id);
        }
        added
    }

    async fn try_to_add(&self, session: &Session, now: u64) -> Result<Option<Taken>, String> {
        if let Some(other) = self.claim(session, now).await? {
            return Ok(Some(other));
        }
        let answer: Vec<String> = self.one(&self.list(&session.id)).await?;
        let (listed, unindexed) = answer.split_first().ok_or("no answer to a script")?;
        if listed == "0"
            && let Some(other) = self.see(&session.id).await?
        {
            self.one::<()>(&self.tell(Told::Over, session, now)).await?;
            return Ok(Some(other));
        }
        if let Some(other) = self.rival(session, unindexed).await? {
            let mut pipe = redis::pipe();
            pipe.atomic();
            if listed == "1" {
                pipe.srem(key::ACTIVE_SESSIONS, &session.id).ignore();
                pipe.srem(key::INDEXED_SESSIONS, &session.id).ignore();
            }
            pipe.add_command(self.tell(Told::Over, session, now)).ignore();
            self.commands.run::<()>(&pipe).await?;
            return Ok(Some(other));
        }
        let mut pipe = redis::pipe();
        self.write(&mut pipe, session, now);
        self.commands.run::<()>(&pipe).await?;
        Ok(None)
    }

    /// Who has one of the session's numbers, of sessions that have claimed nothing.
    async fn rival(&self, session: &Session, unindexed: &[String]) -> Result<Option<Taken>, String> {
        for some in unindexed.chunks(CHECKED_AT_ONCE) {
            let mut pipe = redis::pipe();
            for id in some {
                pipe.hgetall(key::session(id));
            }
            let hashes: Vec<Hash> = self.commands.run(&pipe).await?;
            let others = some.iter().zip(&hashes).filter_map(|(id, fields)| self.taken(id, fields));
            let rival = others.filter(|other| other.same_tree && other.id != session.id).find(|other| {
                let ssrcs = session.ssrcs.into_array();
                other.room == Some(session.room) || ssrcs.iter().any(|ssrc| other.ssrcs.contains(ssrc))
            });
            if rival.is_some() {
                return Ok(rival);
            }
        }
        Ok(None)
    }

    /// A session is over.
    pub async fn end(&self, session: &Session, now: u64) -> Result<(), String> {
        let key = key::session(&session.id);
        let ended = Session { updated: now, ..session.clone() };
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset_multiple(&key, &ended.fields(&self.node_id, &self.tree_id, false)).ignore();
        pipe.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
        pipe.srem(key::sessions(&self.node_id), &session.id).ignore();
        // Neighbours: what the server tells of the one says that the other is no surprise (node::sessions::ledger).
        pipe.srem(key::ACTIVE_SESSIONS, &session.id).ignore();
        pipe.srem(key::INDEXED_SESSIONS, &session.id).ignore();
        pipe.add_command(self.tell(Told::Over, session, now)).ignore();
        self.commands.run(&pipe).await
    }

    /// What a session's video is encoded with is known now, by a publisher who brought it: egresses cannot tell from RTP.
    pub async fn encoded(&self, session: &Session, now: u64) -> Result<(), String> {
        let (key, name) = (key::session(&session.id), field::VIDEO_CODEC);
        let Some(codec) = &session.codec else { return Ok(()) };
        let known: Option<String> = self.one(redis::cmd("HGET").arg(&key).arg(name)).await?;
        if known.as_ref() == Some(codec) {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset(&key, name, codec).ignore();
        pipe.add_command(self.tell(Told::Is, session, now)).ignore();
        self.commands.run(&pipe).await
    }

    /// Has Redis let it have what it needs; gives who has it instead.
    async fn claim(&self, session: &Session, now: u64) -> Result<Option<Taken>, String> {
        let [audio, video] = session.ssrcs.into_array();
        let claims = [format!("ssrc:{audio}"), format!("ssrc:{video}"), format!("room:{}", session.room)];
        let mut claim = redis::cmd("EVAL");
        claim.arg(script::CLAIM).arg(2);
        claim.arg(key::session_claims(&self.tree_id)).arg(key::session_index(&self.tree_id));
        claim.arg(&session.id).arg(now).arg(&self.node_id).arg(&claims);
        let refused: Vec<String> = self.one(&claim).await?;
        let [what, by] = refused.as_slice() else { return Ok(None) };
        let number = |kind: &str| what.strip_prefix(kind).and_then(|number| number.parse::<u64>().ok());
        let ssrc = number("ssrc:").and_then(|ssrc| u32::try_from(ssrc).ok());
        Ok(Some(Taken {
            id: by.clone(),
            same_tree: true,
            room: number("room:"),
            ssrcs: ssrc.map(Ssrc).into_iter().collect(),
        }))
    }

    fn list(&self, id: &str) -> Cmd {
        let mut list = redis::cmd("EVAL");
        list.arg(script::LIST).arg(2).arg(key::ACTIVE_SESSIONS).arg(key::INDEXED_SESSIONS).arg(id);
        list
    }

    /// All keys of a session, and last of all that it is told of.
    fn write(&self, pipe: &mut Pipeline, session: &Session, now: u64) {
        pipe.atomic();
        let key = key::session(&session.id);
        // Whatever a session of this name left behind goes, its time to live with it.
        pipe.del(&key).ignore();
        pipe.hset_multiple(&key, &session.fields(&self.node_id, &self.tree_id, true)).ignore();
        // Should this node be killed for good, it is gone by itself some time; while it lives, it renews it.
        pipe.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
        // What a sweeper had in mind with it is off (node::sweep).
        let (own, doomed) = (key::sessions(&self.node_id), key::doomed(&session.id));
        pipe.hdel(key::sweeper(&own), &doomed).ignore();
        pipe.sadd(own, &session.id).ignore();
        pipe.hdel(key::sweeper(key::ACTIVE_SESSIONS), doomed).ignore();
        pipe.sadd(key::ACTIVE_SESSIONS, &session.id).ignore();
        pipe.sadd(key::INDEXED_SESSIONS, &session.id).ignore();
        pipe.add_command(self.tell(Told::Is, session, now)).ignore();
    }

    fn tell(&self, told: Told, session: &Session, now: u64) -> Cmd {
        let event = match told {
            Told::Is => Event::session_created(&self.tree_id, &session.id, payload(session)),
            _ => Event::session_destroyed(&self.tree_id, &session.id),
        };
        tell(&self.tree_id, &self.node_id, &session.id, &told, &event, now)
    }

    async fn one<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, String> {
        let mut pipe = redis::pipe();
        pipe.add_command(command.clone());
        let (answer,): (T,) = self.commands.run(&pipe).await?;
        Ok(answer)
    }

    fn doubtful(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Session>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn payload(session: &Session) -> Payload {
    Payload {
        audio_ssrc: session.ssrcs.audio,
        video_ssrc: session.ssrcs.video,
        room_id: session.room,
        video_codec: session.codec.clone(),
    }
}

fn is_active(fields: &Hash) -> bool {
    !matches!(fields.get(field::ACTIVE).map(|active| active.trim()), Some("false" | "0"))
}
