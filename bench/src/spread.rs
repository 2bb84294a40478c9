//! What `--cpus` brings: one generator sends on one CPU as fast as it can, and all it sends comes in there, as all media
//! between two relays comes to one queue of a card. It is copied there (`off`), on the other CPU alone, or on both.
//!
//! The threads that copy come before the generator on its CPU, as nothing comes before the softirq that copies there otherwise,
//! and both come before all else on the machine. The generator's own work stays on its CPU, so two CPUs are never twice one.
//! More is sent than can be copied, so what counts is what arrives.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::relay::{Mode, RelayConfig, RelayProcess};
use serde_json::{Value, json};

use crate::figures::median;
use crate::machine::{Cpus, before_generator};
use crate::report::grouped;
use crate::stage::{Stage, threads};
use crate::tester::{Drops, Tester, Traffic};

const TRAFFIC: Traffic = Traffic { length: 214, streams: 100, stamps: false };
/// What queueing costs is a packet's; what copying costs is each child's.
const CHILDREN: [usize; 2] = [8, 64];
/// Kernel threads that work off the queues of CPUs.
const QUEUES: &str = "cpumap/";

/// One way to divide the work.
struct Row {
    children: usize,
    who: &'static str,
    /// `--cpus`, if it is given.
    cpus: Option<String>,
    copies_per_second: Vec<f64>,
    /// Of the copies, how many were made on each CPU; the last round's.
    by_cpu: Vec<u64>,
}

/// The table, and the figures as JSON.
pub fn run(quick: bool) -> Result<(String, String)> {
    let (rounds, copies) = if quick { (1, 400_000) } else { (7, 8_000_000) };
    let lab = Lab::new("bench-spread-")?;
    let stage = Stage::set(&lab, Cpus::choose()?)?;
    // Each CPU sends into a ring of its own, as it does with a card. What one CPU sends still comes in by one.
    stage.set_queues(2)?;
    let Cpus { tested, tester } = stage.cpus;
    let ways = [
        ("off: where it comes in", None),
        ("the other CPU", Some(format!("{tested}-{tested}"))),
        ("both CPUs", Some(format!("{tester},{tested}"))),
    ];
    let row = |children, (who, cpus)| Row { children, who, cpus, copies_per_second: vec![], by_cpu: vec![] };
    let mut rows: Vec<Row> =
        CHILDREN.iter().flat_map(|children| ways.clone().map(|way| row(*children, way))).collect();
    for _ in 0..rounds {
        for row in &mut rows {
            lab::interrupt::check()?;
            offer(&stage, row, copies / row.children as u64)
                .with_context(|| format!("--cpus {:?}", row.cpus))?;
        }
    }
    Ok((table(&rows), json(&rows).to_string()))
}

fn offer(stage: &Stage<'_>, row: &mut Row, packets: u64) -> Result<()> {
    let mut tester = Tester::new(stage, TRAFFIC, Drops::Xdp, row.children, true)?;
    let children = (1..)
        .zip(stage.clients(row.children))
        .map(|(number, at)| format!("egress-{number}={}:{}:{}", at.ip(), at.port(), at.port() + 2))
        .collect();
    let mut config = RelayConfig::new("relay-1", Mode::Xdp, children);
    if let Some(cpus) = &row.cpus {
        config = config.with(&["--cpus", cpus]);
    }
    let others = threads(QUEUES)?;
    let relay = RelayProcess::attach(stage.lab, config)?;
    for thread in threads(QUEUES)?.into_iter().filter(|thread| !others.contains(thread)) {
        before_generator(thread);
    }
    let before = tester.arrived_by_cpu()?;
    let (begin, end) = tester.flood(stage.cpus.tester, packets)?;
    let after = tester.arrived_by_cpu()?;
    relay.terminate().context("ending the relay")?;
    relay.cli().ok(&["detach", "eth0"])?;
    row.by_cpu = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let copies: u64 = row.by_cpu.iter().sum();
    ensure!(copies > 0, "nothing arrived");
    row.copies_per_second.push(copies as f64 * 1e9 / (end - begin).max(1) as f64);
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "\n### Copies/s by `--cpus`, one generator on one of two CPUs ({} streams)\n\n\
         | children | copied on | copies/s | × | on the generator's CPU |\n|---:|---|---:|---:|---:|\n",
        TRAFFIC.streams
    );
    for row in rows {
        let off = rows.iter().find(|off| off.children == row.children && off.cpus.is_none());
        let off = off.map_or(f64::NAN, |off| median(&off.copies_per_second));
        let rate = median(&row.copies_per_second);
        let all: u64 = row.by_cpu.iter().sum();
        let share = row.by_cpu.first().map_or(0.0, |first| *first as f64 * 100.0 / all.max(1) as f64);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.2} | {share:.0} % |",
            row.children,
            row.who,
            grouped(rate),
            rate / off
        );
    }
    text
}

/// The raw figures.
fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let rates: Vec<f64> = row.copies_per_second.iter().map(|rate| rate.round()).collect();
        json!({ "children": row.children, "who": row.who, "cpus": row.cpus, "copies_per_second": rates, "by_cpu": row.by_cpu })
    };
    rows.iter().map(row).collect()
}
