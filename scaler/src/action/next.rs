//! Which step of an action comes now. Without I/O, so that the simulator takes the same ones as the daemon.

use std::collections::BTreeMap;

use super::{Action, Outcome, Progress, Step};
use crate::model::Ms;
use crate::settings::Settings;

/// What is known of the nodes that an action is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// By name; of whom there is nothing, nothing is known.
    pub nodes: BTreeMap<String, Fact>,
    /// How long what may take.
    pub patience: Patience,
}

/// A node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// It has registered, and answers.
    pub alive: bool,
    /// It can do its job, in its place in the tree.
    pub ready: bool,
    /// It has given away whom it had, or is not there any more.
    pub empty: bool,
}

/// How long things may take, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a node is made, then until it has registered, and then until it can do its job.
    pub healthy: Ms,
    /// Until a node is empty.
    pub drained: Ms,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::of_settings(&Settings::default())
    }
}

impl Patience {
    /// As a tree's settings have it.
    pub fn of_settings(settings: &Settings) -> Patience {
        let ms = |seconds: f64| (seconds * 1000.0) as Ms;
        Patience { healthy: ms(settings.pace.healthy_within), drained: ms(settings.pace.drained_within) }
    }

    pub(super) fn of(&self, step: &Step) -> Ms {
        match step {
            Step::Drain { .. } | Step::AwaitDrained { .. } | Step::Undrain { .. } => self.drained,
            _ => self.healthy,
        }
    }
}

/// What comes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This is done, and [`Progress::took`] told what came of it: the step that it has come to, or a part of that.
    Take(Step),
    /// What was waited for is so, or there is nobody whom the step is about: [`Progress::reached`].
    Reached(Step),
    /// There is nothing to do before this, unless the facts change.
    Wait {
        /// It is looked again then, whatever the facts are.
        until: Ms,
        /// What for.
        why: String,
    },
    /// These have not come up, or not become empty: [`Progress::give_up`].
    GiveUp(BTreeMap<String, String>),
    /// It has ended.
    Done(Outcome),
}

/// Which step comes now.
pub fn next(action: &Action, progress: &Progress, facts: &Facts, now: Ms) -> Next {
    let Some(step) = progress.step(action) else { return Next::Done(progress.outcome(action)) };
    if step.is_empty() {
        return Next::Reached(step);
    }
    if now < progress.again_at {
        let problem = progress.problem.as_deref().unwrap_or("it failed");
        return Next::Wait { until: progress.again_at, why: format!("{step}: is tried again: {problem}") };
    }
    let (is_so, what): (fn(&Fact) -> bool, &str) = match &step {
        Step::AwaitAlive { .. } | Step::Join { .. } => {
            (|fact| fact.alive, "has not registered, or does not answer")
        }
        Step::AwaitReady { .. } => (|fact| fact.ready, "cannot do its job"),
        Step::AwaitDrained { .. } => (|fact| fact.empty, "is not empty"),
        _ => return Next::Take(step),
    };
    let is_joined = |name: &str| matches!(step, Step::Join { .. }) && progress.joined.contains(name);
    let left = step.nodes().into_iter().filter(|name| !is_joined(name));
    let (are_so, missing): (Vec<&str>, Vec<&str>) =
        left.partition(|name| facts.nodes.get(*name).is_some_and(is_so));
    if let Step::Join { parent, .. } = &step
        && !are_so.is_empty()
    {
        let nodes = are_so.into_iter().map(str::to_owned).collect();
        return Next::Take(Step::Attach { parent: parent.clone(), nodes });
    }
    if missing.is_empty() {
        return Next::Reached(step);
    }
    let patience = facts.patience.of(&step);
    let until = progress.since.saturating_add(patience);
    if now < until {
        return Next::Wait { until, why: format!("{step}: {} {what} yet", missing.join(", ")) };
    }
    let why = format!("{what} after {} s", patience / 1000);
    Next::GiveUp(missing.into_iter().map(|name| (name.to_owned(), why.clone())).collect())
}
