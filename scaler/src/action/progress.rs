//! How far an action is. It is recorded after every step, so that whoever leads next knows which step may have been taken half.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::steps::{steps, undoing};
use super::{Action, Kind, Patience, Step};
use crate::model::Ms;

/// The first pause before a step is tried again, ms; …
const FIRST_PAUSE: Ms = 500;
/// … and the longest.
const LONGEST_PAUSE: Ms = 30_000;

/// What is refused so often while the others are made is left out, so that it does not hold them back.
const REFUSALS: u32 = 4;

/// How far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// How many of its steps are behind it.
    pub at: usize,
    /// When it came to the step that is being taken.
    pub since: Ms,
    /// How often that step has failed.
    pub tries: u32,
    /// It is not tried again before this.
    pub again_at: Ms,
    /// What went wrong last with it.
    pub problem: Option<String>,
    /// Nodes that have been attached by the step that attaches each as it comes up.
    pub joined: BTreeSet<String>,
    /// Nodes that it goes on without, and why.
    pub given_up: BTreeMap<String, String>,
    /// What it was to take away is wanted again, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_back: Option<String>,
    /// It is being undone.
    pub undo: Option<Undo>,
}

/// How far the undoing is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undo {
    /// Why.
    pub why: String,
    /// How many steps back are behind it.
    pub at: usize,
}

/// What a step did not do for one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The node.
    pub node: String,
    /// One line for a person.
    pub why: String,
    /// It may work if it is tried again.
    pub again: bool,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// It is done, but for these, which were given up and cleaned up after.
    Partly {
        /// Why, by name.
        without: BTreeMap<String, String>,
    },
    /// Nothing of it is left.
    Undone {
        /// Why.
        why: String,
    },
    /// What it was to take away serves on, since it is wanted again.
    CalledBack {
        /// Why.
        why: String,
    },
}

impl Progress {
    /// Of an action that begins.
    pub fn begun(now: Ms) -> Progress {
        Progress { since: now, ..Progress::default() }
    }

    /// The step that is being taken; `None`: it has ended.
    pub fn step(&self, action: &Action) -> Option<Step> {
        match &self.undo {
            None => steps(action, &self.given_up).into_iter().nth(self.at),
            Some(undo) => undoing(action, self.at).into_iter().nth(undo.at),
        }
    }

    /// What was recorded by a clock that is ahead of this one's does not keep it waiting until that time has come.
    pub fn not_ahead(&mut self, now: Ms) {
        self.since = self.since.min(now);
        self.again_at = self.again_at.min(now.saturating_add(LONGEST_PAUSE));
    }

    /// The step is behind it.
    pub fn reached(&mut self, now: Ms) {
        match &mut self.undo {
            None => self.at += 1,
            Some(undo) => undo.at += 1,
        }
        self.comes_to(now);
    }

    /// Some have been attached; the others are still waited for.
    fn join(&mut self, nodes: &[String]) {
        self.joined.extend(nodes.iter().cloned());
        (self.tries, self.again_at, self.problem) = (0, 0, None);
    }

    fn comes_to(&mut self, now: Ms) {
        (self.since, self.tries, self.again_at, self.problem) = (now, 0, 0, None);
    }

    /// This was taken, as [`super::next`] said; `failed`: not for these.
    pub fn took(&mut self, action: &Action, taken: &Step, failed: Vec<Failed>, patience: &Patience, now: Ms) {
        let Some(step) = self.step(action) else { return };
        if failed.is_empty() {
            return match (&step, taken) {
                (Step::Join { .. }, Step::Attach { nodes, .. }) => self.join(nodes),
                _ => self.reached(now),
            };
        }
        let words: Vec<String> =
            failed.iter().map(|failed| format!("{}: {}", failed.node, failed.why)).collect();
        let is_late = now >= self.since.saturating_add(patience.of(&step));
        let is_lasting = failed.iter().all(|failed| !failed.again);
        let holds_back = self.tries + 1 >= REFUSALS && is_made_for_others(&step, &failed);
        let is_hopeless = is_late || holds_back || is_lasting;
        match step {
            // What was made is not forgotten, however often it takes.
            _ if !is_hopeless => self.try_again(words.join("; "), now),
            Step::Make { .. } if self.undo.is_none() => {
                self.give_up(action, failed.into_iter().map(|failed| (failed.node, failed.why)), now);
            }
            // One that cannot be asked to empty itself stays. The step is taken again, by the others.
            Step::Drain { .. } if self.undo.is_none() => {
                self.give_up(action, failed.into_iter().map(|failed| (failed.node, failed.why)), now);
            }
            // One that lives again is not cleared away.
            Step::Detach { .. } if matches!(action.kind, Kind::Clear { .. }) && is_lasting => {
                self.give_up(action, failed.into_iter().map(|failed| (failed.node, failed.why)), now);
            }
            // Whom it does not reach has ended, and serves as ever when it is started again.
            Step::Undrain { .. } => self.reached(now),
            _ => self.try_again(words.join("; "), now),
        }
    }

    fn try_again(&mut self, problem: String, now: Ms) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        self.tries = self.tries.saturating_add(1);
        self.again_at = now.saturating_add(pause);
        self.problem = Some(problem);
    }

    /// It goes on without these; if that is without any, it is undone. What takes away never undoes what it took away.
    pub fn give_up(&mut self, action: &Action, nodes: impl IntoIterator<Item = (String, String)>, now: Ms) {
        self.given_up.extend(nodes);
        let is_gone = |name: &str| self.given_up.contains_key(name);
        let is_over = match &action.kind {
            Kind::Slot { relay, .. } => is_gone(&relay.name),
            Kind::Grow { slot, egresses } => {
                slot.start.as_ref().is_some_and(|relay| is_gone(&relay.name))
                    || egresses.iter().all(|egress| is_gone(&egress.name))
            }
            Kind::Shrink { .. } | Kind::Clear { .. } => false,
        };
        if is_over {
            let why: Vec<String> = self.given_up.iter().map(|(node, why)| format!("{node}: {why}")).collect();
            self.undo = Some(Undo { why: why.join("; "), at: 0 });
        }
        self.comes_to(now);
    }

    /// Whether it is still emptying what it is to take away: then it can be called back.
    pub fn is_emptying(&self, action: &Action) -> bool {
        let is_draining = |step: &Step| matches!(step, Step::Drain { .. } | Step::AwaitDrained { .. });
        self.called_back.is_none()
            && matches!(action.kind, Kind::Shrink { .. })
            && self.step(action).as_ref().is_some_and(is_draining)
    }

    /// What is being emptied is wanted again, for this reason: all that are left serve as before. `false`: they are past that.
    pub fn call_back(&mut self, action: &Action, why: &str, now: Ms) -> bool {
        if !self.is_emptying(action) {
            return false;
        }
        let left = action.nodes().into_iter().filter(|node| !self.given_up.contains_key(*node));
        let left: Vec<(String, String)> = left.map(|node| (node.to_owned(), why.to_owned())).collect();
        self.give_up(action, left, now);
        self.called_back = Some(why.to_owned());
        true
    }

    /// How it ended, once it has.
    pub fn outcome(&self, action: &Action) -> Outcome {
        let why = || {
            let why: Vec<String> = self.given_up.iter().map(|(node, why)| format!("{node}: {why}")).collect();
            why.join("; ")
        };
        if let Some(why) = &self.called_back {
            return Outcome::CalledBack { why: why.clone() };
        }
        match &self.undo {
            Some(undo) => Outcome::Undone { why: undo.why.clone() },
            None if self.given_up.is_empty() => Outcome::Done,
            None if action.nodes().iter().all(|node| self.given_up.contains_key(*node)) => {
                Outcome::Undone { why: why() }
            }
            None => Outcome::Partly { without: self.given_up.clone() },
        }
    }
}

/// Some of these are made, and some are not.
fn is_made_for_others(step: &Step, failed: &[Failed]) -> bool {
    matches!(step, Step::Make { nodes, .. } if failed.len() < nodes.len())
}
