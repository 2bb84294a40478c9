//! Growth: what a copy costs as there are more streams, and what a second receive queue with a CPU of its own brings.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contestant;
use crate::cost;
use crate::figures::median;
use crate::stage::Stage;
use crate::tester::{Tester, Traffic};

const LENGTH: usize = 214;
const CHILDREN: usize = 8;
/// The relay's data planes, and what they cost without this or that.
pub const WHO: [&str; 7] = [
    "xdp",
    "xdp, statistics off",
    "xdp history off",
    "tc",
    "tc, statistics off",
    "tc history off",
    "userspace",
];
const STREAMS: [u32; 5] = [2, 10, 100, 1_000, 10_000];

/// Time of a copy with so many streams.
#[derive(Clone, Debug)]
pub struct Row {
    pub who: &'static str,
    pub streams: u32,
    pub ns_per_copy: Vec<f64>,
}

impl Row {
    pub fn median(&self) -> f64 {
        median(&self.ns_per_copy)
    }
}

/// Measures the relay's data planes.
pub fn measure(stage: &Stage<'_>, quick: bool) -> Result<Vec<Row>> {
    let (rounds, time) = if quick { (1, Duration::from_millis(30)) } else { (3, Duration::from_millis(150)) };
    let streams: &[u32] = if quick { &[2, 10_000] } else { &STREAMS };
    let mut rows: Vec<Row> = WHO
        .into_iter()
        .flat_map(|who| {
            streams.iter().map(move |streams| Row { who, streams: *streams, ns_per_copy: vec![] })
        })
        .collect();
    for _ in 0..rounds {
        for who in WHO {
            lab::interrupt::check()?;
            let contestant = contestant::named(who).context("no such contestant")?;
            let running = contestant.start(stage, CHILDREN)?;
            for row in rows.iter_mut().filter(|row| row.who == who) {
                let traffic = Traffic { length: LENGTH, streams: row.streams, stamps: false };
                let mut tester = Tester::new(stage, traffic, contestant.drops(), CHILDREN, true)?;
                // Everybody is known by then.
                tester.saturate(2 * u64::from(row.streams))?;
                row.ns_per_copy.push(cost::measure(&mut tester, CHILDREN, time)?.ns_per_copy);
            }
            running.stop()?;
        }
    }
    Ok(rows)
}

/// The raw figures.
pub fn json(rows: &[Row]) -> Value {
    rows.iter()
        .map(|Row { who, streams, ns_per_copy }| json!({ "who": who, "streams": streams, "ns_per_copy": ns_per_copy }))
        .collect()
}
