//! What is counted of a tree, and what its parts are called in metrics.

use crate::action::{Kind, Outcome};
use crate::decide::Verdict;

/// What can be counted, for metrics that have each of them from the beginning: a first failure is a rise from 0, which Prometheus does not
/// see in a series that begins with 1.
pub mod counted {
    /// Kinds of actions, as [`kind_name`](super::kind_name) has them.
    pub const KINDS: [&str; 4] = ["slot", "grow", "shrink", "clear"];
    /// How they end, as [`outcome_name`](super::outcome_name) has it.
    pub const OUTCOMES: [&str; 4] = ["done", "partly done", "undone", "called back"];
    /// Steps that can fail. Those that wait for something do not: the nodes that it is about are given up.
    pub const STEPS: [&str; 7] = ["make", "attach", "offer", "drain", "undrain", "detach", "destroy"];
}

/// As metrics have it.
pub fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Slot { .. } => "slot",
        Kind::Grow { .. } => "grow",
        Kind::Shrink { .. } => "shrink",
        Kind::Clear { .. } => "clear",
    }
}

/// As metrics have it.
pub fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Partly { .. } => "partly done",
        Outcome::Undone { .. } => "undone",
        Outcome::CalledBack { .. } => "called back",
    }
}

/// As metrics and the log have it.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::ScaleOut => "SCALE_OUT",
        Verdict::ScaleIn => "SCALE_IN",
        Verdict::Noop => "NOOP",
    }
}
