//! Numbering of RTP packets that goes on when a publication follows another, without I/O.
//!
//! A session's SSRC stays the same for its whole life, and receivers take sequence numbers that jump back for old packets
//! and drop them. So what one publisher began, the next continues: its numbers and timestamps are shifted by what makes
//! them follow the last ones sent.

use std::time::Duration;

use node::media::sequence;

/// Shifts one stream's numbers.
#[derive(Clone, Debug)]
pub struct Numbering {
    clock: u32,
    shift: Option<Shift>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Shift {
    sequence: u16,
    timestamp: u32,
}

/// The newest packet: as it came and as it went.
#[derive(Clone, Copy, Debug)]
struct Last {
    came: u16,
    sequence: u16,
    timestamp: u32,
    at: Duration,
}

impl Numbering {
    /// For a stream with timestamps of this clock rate.
    pub fn new(clock: u32) -> Numbering {
        Numbering { clock, shift: None, last: None }
    }

    /// Another publication begins: its first packet follows the last one.
    pub fn begin(&mut self) {
        self.shift = None;
    }

    /// The number and timestamp that a packet goes out with. `now`: since 1970, so that timestamps go on after a restart
    /// of the node, too.
    pub fn shifted(&mut self, sequence: u16, timestamp: u32, now: Duration) -> (u16, u32) {
        let began_anew = self.last.is_some_and(|last| sequence::is_restart(last.came, sequence));
        let shift = match self.shift {
            Some(shift) if !began_anew => shift,
            _ => self.begin_at(sequence, timestamp, now),
        };
        let shifted = (sequence.wrapping_add(shift.sequence), timestamp.wrapping_add(shift.timestamp));
        let newer = self.last.is_none_or(|last| shifted.0.wrapping_sub(last.sequence) < u16::MAX / 2);
        if newer {
            self.last = Some(Last { came: sequence, sequence: shifted.0, timestamp: shifted.1, at: now });
        }
        shifted
    }

    fn begin_at(&mut self, sequence: u16, timestamp: u32, now: Duration) -> Shift {
        let shift = match self.last {
            None => Shift { sequence: 0, timestamp: ticks(now, self.clock).wrapping_sub(timestamp) },
            Some(last) => {
                // At least one tick on: the same timestamp would make it the same frame.
                let passed = ticks(now.saturating_sub(last.at), self.clock).max(1);
                Shift {
                    sequence: last.sequence.wrapping_add(1).wrapping_sub(sequence),
                    timestamp: last.timestamp.wrapping_add(passed).wrapping_sub(timestamp),
                }
            }
        };
        self.shift = Some(shift);
        shift
    }
}

fn ticks(time: Duration, clock: u32) -> u32 {
    // Wraps as timestamps do.
    (time.as_micros() * u128::from(clock) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_next_publication_goes_on_where_the_last_ended() {
        let mut numbering = Numbering::new(90_000);
        let (first, t) = numbering.shifted(65_000, 1000, at(0));
        assert_eq!(numbering.shifted(65_001, 4000, at(33)), (first.wrapping_add(1), t + 3000));
        numbering.begin();
        let second = numbering.shifted(12, 7, at(1033));
        assert_eq!(second, (first.wrapping_add(2), t + 3000 + 90_000));
        // Late and out of order packets keep their places.
        assert_eq!(numbering.shifted(14, 7, at(1034)).0, second.0 + 2);
        assert_eq!(numbering.shifted(13, 7, at(1035)).0, second.0 + 1);
        assert_eq!(numbering.shifted(15, 7, at(1036)).0, second.0 + 3);
    }

    #[test]
    fn an_encoder_that_begins_anew_in_mid_publication_is_followed() {
        let mut numbering = Numbering::new(48_000);
        let (first, t) = numbering.shifted(100, 0, at(0));
        let (sequence, timestamp) = numbering.shifted(40_000, 999, at(20));
        assert_eq!((sequence, timestamp), (first + 1, t + 960));
    }

    #[test]
    fn timestamps_follow_the_wall_clock_so_that_a_restart_does_not_set_them_back() {
        let before = Numbering::new(90_000).shifted(1, 5, at(1_000)).1;
        let after = Numbering::new(90_000).shifted(9, 77, at(3_000)).1;
        assert_eq!(after.wrapping_sub(before), 180_000);
    }

    proptest! {
        #[test]
        fn publications_in_order_make_one_stream_without_gap(
            starts in proptest::collection::vec((any::<u16>(), any::<u32>(), 1_u16..400), 1..8),
        ) {
            let mut numbering = Numbering::new(90_000);
            let (mut now, mut sent) = (0, Vec::new());
            for (sequence, timestamp, count) in starts {
                numbering.begin();
                for n in 0..count {
                    now += 20;
                    let stamp = timestamp.wrapping_add(u32::from(n) * 1800);
                    sent.push(numbering.shifted(sequence.wrapping_add(n), stamp, at(now)));
                }
            }
            for pair in sent.windows(2) {
                prop_assert_eq!(pair[1].0, pair[0].0.wrapping_add(1));
                prop_assert_eq!(pair[1].1.wrapping_sub(pair[0].1), 1800);
            }
        }
    }
}
