//! From events and looks to changes.
//!
//! An event that says everything names the change before it: while none is missing, they are taken as they come, and nothing
//! is read. A look reads names first. Only if the tree's number is another than the last event's (after a start, a lost connection, lost
//! data, a missed event) are the tree's index and its sessions read as a whole; otherwise only what no injection has put
//! into an index: sessions written by hand or by an older injection, which say no more than that something is different.
//!
//! Like children (see [`crate::topology`]), sessions that vanish together with our own registration were lost, not ended,
//! and are *held* for a grace, in which the injections write them again. A session whose hash is there and is not among the
//! active ones was ended by somebody, and goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hash::Read;
use super::{News, Session, SessionChange, SessionHash};

/// How long an event that is missing in the row is waited for, before everything is read instead.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// Most that is kept of what cannot be used yet.
const MOST_WAITING: usize = 1000;

/// The names of all trees' sessions, and how far the tree is, read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The number of the tree's last change; 0 when no injection has ever counted.
    pub version: u64,
    /// `sessions:active`.
    pub active: BTreeSet<String>,
    /// Those of them that are in the index of their tree.
    pub indexed: BTreeSet<String>,
}

/// A look at Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Read first.
    pub names: Names,
    /// The tree's index, when everything is read.
    pub index: Option<BTreeSet<String>>,
    /// The hashes of those that [`Sessions::wanted`] named.
    pub hashes: BTreeMap<String, SessionHash>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    session: Session,
    /// Its injection keeps it in the index, and tells in events what becomes of it.
    indexed: bool,
}

/// Follows the sessions of one tree.
#[derive(Clone, Debug)]
pub struct Sessions {
    tree_id: String,
    grace: Duration,
    /// What the node was told.
    known: BTreeMap<String, Known>,
    /// It was told anything yet.
    began: bool,
    /// Everything up to this change is known. `None`: everything has to be read.
    version: Option<u64>,
    /// Events that cannot be taken yet, because one before them is missing.
    ahead: BTreeMap<u64, News>,
    /// Since when something is known to be missing.
    behind: Option<Duration>,
    /// Events that said only a name.
    named: BTreeSet<String>,
    /// Those of them that the look under way answers.
    asked: BTreeSet<String>,
    /// Active ones that are of no use, and why: as it was said last.
    odd: BTreeMap<String, String>,
    /// What may have vanished because the server lost its data, and until when it is held.
    held: BTreeMap<String, Duration>,
}

impl Sessions {
    /// Nothing known yet. `grace`: how long sessions that were lost are held.
    pub fn new(tree_id: &str, grace: Duration) -> Sessions {
        Sessions {
            tree_id: tree_id.to_owned(),
            grace,
            known: BTreeMap::new(),
            began: false,
            version: None,
            ahead: BTreeMap::new(),
            behind: None,
            named: BTreeSet::new(),
            asked: BTreeSet::new(),
            odd: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// When the next look is needed even if nothing happens: the end of a grace, or of the patience with an event.
    pub fn due(&self) -> Option<Duration> {
        let missing = self.behind.map(|since| since + PATIENCE);
        self.held.values().copied().chain(missing).min()
    }

    /// The next look must not wait for an event that may be under way.
    pub fn hurry(&mut self) {
        self.behind = Some(Duration::ZERO);
    }

    /// Something is held.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The server has lost its data: what vanishes from now on, as far as it was there, was in it. True when something is
    /// held that was not.
    pub fn lost(&mut self, now: Duration) -> bool {
        let before = self.held.len();
        for id in self.known.keys() {
            self.held.entry(id.clone()).or_insert(now + self.grace);
        }
        self.held.len() > before
    }

    /// An event that says everything. Gives what follows from it, and from those that waited for it.
    pub fn hear(&mut self, news: News, now: Duration) -> Vec<SessionChange> {
        let Some(version) = self.version else { return Vec::new() };
        if news.version > version {
            self.ahead.insert(news.version, news);
        }
        if self.ahead.len() > MOST_WAITING {
            self.ahead.clear();
            self.version = None;
        }
        self.catch_up(now)
    }

    /// An event that says only a name: its hash has to be read.
    pub fn hear_of(&mut self, id: String) {
        if self.named.len() < MOST_WAITING {
            self.named.insert(id);
        } else {
            self.version = None;
        }
    }

    /// Whether the index has to be read as well, now that the names are.
    pub fn wants_index(&mut self, names: &Names, now: Duration) -> bool {
        match self.version {
            Some(version) if version == names.version && self.ahead.is_empty() => {
                self.behind = None;
                false
            }
            // As a rule its event is under way.
            Some(version)
                if version <= names.version && self.behind.is_none_or(|since| now < since + PATIENCE) =>
            {
                self.behind.get_or_insert(now);
                false
            }
            _ => true,
        }
    }

    /// Whose hashes have to be read.
    pub fn wanted(&mut self, names: &Names, index: Option<&BTreeSet<String>>) -> Vec<String> {
        self.asked.append(&mut self.named);
        let mut wanted: BTreeSet<&String> = names.active.difference(&names.indexed).collect();
        wanted.extend(self.asked.intersection(&names.active));
        wanted.extend(self.held.keys());
        if let Some(index) = index {
            wanted.extend(index.intersection(&names.active));
            wanted.extend(self.known.keys().filter(|id| names.active.contains(*id)));
        }
        wanted.into_iter().cloned().collect()
    }

    /// From a look to what is different, if anything is or nothing was told yet, and those that are of no use, each with why,
    /// unless that was said already.
    pub fn observe(
        &mut self,
        look: Look,
        now: Duration,
    ) -> (Option<Vec<SessionChange>>, Vec<(String, String)>) {
        let Look { names, index, hashes } = look;
        let (mut changes, mut odd) = (Vec::new(), Vec::new());
        self.asked.clear();

        let over: BTreeSet<String> =
            self.held.iter().filter(|(_, until)| **until <= now).map(|(id, _)| id.clone()).collect();
        let hash_of = |id: &String| hashes.get(id).filter(|hash| hash.is_there());
        self.held.retain(|id, until| now < *until && !names.active.contains(id) && hash_of(id).is_none());
        let ended = |(id, known): (&String, &Known)| {
            if names.active.contains(id) || self.held.contains_key(id) {
                return None;
            }
            // Whoever types SREM leaves it in the other set. What is in neither is being ended this very moment, and is so
            // when the index says it; or one server of a Cluster has lost it, and its injection writes it again.
            let pending = known.indexed
                && !names.indexed.contains(id)
                && index.as_ref().is_none_or(|index| index.contains(id))
                && hash_of(id).is_none()
                && !over.contains(id);
            (!pending).then(|| id.clone())
        };
        let ended: Vec<String> = self.known.iter().filter_map(ended).collect();
        for id in ended {
            changes.extend(self.take(SessionChange::Ended(id), false));
        }
        self.odd.retain(|id, _| names.active.contains(id));
        for (id, hash) in hashes.into_iter().filter(|(id, _)| names.active.contains(id)) {
            let read = hash.read(&id, &self.tree_id);
            // An injection lists a session before it writes it.
            let why = if let Read::Odd(why) = &read { Some(why).filter(|_| hash.is_there()) } else { None };
            match why {
                None => drop(self.odd.remove(&id)),
                Some(why) if self.odd.get(&id) == Some(why) => {}
                Some(why) => {
                    self.odd.insert(id.clone(), why.clone());
                    odd.push((id.clone(), why.clone()));
                }
            }
            let change = match read {
                Read::Ours(session) => SessionChange::Is(session),
                Read::Elsewhere | Read::Ended | Read::Odd(_) => SessionChange::Ended(id.clone()),
            };
            changes.extend(self.take(change, names.indexed.contains(&id)));
        }
        if index.is_some() {
            self.version = Some(names.version);
            self.behind = None;
            self.ahead.retain(|version, _| *version > names.version);
            changes.extend(self.catch_up(now));
        }
        let news = !std::mem::replace(&mut self.began, true) || !changes.is_empty();
        (news.then_some(changes), odd)
    }

    /// Takes events for as long as none is missing.
    fn catch_up(&mut self, now: Duration) -> Vec<SessionChange> {
        let mut changes = Vec::new();
        while let Some(version) = self.version
            && let Some(entry) = self.ahead.first_entry()
            && entry.get().after == version
        {
            let News { version, change, .. } = entry.remove();
            self.version = Some(version);
            self.behind = None;
            // It is said by somebody who has written it: nothing is lost any more.
            self.held.remove(change.id());
            changes.extend(self.take(change, true));
        }
        if self.version.is_none() || !self.ahead.is_empty() {
            self.behind.get_or_insert(now);
        }
        changes
    }

    /// Notes a change; gives it if it is one.
    fn take(&mut self, change: SessionChange, indexed: bool) -> Option<SessionChange> {
        let different = match &change {
            SessionChange::Is(session) => {
                let known = Known { session: session.clone(), indexed };
                self.known.insert(session.id.clone(), known).is_none_or(|before| before.session != *session)
            }
            SessionChange::Ended(id) => self.known.remove(id).is_some(),
        };
        different.then_some(change)
    }
}

#[cfg(test)]
mod tests;
