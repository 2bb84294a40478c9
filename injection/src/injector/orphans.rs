//! Sessions of injections that are gone: shown, and ended by whoever may.

use std::collections::{BTreeMap, BTreeSet};

use super::{Injector, InjectorError, lock, now_ms};
use crate::session::Session;
use crate::store::Sessions;

/// How many sessions of others a look takes.
const LOOKED_AT_ONCE: usize = 100;

/// What is known of sessions without an injection.
#[derive(Default)]
pub(super) struct Orphans {
    /// By session, the injection that is gone.
    known: BTreeMap<String, String>,
    /// Where the next look goes on.
    next: String,
}

impl Injector {
    /// Ends a session that is in Redis and not here: of an injection that is gone, or of this one, by a creation that nobody
    /// heard the end of. `None`: there is no such session.
    pub(super) async fn destroy_orphan(&self, id: &str) -> Result<Option<Session>, InjectorError> {
        let Some(store) = &self.store else { return Ok(None) };
        let Some(owned) = store.owned(id).await.map_err(InjectorError::Redis)? else { return Ok(None) };
        if owned.is_alive && owned.injection != self.config.node_id {
            return Err(InjectorError::OfAnother { id: id.to_owned(), injection: owned.injection });
        }
        store.end_for(&owned, now_ms()).await.map_err(InjectorError::Redis)?;
        lock(&self.orphans).known.remove(id);
        self.state().neighbours.remove(id);
        tracing::info!("session {id} of {} destroyed", owned.injection);
        Ok(Some(owned.session))
    }

    /// Sessions whose injection is gone, each with its name.
    pub(super) fn orphans(&self) -> BTreeMap<String, String> {
        lock(&self.orphans).known.clone()
    }

    /// Looks for some of them.
    pub(super) async fn look_for_orphans(&self, store: &Sessions) -> Result<(), String> {
        let others: Vec<String> = {
            let state = self.state();
            let next = lock(&self.orphans).next.clone();
            let others = state.neighbours.range(next..).map(|(id, _)| id);
            let others = others.filter(|id| !state.sessions.contains_key(*id));
            others.take(LOOKED_AT_ONCE).cloned().collect()
        };
        let found = store.orphans(&others).await?;
        let mut orphans = lock(&self.orphans);
        // From the beginning once the end was reached.
        orphans.next = match others.last().filter(|_| others.len() == LOOKED_AT_ONCE) {
            Some(last) => format!("{last}\0"),
            None => String::new(),
        };
        for id in &others {
            match found.get(id) {
                Some(injection) => {
                    if orphans.known.insert(id.clone(), injection.clone()).is_none() {
                        tracing::warn!("{}", sentence(id, injection));
                    }
                }
                None => drop(orphans.known.remove(id)),
            }
        }
        drop(orphans);
        let neighbours: BTreeSet<String> = self.state().neighbours.keys().cloned().collect();
        lock(&self.orphans).known.retain(|id, _| neighbours.contains(id));
        Ok(())
    }
}

/// What people should know of it.
pub(super) fn sentence(id: &str, injection: &str) -> String {
    format!(
        "session {id}: its injection {injection} is gone; it goes on when that is back, ends by DELETE /session/{id} here, or \
         by itself when that has been gone for --sweep-after"
    )
}
