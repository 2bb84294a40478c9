//! Growth by queues: the relay with one receive queue and with two, a generator on each of two CPUs sending as fast as it can.
//! With one queue one CPU at a time copies; with two, each copies what was sent on it. More is sent than can be copied, so
//! what counts is what arrives.

use std::thread;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contestant;
use crate::figures::median;
use crate::stage::Stage;
use crate::tester::{Tester, Traffic};

const TRAFFIC: Traffic = Traffic { length: 214, streams: 1, stamps: false };
const CHILDREN: usize = 8;
const WHO: [&str; 2] = ["xdp", "tc"];

/// Copies a second.
#[derive(Clone, Debug)]
pub struct Row {
    pub who: &'static str,
    pub queues: u32,
    pub copies_per_second: Vec<f64>,
}

impl Row {
    pub fn median(&self) -> f64 {
        median(&self.copies_per_second)
    }
}

/// Measures the kernel's data planes.
pub fn measure(stage: &Stage<'_>, quick: bool) -> Result<Vec<Row>> {
    let (rounds, packets) = if quick { (1, 20_000) } else { (5, 200_000) };
    let mut rows: Vec<Row> = WHO
        .into_iter()
        .flat_map(|who| [1, 2].map(|queues| Row { who, queues, copies_per_second: Vec::new() }))
        .collect();
    for _ in 0..rounds {
        for row in &mut rows {
            lab::interrupt::check()?;
            stage.set_queues(row.queues)?;
            let rate = rate(stage, row.who, packets);
            stage.set_queues(1)?;
            row.copies_per_second.push(rate.with_context(|| format!("{} queues", row.queues))?);
        }
    }
    Ok(rows)
}

fn rate(stage: &Stage<'_>, who: &str, packets: u64) -> Result<f64> {
    let contestant = contestant::named(who).context("no such contestant")?;
    let mut first = Tester::new(stage, TRAFFIC, contestant.drops(), CHILDREN, true)?;
    let mut second = Tester::without_receivers(stage, TRAFFIC, CHILDREN)?;
    let running = contestant.start(stage, CHILDREN)?;
    let before = first.arrived()?;
    let spans = thread::scope(|scope| {
        let [one, two] = [(&mut first, stage.cpus.tested), (&mut second, stage.cpus.tester)]
            .map(|(tester, cpu)| scope.spawn(move || tester.flood(cpu, packets)));
        let joined = [one.join(), two.join()];
        joined.map(|span| span.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let copies = first.arrived()? - before;
    running.stop()?;
    let [one, two] = spans;
    let ((begin, end), (other_begin, other_end)) = (one?, two?);
    let span = end.max(other_end) - begin.min(other_begin);
    Ok(copies as f64 * 1e9 / span.max(1) as f64)
}

/// The raw figures.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let rates: Vec<f64> = row.copies_per_second.iter().map(|rate| rate.round()).collect();
        json!({ "who": row.who, "queues": row.queues, "copies_per_second": rates })
    };
    rows.iter().map(row).collect()
}
