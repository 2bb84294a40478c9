//! A step of a sweep, carried out at Redis.

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult};

use super::script;
use super::work::{Answer, Leftover, Place, Step};
use crate::contract::field::{mountpoint, session};
use crate::contract::{ENDED_TTL, key};
use crate::event::Event;
use crate::sessions::tell::{Told, tell};

/// On what terms a tree is swept.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The tree.
    pub tree: String,
    /// The number that came with the lease.
    pub fence: u64,
    /// What was renewed within so many ms is wanted.
    pub lately: u64,
}

impl Terms {
    /// What a doomed thing is marked with.
    fn doom(&self) -> String {
        format!("{} {}", self.tree, self.fence)
    }

    /// A key whose slot is the place's.
    fn key_of(&self, place: Place, leftover: &Leftover) -> String {
        match place {
            Place::Own => leftover.own_set(),
            Place::Sessions => key::ACTIVE_SESSIONS.to_owned(),
            Place::Tree => self.tree.clone(),
            Place::Mountpoints => key::ACTIVE_MOUNTPOINTS.to_owned(),
            Place::Directory => key::directory(&self.tree),
        }
    }
}

impl Leftover {
    /// The set that its node has of such; it has none of what is nobody's.
    fn own_set(&self) -> String {
        match self {
            Leftover::Session { injection, .. } => key::sessions(injection),
            Leftover::Mountpoint { egress, .. } | Leftover::BareMountpoint { egress, .. } => {
                key::mountpoints(egress)
            }
            Leftover::Ghost { .. } | Leftover::BareSession { .. } | Leftover::Entry { .. } => String::new(),
        }
    }

    /// What it is called there.
    fn name_at(&self, place: Place) -> String {
        match self {
            Leftover::Mountpoint { session, .. } | Leftover::BareMountpoint { session, .. }
                if place == Place::Own =>
            {
                session.clone()
            }
            _ => self.name(),
        }
    }

    /// What it is called where all such are.
    pub(super) fn name(&self) -> String {
        match self {
            Leftover::Session { id, .. } | Leftover::Ghost { id } | Leftover::BareSession { id } => {
                id.clone()
            }
            Leftover::Mountpoint { egress, session } | Leftover::BareMountpoint { egress, session } => {
                key::active_mountpoint(egress, session)
            }
            Leftover::Entry { node } => node.clone(),
        }
    }
}

/// Carries out one step. `now`: ms since 1970.
pub async fn carry<C: ConnectionLike + Send>(
    commands: &mut C,
    terms: &Terms,
    leftover: &Leftover,
    step: Step,
    now: u64,
) -> RedisResult<Answer> {
    let wanted = |wanted: bool| if wanted { Answer::Wanted } else { Answer::Done };
    match step {
        Step::Doom(place) => {
            let mut doom = eval(script::DOOM, &[key::sweeper(&terms.key_of(place, leftover))]);
            doom.arg(&terms.tree).arg(terms.fence).arg(leftover.name_at(place));
            let met: u64 = doom.query_async(commands).await?;
            Ok(if met == 0 { Answer::Done } else { Answer::Fenced(met) })
        }
        Step::Look => Ok(wanted(is_wanted(commands, leftover).await?)),
        Step::End => {
            let (key, field, whose) = match leftover {
                Leftover::Session { id, injection } => {
                    (key::session(id), session::INJECTION_NODE_ID, injection)
                }
                Leftover::Mountpoint { egress, session } => {
                    (key::mountpoint(egress, session), mountpoint::EGRESS_NODE_ID, egress)
                }
                _ => return Ok(Answer::Done),
            };
            let mut end = eval(script::END, &[key]);
            end.arg(field).arg(whose).arg(ENDED_TTL.as_millis() as u64).arg(terms.lately).arg(now);
            let came_to: String = end.query_async(commands).await?;
            Ok(match came_to.as_str() {
                "done" => Answer::Done,
                "others" => Answer::Others,
                _ => Answer::Wanted,
            })
        }
        Step::Strike(place) => {
            let key = terms.key_of(place, leftover);
            let guard = key::sweeper(&key);
            let (keys, command) = match place {
                Place::Sessions => (vec![guard, key, key::INDEXED_SESSIONS.to_owned()], "SREM"),
                Place::Directory => (vec![guard, key], "HDEL"),
                Place::Mountpoints | Place::Own => (vec![guard, key], "SREM"),
                // Told instead.
                Place::Tree => return Ok(Answer::Done),
            };
            let mut strike = eval(script::STRIKE, &keys);
            strike.arg(&terms.tree).arg(terms.fence).arg(leftover.name_at(place)).arg(command);
            Ok(wanted(!strike.query_async::<bool>(commands).await?))
        }
        Step::Tell => {
            let (id, injection) = match leftover {
                Leftover::Session { id, injection } => (id, injection.as_str()),
                Leftover::Ghost { id } | Leftover::BareSession { id } => (id, ""),
                _ => return Ok(Answer::Done),
            };
            let event = Event::session_destroyed(&terms.tree, id);
            let telling = tell(&terms.tree, injection, id, &Told::Swept(terms.doom()), &event, now);
            let version: Option<u64> = telling.query_async(commands).await?;
            Ok(wanted(version.is_none()))
        }
    }
}

/// Whether its node is there, or its hash.
async fn is_wanted<C: ConnectionLike + Send>(commands: &mut C, leftover: &Leftover) -> RedisResult<bool> {
    let key = match leftover {
        Leftover::Session { injection: node, .. }
        | Leftover::Mountpoint { egress: node, .. }
        | Leftover::Entry { node } => key::node(node),
        Leftover::BareSession { id } => key::session(id),
        Leftover::BareMountpoint { egress, session } => key::mountpoint(egress, session),
        Leftover::Ghost { id } => return is_active(commands, id).await,
    };
    redis::cmd("EXISTS").arg(key).query_async(commands).await
}

/// A session is among the active ones, or its hash says that it is.
pub async fn is_active<C: ConnectionLike + Send>(commands: &mut C, id: &str) -> RedisResult<bool> {
    let mut listed = redis::cmd("SISMEMBER");
    if listed.arg(key::ACTIVE_SESSIONS).arg(id).query_async(commands).await? {
        return Ok(true);
    }
    let active: Option<String> =
        redis::cmd("HGET").arg(key::session(id)).arg(session::ACTIVE).query_async(commands).await?;
    Ok(active.is_some_and(|active| !matches!(active.trim(), "false" | "0")))
}

/// A script with its keys.
pub(super) fn eval(script: &str, keys: &[String]) -> Cmd {
    let mut eval = redis::cmd("EVAL");
    eval.arg(script).arg(keys.len()).arg(keys);
    eval
}
