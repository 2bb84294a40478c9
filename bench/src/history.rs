//! What the history costs: CPU time of a copy with it and without it, by the built object, as the relay is run; and its memory.
//!
//! Each round measures a pair, one right after the other, and the next round the other way round. What counts is the median of the
//! pairs' ratios: whatever else the machine does meets both.

use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use anyhow::{Context, Result};
use aya::maps::loaded_maps;
use lab::Lab;
use serde_json::{Value, json};

use crate::contestant::{self, Contestant};
use crate::cost;
use crate::figures::median;
use crate::machine::Cpus;
use crate::report::{CHILDREN, LENGTH};
use crate::stage::Stage;
use crate::tester::{Tester, Traffic};

/// With a history as large as it is when nobody says otherwise, and without one.
const PAIRS: [[&str; 2]; 2] = [["xdp", "xdp history off"], ["tc", "tc history off"]];
const LENGTHS: [usize; 2] = [LENGTH, 1200];
/// What keeping packets may cost at most, at 8 children.
const WANTED: f64 = 1.05;

/// One data plane with one length of frames.
struct Row {
    pair: [&'static str; 2],
    length: usize,
    /// ns of a copy with and without a history, a pair a round.
    ns_per_copy: Vec<[f64; 2]>,
    /// Copies that were missing, late or double.
    bad: u64,
}

impl Row {
    fn ratios(&self) -> Vec<f64> {
        self.ns_per_copy.iter().map(|[on, off]| on / off).collect()
    }

    fn median(&self, which: usize) -> f64 {
        median(&self.ns_per_copy.iter().map(|pair| pair[which]).collect::<Vec<_>>())
    }
}

/// The table, and the figures as JSON.
pub fn run(quick: bool) -> Result<(String, String)> {
    let (rounds, time) = if quick { (1, Duration::from_millis(30)) } else { (15, Duration::from_millis(90)) };
    let lab = Lab::new("bench-history-")?;
    let stage = Stage::set(&lab, Cpus::choose()?)?;
    let row = |(pair, length)| Row { pair, length, ns_per_copy: vec![], bad: 0 };
    let mut rows: Vec<Row> =
        PAIRS.into_iter().flat_map(|pair| LENGTHS.map(|length| (pair, length))).map(row).collect();
    let mut memory = Vec::new();
    for round in 0..rounds {
        for row in &mut rows {
            let mut pair = [f64::NAN; 2];
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
                lab::interrupt::check()?;
                let contestant = contestant::named(row.pair[which]).context("no such contestant")?;
                let turn = turn(&stage, contestant.as_ref(), row.length, time)
                    .with_context(|| format!("measuring {}", contestant.short()))?;
                pair[which] = turn.cost.ns_per_copy;
                row.bad += turn.cost.lost + turn.cost.late;
                if which == 0 {
                    memory.push(turn.memory as f64);
                }
            }
            row.ns_per_copy.push(pair);
        }
    }
    // Others on the machine may load some, too.
    let memory = median(&memory);
    Ok((table(&rows, memory), json(&rows, memory).to_string()))
}

struct Turn {
    cost: cost::Cost,
    memory: u64,
}

fn turn(stage: &Stage<'_>, contestant: &dyn Contestant, length: usize, time: Duration) -> Result<Turn> {
    let before = histories()?;
    let traffic = Traffic { length, streams: 1, stamps: false };
    let mut tester = Tester::new(stage, traffic, contestant.drops(), CHILDREN, true)?;
    let running = contestant.start(stage, CHILDREN).context("starting")?;
    let new = histories()?.into_iter().filter(|map| !before.contains(map));
    let memory = new.map(|(_, bytes)| bytes).max();
    let cost = cost::measure(&mut tester, CHILDREN, time);
    running.stop().context("stopping")?;
    Ok(Turn { cost: cost?, memory: memory.context("the relay has no map HISTORY")? })
}

/// The maps of that name that are loaded: their numbers, and what the kernel says of their memory.
fn histories() -> Result<Vec<(u32, u64)>> {
    let maps = loaded_maps().filter_map(Result::ok).filter(|map| map.name() == b"HISTORY");
    maps.map(|map| {
        let fd = map.fd().context("opening a map")?;
        let said = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))?;
        let bytes = said.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
        Ok((map.id(), bytes.context("a map without memory")?))
    })
    .collect()
}

fn table(rows: &[Row], memory: f64) -> String {
    let rounds = rows.first().map_or(0, |row| row.ns_per_copy.len());
    let mut text = format!(
        "\n### CPU time of a copy, ns, with and without a history ({CHILDREN} children, {rounds} pairs)\n\n\
         | data plane | frame | with | without | × (quartiles) | wanted | | late or lost |\n\
         |---|---:|---:|---:|---:|---:|---|---:|\n"
    );
    for row in rows {
        let ratios = row.ratios();
        let seen = median(&ratios);
        let [low, high] = quartiles(ratios);
        let met = if seen <= WANTED { "met" } else { "**missed**" };
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} | {seen:.3} ({low:.3}–{high:.3}) | ≤ {WANTED} | {met} | {} |",
            row.pair[0],
            row.length,
            row.median(0),
            row.median(1),
            row.bad
        );
    }
    let _ = writeln!(text, "\nMemory of the history: {:.1} MB.", memory / 1e6);
    text
}

/// The ratios that a quarter of all is below, and above.
fn quartiles(mut ratios: Vec<f64>) -> [f64; 2] {
    ratios.sort_by(f64::total_cmp);
    let at = |quarter: usize| ratios.get((ratios.len() * quarter / 4).min(ratios.len().saturating_sub(1)));
    [at(1), at(3)].map(|ratio| ratio.copied().unwrap_or(f64::NAN))
}

/// The raw figures.
fn json(rows: &[Row], memory: f64) -> Value {
    let tenths = |ns: f64| (ns * 10.0).round() / 10.0;
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let pairs: Vec<[f64; 2]> = row.ns_per_copy.iter().map(|pair| pair.map(tenths)).collect();
            json!({ "who": row.pair[0], "length": row.length, "ns_per_copy": pairs, "bad": row.bad, "memory": memory })
        })
        .collect();
    json!(rows)
}
