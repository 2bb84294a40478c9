//! The loss-free rate: the generator keeps to a schedule on a CPU of its own, relay and receivers share the CPU under test,
//! and a rate passes when every child got every packet once and in order, by the numbers in them, and soon: a receive
//! buffer that takes in a whole trial is no rate.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::search::Search;
use crate::tester::{Outcome, Tester};

/// A rate that loses is offered again, so many times in all: a virtual machine is taken off its CPU now and then, which is
/// nobody's fault here. This cannot make anybody faster: what the rings of the kernel paths hold is 0.2 % of a trial, and
/// how far a process may fall behind is limited below. Too high a rate loses in every trial, so whoever has lost much twice
/// is not asked again.
const TRIES: u32 = 12;
const MUCH: f64 = 0.03;
const MUCH_TIMES: u32 = 2;
/// How much of the trial's time the last copy may come after the last packet.
const BEHIND: f64 = 0.04;
const BEHIND_AT_LEAST: Duration = Duration::from_millis(2);
/// A generator that is further behind its schedule is the limit itself.
const ON_SCHEDULE: f64 = 0.99;
/// How much the rate found is lowered when it does not hold for longer.
const LOWER: f64 = 0.97;

/// What was found.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Packets a second, each copied to all children; 0: none.
    pub packets: f64,
    /// Not the path but the generator was the limit.
    pub generator_limited: bool,
    /// Every rate offered, the share of copies lost, and how far behind the last one was, ms.
    pub trials: Vec<(f64, f64, f64)>,
}

/// How long each rate is offered.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub search: Duration,
    pub confirm: Duration,
}

/// Searches from `guess` packets a second on. `revive` is called after every loss.
pub fn find(
    tester: &mut Tester<'_>,
    children: usize,
    guess: f64,
    trial: Trial,
    revive: &mut dyn FnMut() -> Result<()>,
) -> Result<Rate> {
    let mut rate = Rate { packets: 0.0, generator_limited: false, trials: Vec::new() };
    let mut search = Search::from(guess);
    while let Some(offered) = search.next() {
        match offer(tester, children, offered, trial.search, &mut rate, revive)? {
            Verdict::Passed => search.tell(offered, true),
            Verdict::Lost => search.tell(offered, false),
            // As good as lost: the highest rate that can be offered is looked for.
            Verdict::NotOffered => {
                rate.generator_limited = true;
                search.tell(offered, false);
            }
        }
    }
    // A short trial may have been lucky: the rate found has to hold for longer.
    let mut candidate = search.passed().unwrap_or(0.0);
    for _ in 0..8 {
        if candidate < 1.0
            || offer(tester, children, candidate, trial.confirm, &mut rate, revive)? == Verdict::Passed
        {
            break;
        }
        candidate *= LOWER;
    }
    rate.packets = candidate;
    Ok(rate)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Lost,
    NotOffered,
}

fn offer(
    tester: &mut Tester<'_>,
    children: usize,
    offered: f64,
    time: Duration,
    rate: &mut Rate,
    revive: &mut dyn FnMut() -> Result<()>,
) -> Result<Verdict> {
    let mut much = 0;
    for _ in 0..TRIES {
        lab::interrupt::check()?;
        let outcome = tester.keep_to(offered, time)?;
        let share = lost_share(&outcome, children);
        rate.trials.push((offered, share, outcome.behind.as_secs_f64() * 1e3));
        let limit = time.mul_f64(BEHIND).max(BEHIND_AT_LEAST);
        if share == 0.0 && outcome.late == 0 && outcome.behind <= limit {
            let on_schedule = outcome.rate() >= offered * ON_SCHEDULE;
            return Ok(if on_schedule { Verdict::Passed } else { Verdict::NotOffered });
        }
        revive()?;
        much += u32::from(share > MUCH || outcome.behind > 3 * limit);
        if much == MUCH_TIMES {
            break;
        }
    }
    Ok(Verdict::Lost)
}

/// Of the copies that should have come.
pub fn lost_share(outcome: &Outcome, children: usize) -> f64 {
    outcome.lost as f64 / (outcome.sent * children as u64).max(1) as f64
}

impl Rate {
    pub fn json(&self) -> Value {
        let trials: Vec<Value> = self
            .trials
            .iter()
            .map(|(offered, lost, behind)| {
                json!([offered.round(), (lost * 1e6).round() / 1e6, (behind * 1e3).round() / 1e3])
            })
            .collect();
        json!({
            "packets_per_second": self.packets.round(), "generator_limited": self.generator_limited,
            "offered_share_lost_ms_behind": trials,
        })
    }
}
