//! The daemon's loop without its I/O: the same decisions, plans and steps, with a journal in memory.

use crate::action::{Action, Next, Outcome, Patience, Progress, next};
use crate::decide::{Decision, Memory, Verdict};
use crate::model::Ms;
use crate::plan::{Ids, Recall, recall};
use crate::settings::Settings;
use crate::think::{Thought, think};

use super::laws::Laws;
use super::world::{World, facts};

/// More than this is not done to an action at one moment.
const MOST_AT_ONCE: usize = 100;

/// Of one tree.
pub struct Controller {
    settings: Settings,
    patience: Patience,
    memory: Memory,
    /// What is recorded and not done.
    running: Vec<Action>,
    progress: Vec<Progress>,
    looks: u64,
    /// What it decided last.
    decision: Option<Decision>,
    /// Actions that were done, and those that were undone.
    pub ended: [u32; 2],
}

impl Controller {
    /// It has never looked.
    pub fn new(settings: Settings) -> Controller {
        Controller {
            patience: Patience::of_settings(&settings),
            settings,
            memory: Memory::default(),
            running: Vec::new(),
            progress: Vec::new(),
            looks: 0,
            decision: None,
            ended: [0, 0],
        }
    }

    /// Nothing is being done, and nothing was wanted at the last look.
    pub fn rests(&self) -> bool {
        self.running.is_empty()
            && self.decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Noop)
    }

    /// Somebody has changed `limits.maximum`.
    pub fn maximum_is(&mut self, maximum: u32) {
        self.settings.limits.maximum = maximum;
    }

    /// What is recorded and not done.
    pub fn running(&self) -> &[Action] {
        &self.running
    }

    /// One look: what is to be done is recorded.
    pub fn look(&mut self, world: &World, laws: &mut Laws) {
        self.looks += 1;
        let (seen, now) = (world.seen(), world.now);
        let mut ids = Ids::new(format!("n{}", self.looks));
        let Thought { decision, actions, memory } =
            think(&self.settings, &self.memory, &seen, &self.running, &mut ids, now);
        self.memory = memory;
        let running = self.running.iter().zip(&self.progress);
        let Recall { actions, back } = recall(&decision, &seen, running, actions);
        for (action, progress) in self.running.iter().zip(&mut self.progress) {
            if back.contains(&action.id) {
                progress.call_back(action, &decision.reason, now);
            }
        }
        for action in actions {
            laws.is_recorded(&action, &seen, world);
            self.running.push(action);
            self.progress.push(Progress::begun(now));
        }
        self.decision = Some(decision);
    }

    /// Steps are taken as far as they can be now.
    pub fn carry(&mut self, world: &mut World) {
        let mut ended = Vec::new();
        for (which, (action, progress)) in self.running.iter().zip(&mut self.progress).enumerate() {
            if let Some(outcome) = go_on(action, progress, world, self.patience) {
                ended.push((which, outcome));
            }
        }
        for (which, outcome) in ended.into_iter().rev() {
            self.progress.remove(which);
            let action = self.running.remove(which);
            let well = !matches!(outcome, Outcome::Undone { .. });
            self.ended[usize::from(!well)] += 1;
            self.memory.ended(&action, well, world.now);
        }
    }
}

/// How it ended, if it did.
fn go_on(action: &Action, progress: &mut Progress, world: &mut World, patience: Patience) -> Option<Outcome> {
    let now: Ms = world.now;
    for _ in 0..MOST_AT_ONCE {
        match next(action, progress, &facts(world, action, patience), now) {
            Next::Take(step) => {
                let failed = world.take(&step);
                progress.took(action, &step, failed, &patience, now);
            }
            Next::Reached(_) => progress.reached(now),
            Next::Wait { .. } => return None,
            Next::GiveUp(nodes) => progress.give_up(action, nodes, now),
            Next::Done(outcome) => return Some(outcome),
        }
    }
    None
}
