//! What Redis has lost of our sessions is written again, and what it may have of those that came to nothing is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use node::contract::field::session as field;
use node::contract::{ENDED_TTL, key};

use super::{CHECKED_AT_ONCE, Hash, Sessions};
use crate::session::Session;

impl Sessions {
    /// Writes again what of our sessions is no longer there: the server lost its data, or somebody took them out. Gives
    /// which. The sets are read each time, of the hashes a hundred, in turn. What Redis has of sessions that came to nothing
    /// is ended.
    pub async fn mend(&self, sessions: &[Session], now: u64) -> Result<Vec<String>, String> {
        self.settle_doubts(sessions, now).await?;
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        let sets = [
            key::sessions(&self.node_id),
            key::ACTIVE_SESSIONS.to_owned(),
            key::INDEXED_SESSIONS.to_owned(),
            key::session_index(&self.tree_id),
        ];
        for set in sets {
            pipe.smembers(set);
        }
        let sets: Vec<BTreeSet<String>> = self.commands.run(&pipe).await?;
        let is_listed = |session: &Session| sets.iter().all(|set| set.contains(&session.id));
        let unlisted = sessions.iter().filter(|session| !is_listed(session));
        let mut missing: BTreeMap<&str, &Session> =
            unlisted.map(|session| (session.id.as_str(), session)).collect();

        let mut checked = self.in_turn(sessions);
        checked.extend(missing.values());
        let mut pipe = redis::pipe();
        for session in &checked {
            let fields = [field::ACTIVE, field::VIDEO_CODEC, field::INJECTION_NODE_ID];
            pipe.cmd("HMGET").arg(key::session(&session.id)).arg(&fields);
            pipe.cmd("EXPIRE").arg(key::session(&session.id)).arg(ENDED_TTL.as_secs()).ignore();
        }
        let rows: Vec<(Option<String>, Option<String>, Option<String>)> = self.commands.run(&pipe).await?;
        // What keeps one from being written again is none of the others' business.
        let mut refused = Vec::new();
        for (session, (active, codec, injection)) in checked.into_iter().zip(rows) {
            let is_active = active.as_deref() == Some("true");
            if is_active && injection.as_ref().is_some_and(|injection| *injection != self.node_id) {
                missing.remove(session.id.as_str());
                refused.push(format!(
                    "session {} is another injection's in Redis ({}); destroy it there or here",
                    session.id,
                    injection.unwrap_or_default()
                ));
                continue;
            }
            if !is_active || (session.codec.is_some() && session.codec != codec) {
                missing.insert(&session.id, session);
            }
        }
        for session in missing.values() {
            if let Some(other) = self.claim(session, now).await? {
                refused.push(format!(
                    "session {} is not written again: {} has its SSRC or room",
                    session.id, other.id
                ));
                continue;
            }
            let mut pipe = redis::pipe();
            self.write(&mut pipe, session, now);
            self.commands.run::<()>(&pipe).await?;
        }
        if !refused.is_empty() {
            return Err(refused.join("; "));
        }
        Ok(missing.into_keys().map(str::to_owned).collect())
    }

    /// Ends what Redis may have and we have not.
    pub(super) async fn settle_doubts(&self, sessions: &[Session], now: u64) -> Result<(), String> {
        let doubtful = self.doubtful().clone();
        for session in doubtful.into_values() {
            if sessions.iter().all(|ours| ours.id != session.id) {
                let fields: Hash = self.one(redis::cmd("HGETALL").arg(key::session(&session.id))).await?;
                // Somebody else's of that name is theirs.
                let is_this = Session::of(&session.id, &fields)
                    .is_ok_and(|there| (there.room, there.ssrcs) == (session.room, session.ssrcs));
                if is_this {
                    self.end(&session, now).await?;
                }
            }
            self.doubtful().remove(&session.id);
        }
        Ok(())
    }

    /// The next of the sessions whose hash is looked into.
    fn in_turn<'a>(&self, sessions: &'a [Session]) -> Vec<&'a Session> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let start = sessions.partition_point(|session| session.id < *next);
        let part: Vec<&Session> = sessions.iter().skip(start).take(CHECKED_AT_ONCE).collect();
        *next = sessions.get(start + part.len()).map(|session| session.id.clone()).unwrap_or_default();
        part
    }
}
