//! What asks for more egresses, and for how many. Pure.
//!
//! | file | asks |
//! |---|---|
//! | `more/of_tree.rs` | the tree itself: its places, the fewest that there are to be |
//! | `more/of_figures.rs` | Prometheus |
//!
//! Each cause asks for as many as take its figure to a quarter of the way from where more are wanted to where fewer are, so that the next
//! viewer is no reason for the next change. Places count those of egresses that are on their way; figures cannot know of them,
//! so that a figure asks again only when they have come, `out-rest` has passed, and they have been of some help.

mod of_figures;
mod of_tree;

use serde::{Deserialize, Serialize};

use super::figures::Known;
use super::memory::{Asked, Memory};
use super::numbers::{ms, rounded};
use super::places::Places;
use crate::action::Urgency;
use crate::books::{Books, count};
use crate::model::Ms;
use crate::settings::Settings;

/// What was made is no help when the figure is still above this part of what it was,
const NO_HELP: f64 = 0.97;
/// and viewers are not more than so many times as many.
const SAME_LOAD: f64 = 1.1;

/// What asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// There are fewer than the fewest.
    Baseline,
    /// Places run short.
    Places,
    /// Some egress has too much to do.
    Overloaded,
    /// All have.
    Cpu,
    /// Memory.
    Memory,
    /// Ports of Janus.
    PortPool,
    /// Packets that cards drop.
    Drops,
}

impl Cause {
    /// It is read from Prometheus, and does not know of what is on its way.
    fn is_figure(self) -> bool {
        matches!(self, Cause::Cpu | Cause::Memory | Cause::PortPool | Cause::Drops)
    }
}

/// So many more.
#[derive(Debug)]
pub struct More {
    /// For this.
    pub cause: Cause,
    /// How many.
    pub count: u32,
    /// How soon.
    pub urgency: Urgency,
    /// Why, a sentence.
    pub reason: String,
    /// The figure that asks.
    pub value: f64,
}

/// All that asks for more.
#[derive(Debug, Default)]
pub struct Asking {
    /// What is heard now.
    pub now: Vec<More>,
    /// For what more have been made a moment ago.
    pub resting: Vec<More>,
    /// Why something that asks is not heard.
    pub warnings: Vec<String>,
}

/// Everything that asks.
pub struct Wants<'a> {
    /// Settings.
    pub settings: &'a Settings,
    /// The tree.
    pub books: &'a Books<'a>,
    /// Prometheus' figures.
    pub known: &'a Known,
    /// Places.
    pub places: Places,
    /// When.
    pub now: Ms,
}

impl Wants<'_> {
    /// All that asks for more.
    pub fn more(&self, memory: &mut Memory) -> Asking {
        self.forget(memory);
        let mut asking = Asking::default();
        let of_tree = [self.baseline(), self.of_places(), self.overloaded(memory)];
        for more in of_tree.into_iter().flatten() {
            let rests = more.urgency < Urgency::Critical && self.rests(memory, more.cause);
            if rests { &mut asking.resting } else { &mut asking.now }.push(more);
        }
        for more in self.of_figures() {
            match memory.asked.get(&more.cause) {
                _ if self.rests(memory, more.cause) => asking.resting.push(more),
                Some(asked) if self.was_no_help(asked, more.value) => asking.warnings.push(format!(
                    "{}, and the egresses that were made for it have not changed that: it has another cause",
                    more.reason
                )),
                _ => asking.now.push(more),
            }
        }
        asking
    }

    /// More are to be made for this.
    pub fn ask(&self, memory: &mut Memory, more: &More) {
        let asked = Asked { at: self.now, value: rounded(more.value), viewers: self.places.viewers };
        memory.asking.insert(more.cause, asked);
        if more.cause == Cause::Overloaded {
            memory.asking_for.clone_from(&self.known.overloaded);
        }
    }

    /// What is no cause any more is forgotten; what was asked for by a figure is only there when it has come.
    fn forget(&self, memory: &mut Memory) {
        let thresholds = &self.settings.thresholds;
        let is_over = |value: Option<f64>, out: f64| value.is_some_and(|value| value <= out);
        let rest = ms(self.settings.pace.out_rest);
        let coming = self.books.coming() > 0;
        memory.asked.retain(|cause, asked| {
            asked.at = asked.at.min(self.now);
            if coming && cause.is_figure() {
                asked.at = self.now;
            }
            match cause {
                Cause::Cpu => !is_over(self.known.cpu, thresholds.cpu_out),
                Cause::Memory => !is_over(self.known.memory, thresholds.memory_out),
                Cause::PortPool => !is_over(self.known.port_pool, thresholds.port_pool_out),
                Cause::Drops => !is_over(self.known.drops, thresholds.drops_out),
                Cause::Baseline | Cause::Places | Cause::Overloaded => self.now - asked.at < rest,
            }
        });
        let in_rest = ms(self.settings.pace.in_rest);
        for (name, last) in &mut memory.overloaded {
            *last = if self.known.overloaded.contains(name) { self.now } else { (*last).min(self.now) };
        }
        memory.overloaded.retain(|_, last| self.now - *last <= in_rest);
    }

    fn rests(&self, memory: &Memory, cause: Cause) -> bool {
        let rest = ms(self.settings.pace.out_rest);
        memory.asked.get(&cause).is_some_and(|asked| self.now - asked.at < rest)
    }

    fn was_no_help(&self, asked: &Asked, value: f64) -> bool {
        value >= asked.value * NO_HELP
            && f64::from(self.places.viewers) <= f64::from(asked.viewers) * SAME_LOAD
    }

    fn staying(&self) -> u32 {
        count(self.books.staying().count())
    }
}
