//! Latency added: from the moment a packet is sent until a child's copy is dropped by its receiver, by the kernel's clock at
//! both ends, every copy counted. The generator keeps to a schedule on a CPU of its own.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contestant::{self, Contestant};
use crate::fanout::GENERATOR;
use crate::machine::{Awake, make_ordinary};
use crate::rate::lost_share;
use crate::stage::{Division, Stage};
use crate::tester::{Tester, Traffic};

const LENGTH: usize = 214;
/// Packets a second.
pub const RATES: [u32; 3] = [1_000, 10_000, 100_000];
/// Samples that can be kept.
const SAMPLES: f64 = 1_000_000.0;

/// One contestant at one rate.
#[derive(Clone, Debug)]
pub struct Row {
    pub who: String,
    pub children: usize,
    pub rate: u32,
    /// p50, p99, p99.9 in ns.
    pub ns: [u64; 3],
    pub copies: usize,
    /// Share of copies lost: with loss, the contestant is beyond its rate and what is measured is a full buffer.
    pub lost: f64,
}

/// Measures everybody with each number of children at each rate.
pub fn measure(stage: &Stage<'_>, quick: bool, only: &[String]) -> Result<Vec<Row>> {
    let (rounds, time) = if quick { (1, 0.1) } else { (2, 0.4) };
    let children: &[usize] = if quick { &[8] } else { &[1, 8] };
    let mut contestants = contestant::all();
    contestants.retain(|contestant| only.is_empty() || only.iter().any(|name| name == contestant.short()));
    let mut samples: Vec<(Row, Vec<u64>)> = Vec::new();
    for _ in 0..rounds {
        for children in children {
            alone(stage, *children, time, &mut samples)?;
            for contestant in &contestants {
                lab::interrupt::check()?;
                if let Err(error) = turn(stage, contestant.as_ref(), *children, time, &mut samples) {
                    lab::interrupt::check()?;
                    eprintln!("bench: latency of {}: {error:#}", contestant.short());
                }
            }
        }
        contestants.reverse();
    }
    Ok(samples.into_iter().map(|(row, samples)| row.of(samples)).collect())
}

/// The wire, and the way into the CPU under test.
fn alone(stage: &Stage<'_>, children: usize, time: f64, samples: &mut Vec<(Row, Vec<u64>)>) -> Result<()> {
    let mut tester = Tester::alone(stage, Traffic { length: LENGTH, streams: 1, stamps: true }, 1)?;
    rates(stage, &mut tester, (GENERATOR, children, 1), None, time, samples)
}

fn turn(
    stage: &Stage<'_>,
    contestant: &dyn Contestant,
    children: usize,
    time: f64,
    samples: &mut Vec<(Row, Vec<u64>)>,
) -> Result<()> {
    let traffic = Traffic { length: LENGTH, streams: 1, stamps: true };
    let mut tester = Tester::new(stage, traffic, contestant.drops(), children, contestant.addressed())?;
    let running = contestant.start(stage, children).context("starting")?;
    let who = (contestant.short(), children, children);
    let done = rates(stage, &mut tester, who, running.process(), time, samples);
    running.stop()?;
    done
}

fn rates(
    stage: &Stage<'_>,
    tester: &mut Tester<'_>,
    (who, children, copies): (&str, usize, usize),
    process: Option<u32>,
    time: f64,
    samples: &mut Vec<(Row, Vec<u64>)>,
) -> Result<()> {
    if let Some(process) = process {
        make_ordinary(process)?;
    }
    stage.divide(Division::TwoCpus { process: process.is_some() })?;
    let _awake = Awake::keep(stage.cpus.tested)?;
    for rate in RATES {
        let seconds = time.min(SAMPLES / (f64::from(rate) * copies as f64));
        // The first packets find everything cold.
        tester.keep_to(f64::from(rate), Duration::from_secs_f64(seconds / 10.0))?;
        tester.stamps()?;
        let outcome = tester.keep_to(f64::from(rate), Duration::from_secs_f64(seconds))?;
        let (took, lost) = (tester.stamps()?, lost_share(&outcome, copies));
        match samples.iter_mut().find(|(row, _)| row.is(who, children, rate)) {
            Some((row, all)) => {
                row.lost = row.lost.max(lost);
                all.extend(took);
            }
            None => {
                let row = Row { who: who.to_owned(), children, rate, ns: [0; 3], copies: 0, lost };
                samples.push((row, took));
            }
        }
    }
    stage.divide(Division::OneCpu)
}

impl Row {
    pub fn is(&self, who: &str, children: usize, rate: u32) -> bool {
        self.who == who && self.children == children && self.rate == rate
    }

    fn of(self, mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |per_mille: usize| samples.get(samples.len() * per_mille / 1000).copied().unwrap_or(0);
        Self { ns: [500, 990, 999].map(at), copies: samples.len(), ..self }
    }

    pub fn json(&self) -> Value {
        let Self { who, children, rate, ns: [p50, p99, p999], copies, lost } = self;
        json!({
            "who": who, "children": children, "packets_per_second": rate, "copies": copies, "share_lost": lost,
            "p50_ns": p50, "p99_ns": p99, "p99.9_ns": p999,
        })
    }
}
