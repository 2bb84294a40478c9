//! CPU time per copy: one CPU does everything and is never idle, so its time is all there is.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::figures::median;
use crate::tester::Tester;

/// Enough to see how long a packet takes.
const FIRST: u64 = 64;
/// What interrupts a run (a tick, the host) is not the path's: the median of so many does without it.
const RUNS: u32 = 9;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Cost {
    pub packets: u64,
    /// CPU time of one packet with all its copies: generator, path and receivers.
    pub ns_per_packet: f64,
    /// The same for each copy that arrived.
    pub ns_per_copy: f64,
    /// Copies that should have come, and those that came late or twice.
    pub lost: u64,
    pub late: u64,
}

/// Loads one CPU for about `time`.
pub fn measure(tester: &mut Tester<'_>, children: usize, time: Duration) -> Result<Cost> {
    let guess = tester.saturate(FIRST)?.ns_per_packet().max(1.0);
    let each = time.as_nanos() as f64 / f64::from(RUNS);
    let packets = ((each / guess) as u64).clamp(FIRST, 4_000_000);
    let (mut times, mut sent, mut copies, mut lost, mut late) = (Vec::new(), 0, 0, 0, 0);
    for _ in 0..RUNS {
        lab::interrupt::check()?;
        let outcome = tester.saturate(packets)?;
        times.push(outcome.ns_per_packet());
        sent += outcome.sent;
        copies += outcome.copies;
        lost += outcome.lost;
        late += outcome.late;
    }
    let ns_per_packet = median(&times);
    let arrived = copies as f64 / sent.max(1) as f64;
    debug_assert!(arrived <= children as f64 || late > 0);
    Ok(Cost { packets: sent, ns_per_packet, ns_per_copy: ns_per_packet / arrived.max(1e-9), lost, late })
}

impl Cost {
    pub fn json(&self) -> Value {
        let Cost { packets, ns_per_packet, ns_per_copy, lost, late } = self;
        let tenths = |ns: f64| (ns * 10.0).round() / 10.0;
        json!({
            "packets": packets, "ns_per_packet": tenths(*ns_per_packet), "ns_per_copy": tenths(*ns_per_copy),
            "lost": lost, "late": late,
        })
    }
}
