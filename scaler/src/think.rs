//! One look without its I/O: what is decided, what follows from it, and what the next look has to know. Pure.

use crate::action::Action;
use crate::decide::{Decision, Memory, decide};
use crate::model::{Ms, Observation};
use crate::plan::{Ids, plan};
use crate::settings::Settings;

/// What a look has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Thought {
    /// More egresses, fewer or neither, and why.
    pub decision: Decision,
    /// What is to be done.
    pub actions: Vec<Action>,
    /// What the next look has to know.
    pub memory: Memory,
}

/// Decides and plans.
pub fn think(
    settings: &Settings,
    memory: &Memory,
    seen: &Observation,
    running: &[Action],
    ids: &mut Ids,
    now: Ms,
) -> Thought {
    let (decision, mut memory) = decide(settings, memory, seen, running, now);
    let actions = plan(settings, seen, &decision, running, ids, now);
    // In a dry run nothing comes of it, and the next look finds the same.
    memory.planned(if settings.dry_run { &[] } else { &actions }, now);
    Thought { decision, actions, memory }
}
