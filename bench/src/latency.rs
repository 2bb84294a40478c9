//! Latency added: from the moment a packet is sent until a child's copy is dropped by its receiver, by the kernel's clock at
//! both ends, every copy counted. The generator keeps to a schedule on a CPU of its own.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contestant::{self, Contestant};
use crate::fanout::GENERATOR;
use crate::figures::median;
use crate::machine::{Awake, make_ordinary};
use crate::rate::lost_share;
use crate::stage::{Division, Stage};
use crate::tester::{Tester, Traffic};

const LENGTH: usize = 214;
/// Packets a second.
pub const RATES: [u32; 3] = [1_000, 10_000, 100_000];
/// Samples that can be kept.
const SAMPLES: f64 = 1_000_000.0;
/// Rounds that are tried until one shows a copy: a tenth of a second can pass without the CPU on a busy machine.
const TRIES: u32 = 5;

/// One contestant at one rate.
#[derive(Clone, Debug)]
pub struct Row {
    pub who: String,
    pub children: usize,
    pub rate: u32,
    /// The rounds, each with its p50, p99 and p99.9.
    pub rounds: Vec<Round>,
}

/// What one round showed.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// p50, p99, p99.9 in ns.
    pub ns: [u64; 3],
    pub copies: usize,
    /// Share of copies lost: with loss in every round, the contestant is beyond its rate and what is measured is a full
    /// buffer.
    pub lost: f64,
}

/// Measures everybody with each number of children at each rate.
pub fn measure(stage: &Stage<'_>, quick: bool, only: &[String]) -> Result<Vec<Row>> {
    let (rounds, time) = if quick { (1, 0.1) } else { (5, 0.1) };
    let children: &[usize] = if quick { &[8] } else { &[1, 8] };
    let mut contestants = contestant::all();
    contestants.retain(|contestant| only.is_empty() || only.iter().any(|name| name == contestant.short()));
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..rounds {
        for children in children {
            alone(stage, *children, time, &mut rows)?;
            for contestant in &contestants {
                lab::interrupt::check()?;
                if let Err(error) = turn(stage, contestant.as_ref(), *children, time, &mut rows) {
                    lab::interrupt::check()?;
                    eprintln!("bench: latency of {}: {error:#}", contestant.short());
                }
            }
        }
        contestants.reverse();
    }
    Ok(rows)
}

/// The wire, and the way into the CPU under test.
fn alone(stage: &Stage<'_>, children: usize, time: f64, rows: &mut Vec<Row>) -> Result<()> {
    let mut tester = Tester::alone(stage, Traffic { length: LENGTH, streams: 1, stamps: true }, 1)?;
    rates(stage, &mut tester, (GENERATOR, children, 1), None, time, rows)
}

fn turn(
    stage: &Stage<'_>,
    contestant: &dyn Contestant,
    children: usize,
    time: f64,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let traffic = Traffic { length: LENGTH, streams: 1, stamps: true };
    let mut tester = Tester::new(stage, traffic, contestant.drops(), children, contestant.addressed())?;
    let running = contestant.start(stage, children).context("starting")?;
    let who = (contestant.short(), children, children);
    let done = rates(stage, &mut tester, who, running.process(), time, rows);
    running.stop()?;
    done
}

fn rates(
    stage: &Stage<'_>,
    tester: &mut Tester<'_>,
    (who, children, copies): (&str, usize, usize),
    process: Option<u32>,
    time: f64,
    rows: &mut Vec<Row>,
) -> Result<()> {
    if let Some(process) = process {
        make_ordinary(process)?;
    }
    stage.divide(Division::TwoCpus { process: process.is_some() })?;
    let _awake = Awake::keep(stage.cpus.tested)?;
    for rate in RATES {
        let seconds = time.min(SAMPLES / (f64::from(rate) * copies as f64));
        let Some(round) = round(tester, rate, seconds, copies)? else {
            eprintln!("bench: latency of {who} at {rate}/s: no copy came in {TRIES} rounds: not measured");
            continue;
        };
        match rows.iter_mut().find(|row| row.is(who, children, rate)) {
            Some(row) => row.rounds.push(round),
            None => rows.push(Row { who: who.to_owned(), children, rate, rounds: vec![round] }),
        }
    }
    stage.divide(Division::OneCpu)
}

/// One round, or `None` if no copy came in any of [`TRIES`]: the CPU was away for the whole of it, or the contestant is.
fn round(tester: &mut Tester<'_>, rate: u32, seconds: f64, copies: usize) -> Result<Option<Round>> {
    for _ in 0..TRIES {
        // The first packets find everything cold.
        tester.keep_to(f64::from(rate), Duration::from_secs_f64(seconds / 10.0))?;
        tester.stamps()?;
        let outcome = tester.keep_to(f64::from(rate), Duration::from_secs_f64(seconds))?;
        if let Some(round) = Round::of(tester.stamps()?, lost_share(&outcome, copies)) {
            return Ok(Some(round));
        }
    }
    Ok(None)
}

impl Row {
    pub fn is(&self, who: &str, children: usize, rate: u32) -> bool {
        self.who == who && self.children == children && self.rate == rate
    }

    /// Medians of the rounds' p50, p99 and p99.9, in ns: a round in which the CPU was away says nothing of the path.
    pub fn ns(&self) -> [f64; 3] {
        [0, 1, 2].map(|at| median(&self.rounds.iter().map(|round| round.ns[at] as f64).collect::<Vec<_>>()))
    }

    /// Median of the rounds' shares of copies lost.
    pub fn lost(&self) -> f64 {
        median(&self.rounds.iter().map(|round| round.lost).collect::<Vec<_>>())
    }

    pub fn json(&self) -> Value {
        let Self { who, children, rate, rounds } = self;
        let [p50, p99, p999] = self.ns().map(|ns| ns.round() as u64);
        json!({
            "who": who, "children": children, "packets_per_second": rate, "share_lost": self.lost(),
            "p50_ns": p50, "p99_ns": p99, "p99.9_ns": p999,
            "rounds": rounds.iter().map(Round::json).collect::<Vec<_>>(),
        })
    }
}

impl Round {
    /// `None` without samples: that nothing came is not a latency of 0.
    fn of(mut samples: Vec<u64>, lost: f64) -> Option<Self> {
        samples.sort_unstable();
        let at = |per_mille: usize| samples[samples.len() * per_mille / 1000];
        (!samples.is_empty()).then(|| Self { ns: [500, 990, 999].map(at), copies: samples.len(), lost })
    }

    fn json(&self) -> Value {
        let Self { ns: [p50, p99, p999], copies, lost } = self;
        json!({ "copies": copies, "share_lost": lost, "p50_ns": p50, "p99_ns": p99, "p99.9_ns": p999 })
    }
}
