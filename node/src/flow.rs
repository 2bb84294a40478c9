//! What comes to a node, and what of it was lost on the way: of the last ten seconds, which is what a whole tree is shown
//! by. Pure.
//!
//! A node has one parent, so what comes to it is what its edge of the tree carries. It says so in its entry of the directory,
//! in a few numbers however many children and streams it has.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// RTP that came to a node since it started; of an injection, what it sent, each packet once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Packets that did not come, by the sequence numbers (RFC 3550 appendix A.3).
    pub lost: u64,
    /// Packets that came after they had been asked for again; they are among `packets`.
    pub repaired: u64,
}

/// What came in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// How long the while was, ms.
    pub ms: u64,
    /// RTP packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// Packets that came after they had been asked for again.
    #[serde(default)]
    pub repaired: u64,
}

impl Flow {
    /// Packets a second.
    pub fn packet_rate(&self) -> f64 {
        self.packets as f64 * 1000.0 / self.ms.max(1) as f64
    }

    /// Bits a second.
    pub fn bit_rate(&self) -> f64 {
        self.bytes as f64 * 8000.0 / self.ms.max(1) as f64
    }
}

/// What is remembered.
const WINDOW: Duration = Duration::from_secs(10);
/// For so long what a child missed before it was sent anything may be in its flow: the window, a reading and the next one.
pub const NEW: Duration = Duration::from_secs(15);
/// Most readings, however often it is read.
const READINGS: usize = 64;

/// Counters to rates.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    readings: VecDeque<(Duration, Received)>,
}

impl Meter {
    /// Takes a reading in, and gives what came since the one of ten seconds ago. `None`: it is the first. `now`: any steady clock.
    pub fn read(&mut self, received: Received, now: Duration) -> Option<Flow> {
        let fell =
            |(_, last): &(Duration, Received)| received.packets < last.packets || received.bytes < last.bytes;
        // It counts from the beginning again.
        if self.readings.back().is_some_and(fell) {
            self.readings.clear();
        }
        while self.readings.len() >= READINGS
            || self.readings.get(1).is_some_and(|(at, _)| *at + WINDOW <= now)
        {
            self.readings.pop_front();
        }
        let first = self.readings.front().copied();
        self.readings.push_back((now, received));
        let (at, before) = first?;
        let ms = u64::try_from(now.saturating_sub(at).as_millis()).ok().filter(|ms| *ms > 0)?;
        Some(Flow {
            ms,
            packets: received.packets - before.packets,
            bytes: received.bytes - before.bytes,
            // Fewer than before: what had been taken for lost was late.
            lost: received.lost.saturating_sub(before.lost),
            repaired: received.repaired.saturating_sub(before.repaired),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(packets: u64, lost: u64) -> Received {
        Received { packets, bytes: packets * 1000, lost, repaired: packets / 100 }
    }

    #[test]
    fn ten_seconds_are_remembered_and_no_more() {
        let mut meter = Meter::default();
        let seconds = Duration::from_secs;
        assert_eq!(meter.read(received(0, 0), seconds(0)), None, "one reading is no rate");
        let mut last = None;
        for at in (2..=60).step_by(2) {
            // A hundred a second, and ten lost in the first second.
            last = meter.read(received(at * 100, 10), seconds(at));
        }
        assert_eq!(last, Some(Flow { ms: 10_000, packets: 1000, bytes: 1_000_000, lost: 0, repaired: 10 }));
        let flow = last.unwrap();
        assert_eq!((flow.packet_rate(), flow.bit_rate()), (100.0, 800_000.0));
    }

    #[test]
    fn a_count_that_begins_again_is_no_rate() {
        let mut meter = Meter::default();
        meter.read(received(1000, 5), Duration::from_secs(1));
        assert_eq!(meter.read(received(10, 0), Duration::from_secs(3)), None);
        let flow = meter.read(received(30, 0), Duration::from_secs(5)).unwrap();
        assert_eq!((flow.ms, flow.packets, flow.lost), (2000, 20, 0));
    }

    #[test]
    fn what_was_only_late_is_not_lost() {
        let mut meter = Meter::default();
        meter.read(received(1000, 5), Duration::from_secs(1));
        assert_eq!(meter.read(received(1100, 3), Duration::from_secs(3)).unwrap().lost, 0);
    }

    #[test]
    fn two_readings_at_once_are_no_rate_and_many_are_not_kept() {
        let mut meter = Meter::default();
        for _ in 0..1000 {
            assert_eq!(meter.read(received(5, 0), Duration::from_secs(1)), None);
        }
        assert!(meter.readings.len() <= READINGS);
    }
}
