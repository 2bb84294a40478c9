//! What Redis says about a node, and what follows from it. Pure: a snapshot, what the node has, and the time in;
//! changes out.
//!
//! The keys are the truth, and how a snapshot came about (event, poll, reconnect) makes no difference. Three things are
//! decided here that a plain comparison of sets would get wrong:
//! - A child whose `node:` hash is not there yet is *waited for*; one whose hash has expired since is *kept* and called
//!   stale, because media beats bookkeeping. One that is taken out of the set goes at once, whatever became of its hash.
//! - A server that lost its data (FLUSHALL, fail-over to an empty replica) has lost our own registration with it. What
//!   vanished together with that is *held* for a grace before it is obeyed. Whatever vanishes while our registration is
//!   there was taken out by somebody, and goes at once.
//! - A node is never its own child, nor its parent's parent, nor a standby parent's: media would go round in a loop.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::is_name;
use crate::record::{Origin, Place};

/// A child of which nothing has been known for so long may have been forgotten in the set.
pub const UNKNOWN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Most standby parents of a node. One is what there is a use for; while it is replaced there are two.
pub const MOST_STANDBY: usize = 3;

/// All that Redis says that concerns one node, read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `parent:{id}`.
    pub parent: Option<String>,
    /// What the parent's `node:` hash says.
    pub origin: Heard,
    /// `parents:{id}`, each with what its `node:` hash says.
    pub standby: BTreeMap<String, Heard>,
    /// `children:{id}`, each with what its `node:` hash says.
    pub children: BTreeMap<String, Registered>,
    /// `node:{id}` is there: the server has what we wrote.
    pub registered: bool,
}

/// What is known of where a child is.
pub type Registered = Result<Option<Place>, String>;

/// What is known of where a parent's media comes from.
pub type Heard = Option<Result<Origin, String>>;

/// Where media is to come from, as far as Redis has ever said. Media beats bookkeeping: what was known of a parent is kept
/// when its registration expires, and when no parent is named any more, until another one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// The parent that was named last.
    pub parent: Option<String>,
    /// Its registration, as it was seen last.
    pub origin: Option<Origin>,
    /// Why it is not, or no longer, seen.
    pub problem: Option<String>,
    /// Those that send the same beside it, by name.
    pub standby: BTreeMap<String, Standby>,
}

/// A standby parent: it sends what the parent sends, and each packet is taken once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    /// Its registration, as it was seen last.
    pub origin: Option<Origin>,
    /// Why it is not, or no longer, seen.
    pub problem: Option<String>,
}

impl Upstream {
    /// `standby`: those of them that there are now.
    fn observe(&mut self, snapshot: &Snapshot, standby: &[String]) {
        self.observe_standby(snapshot, standby);
        let Some(parent) = &snapshot.parent else { return };
        if self.parent.as_ref() != Some(parent) {
            self.parent = Some(parent.clone());
            self.origin = None;
        }
        self.problem = heard(&mut self.origin, &snapshot.origin);
    }

    fn observe_standby(&mut self, snapshot: &Snapshot, standby: &[String]) {
        self.standby.retain(|id, _| standby.contains(id));
        for id in standby {
            let known = self.standby.entry(id.clone()).or_default();
            // One that is held is not in the snapshot, and stays as it was.
            if let Some(origin) = snapshot.standby.get(id) {
                known.problem = heard(&mut known.origin, origin);
            }
        }
    }
}

/// What is known of a parent stays known; gives why it is not seen any more.
fn heard(known: &mut Option<Origin>, now: &Heard) -> Option<String> {
    match now {
        Some(Ok(origin)) => {
            *known = Some(origin.clone());
            None
        }
        Some(Err(why)) => Some(why.clone()),
        None => Some("it is not registered".to_owned()),
    }
}

/// What a node is to do about its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildChange {
    /// Forward to it no more.
    Remove {
        /// The child's node id.
        id: String,
    },
    /// It is somewhere else now.
    Move {
        /// The child's node id.
        id: String,
        /// Where it takes media now.
        place: Place,
    },
    /// Forward to it.
    Add {
        /// The child's node id.
        id: String,
        /// Where it takes media.
        place: Place,
    },
}

impl fmt::Display for ChildChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildChange::Remove { id } => write!(f, "child {id} removed"),
            ChildChange::Move { id, place } => write!(f, "child {id} moved to {place}"),
            ChildChange::Add { id, place } => write!(f, "child {id} added at {place}"),
        }
    }
}

/// The topology as `/topology` and `/status` show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyView {
    /// Parent.
    pub parent: Option<String>,
    /// Standby parents, sorted: those in the set, and those held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// Standby parents that cannot be, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub standby_refused: BTreeMap<String, String>,
    /// Children, sorted: those in the set, and those held.
    pub children: Vec<String>,
    /// Children that have not registered yet.
    pub waiting: Vec<String>,
    /// Children whose registration has expired; they are forwarded to all the same.
    pub stale: Vec<String>,
    /// Children that vanished because the server lost its data; they are forwarded to until the grace is over.
    pub held: Vec<String>,
    /// Children that cannot be, and why.
    pub refused: BTreeMap<String, String>,
    /// Children that have not been registered for a day, as long as this node has looked.
    #[serde(default)]
    pub unknown: Vec<String>,
}

impl TopologyView {
    /// Standby parents that are none, each a sentence.
    pub fn refused_standby(&self) -> impl Iterator<Item = String> {
        self.standby_refused.iter().map(|(id, why)| format!("standby parent {id} is none: {why}"))
    }

    /// Nobody takes a child out of a set but who put it there: that one may be forgotten is only said.
    pub fn unknown_children(&self, node: &str) -> Option<String> {
        let names = self.unknown.join(" ");
        (!names.is_empty()).then(|| {
            format!(
                "children that have not been registered for a day: {names}; what is not to come back is taken out by \
                 SREM children:{node} {names}"
            )
        })
    }
}

/// Follows the snapshots of one node.
#[derive(Clone, Debug)]
pub struct Follower {
    id: String,
    grace: Duration,
    /// What vanished with our registration, and until when it is held.
    held: BTreeMap<String, Duration>,
    held_parent: Option<Duration>,
    held_standby: Option<Duration>,
    /// Our registration was in a snapshot before, or has been written.
    was_registered: bool,
    /// The last snapshot was one of a server that lost its data.
    lost: bool,
    /// Children in the set that are not registered, and since when.
    absent: BTreeMap<String, Duration>,
    view: TopologyView,
    upstream: Upstream,
}

impl Follower {
    /// Nothing known yet. `grace`: how long a topology that was lost is held.
    pub fn new(id: &str, grace: Duration) -> Follower {
        Follower {
            id: id.to_owned(),
            grace,
            held: BTreeMap::new(),
            held_parent: None,
            held_standby: None,
            was_registered: false,
            lost: false,
            absent: BTreeMap::new(),
            view: TopologyView::default(),
            upstream: Upstream::default(),
        }
    }

    /// What follows from the last snapshot.
    pub fn view(&self) -> &TopologyView {
        &self.view
    }

    /// Where media is to come from, by all snapshots so far.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// When the next snapshot is needed even if nothing happens: the end of a grace.
    pub fn due(&self) -> Option<Duration> {
        self.held.values().copied().chain(self.held_parent).chain(self.held_standby).min()
    }

    /// The last snapshot was one of a server that has lost its data.
    pub fn lost(&self) -> bool {
        self.lost
    }

    /// Our registration has been written.
    pub fn registered(&mut self) {
        self.was_registered = true;
    }

    /// From a snapshot to what is to change. `have`: the children that the node has; `now`: any steady clock.
    pub fn observe(
        &mut self,
        snapshot: Snapshot,
        have: &BTreeMap<String, Place>,
        now: Duration,
    ) -> Vec<ChildChange> {
        // A node that starts and finds that a predecessor left it children had registered, too. But one that was stopped
        // has taken its registration back: then only a server that knows nothing at all of it has lost anything.
        let forgotten =
            snapshot.children.is_empty() && snapshot.parent.is_none() && snapshot.standby.is_empty();
        let lost = !snapshot.registered && (self.was_registered || (!have.is_empty() && forgotten));
        self.was_registered |= snapshot.registered;
        self.lost = lost;
        self.hold(&snapshot, have, lost, now);
        let absent = snapshot.children.iter().filter(|(_, registered)| matches!(registered, Ok(None)));
        let since = |id: &String| self.absent.get(id).copied().unwrap_or(now);
        self.absent = absent.map(|(id, _)| (id.clone(), since(id))).collect();

        let mut view = TopologyView { parent: self.parent(&snapshot, lost, now), ..TopologyView::default() };
        self.standby(&mut view, &snapshot, lost, now);
        self.upstream.observe(&snapshot, &view.standby);
        let mut changes = Vec::new();
        for id in have.keys().filter(|id| !snapshot.children.contains_key(*id)) {
            if self.held.contains_key(id) {
                view.children.push(id.clone());
                view.held.push(id.clone());
            } else {
                changes.push(ChildChange::Remove { id: id.clone() });
            }
        }
        for (id, registered) in snapshot.children {
            view.children.push(id.clone());
            let known = have.get(&id);
            if let Some(why) = self.refusal(&id, &view) {
                view.refused.insert(id.clone(), why);
                changes.extend(known.map(|_| ChildChange::Remove { id }));
                continue;
            }
            match (registered, known) {
                (Ok(Some(place)), Some(old)) if *old == place => {}
                (Ok(Some(place)), Some(_)) => changes.push(ChildChange::Move { id, place }),
                (Ok(Some(place)), None) => changes.push(ChildChange::Add { id, place }),
                (Ok(None), Some(_)) => view.stale.push(id),
                (Ok(None), None) => view.waiting.push(id),
                (Err(why), _) => {
                    view.refused.insert(id, why);
                }
            }
        }
        view.children.sort();
        let unknown = self.absent.iter().filter(|(_, since)| now.saturating_sub(**since) >= UNKNOWN_AFTER);
        view.unknown = unknown.map(|(id, _)| id.clone()).collect();
        // Removed before added: a full node has room for the ones that come.
        changes.sort_by_key(|change| match change {
            ChildChange::Remove { .. } => 0,
            ChildChange::Move { .. } => 1,
            ChildChange::Add { .. } => 2,
        });
        self.view = view;
        changes
    }

    fn hold(&mut self, snapshot: &Snapshot, have: &BTreeMap<String, Place>, lost: bool, now: Duration) {
        if lost {
            for id in have.keys() {
                self.held.entry(id.clone()).or_insert(now + self.grace);
            }
        }
        self.held
            .retain(|id, until| now < *until && have.contains_key(id) && !snapshot.children.contains_key(id));
    }

    fn parent(&mut self, snapshot: &Snapshot, lost: bool, now: Duration) -> Option<String> {
        if snapshot.parent.is_some() || self.view.parent.is_none() {
            self.held_parent = None;
            return snapshot.parent.clone();
        }
        if lost && self.held_parent.is_none() {
            self.held_parent = Some(now + self.grace);
        }
        self.held_parent = self.held_parent.filter(|until| now < *until);
        self.held_parent.and(self.view.parent.clone())
    }

    /// Which standby parents there are, into the view; what of a set that was lost is held.
    fn standby(&mut self, view: &mut TopologyView, snapshot: &Snapshot, lost: bool, now: Duration) {
        if !snapshot.standby.is_empty() || self.view.standby.is_empty() {
            self.held_standby = None;
        } else if lost && self.held_standby.is_none() {
            self.held_standby = Some(now + self.grace);
        }
        self.held_standby = self.held_standby.filter(|until| now < *until);
        if self.held_standby.is_some() {
            view.standby.clone_from(&self.view.standby);
            return;
        }
        for id in snapshot.standby.keys() {
            let why = match () {
                () if !is_name(id) => "it is no name of a node".to_owned(),
                () if *id == self.id => "it is this node itself; media would go round in a loop".to_owned(),
                () if view.parent.as_ref() == Some(id) => "it is this node's parent already".to_owned(),
                () if view.standby.len() == MOST_STANDBY => {
                    format!("a node has at most {MOST_STANDBY} standby parents")
                }
                () => {
                    view.standby.push(id.clone());
                    continue;
                }
            };
            view.standby_refused.insert(id.clone(), why);
        }
    }

    fn refusal(&self, id: &String, view: &TopologyView) -> Option<String> {
        let is = match () {
            () if *id == self.id => "this node itself",
            () if view.parent.as_ref() == Some(id) => "also this node's parent",
            () if view.standby.contains(id) => "also this node's standby parent",
            () => return None,
        };
        Some(format!("it is {is}; media would go round in a loop"))
    }
}

#[cfg(test)]
mod tests;
