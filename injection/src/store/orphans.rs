//! Sessions whose injection is gone for good, or that Redis has and no injection: they can be ended by any injection of the
//! tree, and go by themselves when nobody has renewed them for a day.

use std::collections::{BTreeMap, BTreeSet};

use node::contract::field::session as field;
use node::contract::{ENDED_TTL, key};
use node::media::{PerKind, Ssrc};
use node::sweep::Sweep;

use super::{Hash, Sessions, is_active};
use crate::session::Session;

/// How many of all trees' sessions a look for leftovers takes.
const SWEPT_AT_ONCE: usize = 100;

/// A session as Redis has it, and who is to have it.
#[derive(Clone, Debug)]
pub struct Owned {
    /// The session, as far as it can be read.
    pub session: Session,
    /// Its injection.
    pub injection: String,
    /// That is registered.
    pub is_alive: bool,
}

impl Sessions {
    /// An active session of this tree, whoever has it.
    pub async fn owned(&self, id: &str) -> Result<Option<Owned>, String> {
        let fields: Hash = self.one(redis::cmd("HGETALL").arg(key::session(id))).await?;
        let text = |name: &str| fields.get(name).map(|value| value.trim()).unwrap_or_default();
        let elsewhere = !text(field::TREE_ID).is_empty() && text(field::TREE_ID) != self.tree_id;
        if fields.is_empty() || elsewhere || !is_active(&fields) {
            return Ok(None);
        }
        let injection = text(field::INJECTION_NODE_ID).to_owned();
        let is_alive: bool = self.one(redis::cmd("EXISTS").arg(key::node(&injection))).await?;
        let session = Session::of(id, &fields).unwrap_or_else(|_| bare(id));
        Ok(Some(Owned { session, injection, is_alive }))
    }

    /// Ends a session for an injection that does not.
    pub async fn end_for(&self, owned: &Owned, now: u64) -> Result<(), String> {
        let id = &owned.session.id;
        let key = key::session(id);
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.hset_multiple(&key, &[(field::ACTIVE, "false"), (field::UPDATED_AT, &now.to_string())]).ignore();
        pipe.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
        pipe.srem(key::sessions(&owned.injection), id).ignore();
        pipe.srem(key::ACTIVE_SESSIONS, id).ignore();
        pipe.srem(key::INDEXED_SESSIONS, id).ignore();
        pipe.add_command(self.tell("over", &owned.session, now)).ignore();
        self.commands.run::<()>(&pipe).await?;
        self.doubtful().remove(id);
        Ok(())
    }

    /// Ends what Redis may have of a session of this name that came to nothing: then the name is free.
    pub async fn settle(&self, id: &str, now: u64) -> Result<(), String> {
        if self.doubtful().contains_key(id) { self.settle_doubts(&[], now).await } else { Ok(()) }
    }

    /// Of these sessions of others, those whose injection is not registered, with its name.
    pub async fn orphans(&self, ids: &[String]) -> Result<BTreeMap<String, String>, String> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGET").arg(key::session(id)).arg(field::INJECTION_NODE_ID);
        }
        let injections: Vec<Option<String>> = self.commands.run(&pipe).await?;
        let distinct: BTreeSet<&String> = injections.iter().flatten().collect();
        let mut pipe = redis::pipe();
        for injection in &distinct {
            pipe.cmd("EXISTS").arg(key::node(injection));
        }
        let alive: Vec<bool> =
            if distinct.is_empty() { Vec::new() } else { self.commands.run(&pipe).await? };
        let gone: BTreeSet<&String> = distinct
            .into_iter()
            .zip(alive)
            .filter(|(_, alive)| !alive)
            .map(|(injection, _)| injection)
            .collect();
        let of_gone = ids.iter().zip(&injections).filter_map(|(id, injection)| {
            let injection = injection.as_ref().filter(|injection| gone.contains(injection))?;
            Some((id.clone(), injection.clone()))
        });
        Ok(of_gone.collect())
    }

    /// Takes sessions out whose hash has expired: their injection has not renewed it for a day. Gives which.
    pub async fn sweep(
        &self,
        sweep: &mut Sweep,
        ours: &BTreeSet<String>,
        now: u64,
    ) -> Result<Vec<String>, String> {
        let members = self.some(key::ACTIVE_SESSIONS, sweep).await?;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for id in &members {
            pipe.cmd("EXISTS").arg(key::session(id));
        }
        let known: Vec<bool> = self.commands.run(&pipe).await?;
        let gone = sweep.gone(members.into_iter().zip(known).filter(|(id, _)| !ours.contains(id)));
        for id in &gone {
            let in_index: bool =
                self.one(redis::cmd("SISMEMBER").arg(key::session_index(&self.tree_id)).arg(id)).await?;
            let mut pipe = redis::pipe();
            pipe.atomic();
            pipe.srem(key::ACTIVE_SESSIONS, id).ignore();
            pipe.srem(key::INDEXED_SESSIONS, id).ignore();
            if in_index {
                pipe.add_command(self.tell("over", &bare(id), now)).ignore();
            }
            self.commands.run::<()>(&pipe).await?;
        }
        Ok(gone)
    }

    /// Takes sessions out of the tree's index, with what they claim, that are active no more: in a Cluster the sets are on several
    /// servers, and whoever ended them was gone before all knew. Gives which.
    pub async fn sweep_index(
        &self,
        sweep: &mut Sweep,
        ours: &BTreeSet<String>,
        now: u64,
    ) -> Result<Vec<String>, String> {
        let mut members = self.some(&key::session_index(&self.tree_id), sweep).await?;
        members.retain(|id| !ours.contains(id));
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let (mut listed, mut active) = (redis::pipe(), redis::pipe());
        for id in &members {
            listed.sismember(key::ACTIVE_SESSIONS, id);
            active.hget(key::session(id), field::ACTIVE);
        }
        let listed: Vec<bool> = self.commands.run(&listed).await?;
        // A set that a server has lost is written again; what every server has says that it is over.
        let active: Vec<Option<String>> = self.commands.run(&active).await?;
        let is_there = listed.into_iter().zip(active).map(|(listed, active)| {
            listed || active.is_some_and(|active| !matches!(active.trim(), "false" | "0"))
        });
        let gone = sweep.gone(members.into_iter().zip(is_there));
        for id in &gone {
            self.one::<()>(&self.tell("over", &bare(id), now)).await?;
        }
        Ok(gone)
    }

    /// The next members of a set.
    async fn some(&self, set: &str, sweep: &mut Sweep) -> Result<Vec<String>, String> {
        let mut scan = redis::cmd("SSCAN");
        scan.arg(set).arg(&sweep.cursor).arg("COUNT").arg(SWEPT_AT_ONCE);
        let (cursor, members): (String, Vec<String>) = self.one(&scan).await?;
        sweep.cursor = cursor;
        Ok(members)
    }
}

/// A session of which nothing is known but its name.
fn bare(id: &str) -> Session {
    Session {
        id: id.to_owned(),
        room: 0,
        ssrcs: PerKind::from_fn(|_| Ssrc(0)),
        recipients: Vec::new(),
        codec: None,
        created: 0,
        updated: 0,
    }
}
