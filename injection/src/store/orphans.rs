//! Sessions whose injection is gone, or that Redis has and no injection: they can be ended by any injection of the tree. In
//! time they go by themselves (`node::sweep`).

use std::collections::{BTreeMap, BTreeSet};

use node::contract::field::session as field;
use node::contract::{ENDED_TTL, key};
use node::media::{PerKind, Ssrc};
use node::sessions::tell::Told;

use super::{Hash, Sessions, is_active};
use crate::session::Session;

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
        pipe.add_command(self.tell(Told::Over, &owned.session, now)).ignore();
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
