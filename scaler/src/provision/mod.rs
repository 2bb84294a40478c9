//! What makes nodes, and takes them away.
//!
//! | back end | a node is | found again by |
//! |---|---|---|
//! | [`process`] | a process of this machine, in a group of its own | a folder of records; whoever holds a record's lock runs |
//! | [`docker`] | a container | labels |
//! | [`kubernetes`] | a Pod | labels |
//! | [`command`] | what a program of one's own makes of it: a virtual machine | what that program lists |
//!
//! Which of them, and how a node of each kind is started, is in a file of its own ([`settings`]).

pub mod command;
#[cfg(feature = "docker")]
pub mod docker;
mod fill;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod names;
pub mod process;
pub mod settings;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use node::record::NodeType;
use serde::{Deserialize, Serialize};

use crate::model::{Machine, Ms};

pub use settings::Backend;

/// A node that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Name: NODE_ID, and what the back end calls it.
    pub name: String,
    /// What it does.
    pub role: NodeType,
    /// Tree.
    pub tree: String,
    /// Whose child it is to be; it is made so by [`crate::action::Step::Attach`].
    pub parent: String,
    /// Where it is to stand; empty: anywhere.
    pub zone: String,
}

/// Why a back end did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Trouble {
    /// One line for a person: what, and what mends it.
    pub why: String,
    /// It may work if it is tried again.
    pub again: bool,
}

impl Trouble {
    /// It may pass.
    pub fn passing(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), again: true }
    }

    /// Somebody has to mend it.
    pub fn lasting(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), again: false }
    }
}

/// Most characters of what went wrong that are kept: they are recorded with every try.
const LONGEST_LINE: usize = 400;

impl Trouble {
    /// Why, as one line that is not too long, whatever a program, an engine or a node has said.
    pub fn line(&self) -> String {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let mut line: String = self.why.chars().take(LONGEST_LINE).map(printable).collect();
        if self.why.chars().nth(LONGEST_LINE).is_some() {
            line.push('…');
        }
        line
    }
}

/// Makes nodes and takes them away. Each of these may be asked again, after it was done, half done or not done at all: what is there
/// already is left as it is, what is gone already is gone. None takes longer than some seconds to answer: that a node is healthy
/// is waited for by others.
pub trait Provisioner {
    /// Its name, for people.
    fn name(&self) -> &'static str;
    /// There is this node; it runs if `start`, and is left as it is otherwise.
    fn make(&self, spec: &Spec, start: bool) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// There is no node of this name. One that runs is given as long as its drain takes: told to end, not killed. As long as it has not
    /// ended the answer is a [`Trouble`] that may pass: ask again.
    fn destroy(&self, tree: &str, name: &str) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// What there is of a tree, by name.
    fn list(&self, tree: &str) -> impl Future<Output = Result<BTreeMap<String, Machine>, Trouble>> + Send;
}

fn now() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_said_is_one_line_that_is_not_too_long() {
        assert_eq!(Trouble::passing("no quota").line(), "no quota");
        let line = Trouble::passing(format!("a\nb\x1b[2J{}", "é".repeat(1 << 20))).line();
        assert!(line.starts_with("a b [2J") && line.ends_with('…') && line.chars().count() == 401, "{line}");
    }
}
