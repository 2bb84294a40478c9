//! What is done to a tree, as a recorded row of steps that can be taken again: whoever leads goes on where the last one ended, or undoes it.
//!
//! | file | job |
//! |---|---|
//! | `action.rs` | what can be done, and the steps that there are |
//! | `action/steps.rs` | which steps an action has, and what takes each back |
//! | `action/progress.rs` | how far it is: recorded after every step |
//! | `action/next.rs` | which step comes now, or what is waited for |

mod next;
mod progress;
mod steps;
#[cfg(test)]
mod tests;

pub use next::{Fact, Facts, Next, Patience, next};
pub use progress::{Failed, Outcome, Progress, Undo};
pub use steps::steps;

use serde::{Deserialize, Serialize};

use crate::model::Ms;
use crate::provision::Spec;

/// Something that is done, from beginning to end. It is recorded before the first of its steps is taken, with the names of all nodes
/// that it makes, so that nothing can be made of which nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its name, unique in the tree: what nodes that it makes are called by.
    pub id: String,
    /// What is done.
    pub kind: Kind,
    /// Why, a sentence.
    pub reason: String,
    /// How soon.
    pub urgency: Urgency,
    /// When it was decided.
    pub created: Ms,
}

/// How soon something has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Urgency {
    /// When nothing else is to be done.
    Low,
    /// Soon.
    High,
    /// At once, whatever was done before.
    Critical,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Kind {
    /// A relay is made: a slot. Cold ones are not started.
    Slot {
        /// The relay. Its parent is that under which it belongs once it is started.
        relay: Spec,
        /// It is started, and attached.
        warm: bool,
    },
    /// A sub-tree is made under a slot, which is started first if it is cold.
    Grow {
        /// The relay that the egresses get for a parent, and its own parent, if it is cold.
        slot: SlotUse,
        /// The egresses.
        egresses: Vec<Spec>,
    },
    /// Nodes are emptied, detached and taken away: egresses, or relays without children.
    Shrink {
        /// Names.
        nodes: Vec<String>,
    },
    /// What a back end has and no tree does, or what is gone from a tree: it is detached and taken away without a drain.
    Clear {
        /// Names.
        nodes: Vec<String>,
    },
}

impl Kind {
    /// Something new comes of it.
    pub fn makes(&self) -> bool {
        matches!(self, Kind::Slot { .. } | Kind::Grow { .. })
    }
}

/// The slot of a sub-tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotUse {
    /// Name of the relay.
    pub relay: String,
    /// It does not run yet: this is how it is started.
    pub start: Option<Spec>,
}

/// One step. Each can be taken again, whether it was taken before, half or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "step")]
pub enum Step {
    /// The back end makes these, and starts them if it says so.
    Make {
        /// Nodes.
        nodes: Vec<Spec>,
        /// They are started as well.
        start: bool,
    },
    /// Until these have registered and answer.
    AwaitAlive {
        /// Names.
        nodes: Vec<String>,
    },
    /// Each becomes a child as soon as it has registered and answers, so that one that hangs holds nobody back. Those who come up together are
    /// attached together, by an [`Step::Attach`].
    Join {
        /// The parent.
        parent: String,
        /// Names.
        nodes: Vec<String>,
    },
    /// They become children of theirs, in Redis, with the events, at one moment.
    Attach {
        /// The parent.
        parent: String,
        /// Names.
        nodes: Vec<String>,
    },
    /// Until these can do their job.
    AwaitReady {
        /// Names.
        nodes: Vec<String>,
    },
    /// A relay may be used as a slot from now on, or no more.
    Offer {
        /// Name.
        relay: String,
        /// It may.
        available: bool,
    },
    /// These take nobody any more, and give away whom they have.
    Drain {
        /// Names.
        nodes: Vec<String>,
    },
    /// Until they are empty.
    AwaitDrained {
        /// Names.
        nodes: Vec<String>,
    },
    /// They serve as before.
    Undrain {
        /// Names.
        nodes: Vec<String>,
    },
    /// They are nobody's children any more.
    Detach {
        /// Names.
        nodes: Vec<String>,
    },
    /// The back end ends these and forgets them.
    Destroy {
        /// Names.
        nodes: Vec<String>,
    },
    /// It is said what has been done.
    Announce,
}
