//! [`Tally`]: packets of one stream by their sequence numbers, those that are missing, and the longest time without one.

use std::time::Duration;

use node::media::Ssrc;
use node::media::rtp::Header;

/// Sequence numbers back from the newest within which a late packet is known from a repeated one.
const WINDOW: u16 = 1024;

/// What arrived of a stream.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// SSRC of the newest packet.
    pub ssrc: u32,
    /// Packets, repeated ones not among them.
    pub packets: u64,
    /// Their bytes, as UDP carried them.
    pub bytes: u64,
    /// Sequence numbers that were left out and did not come late either.
    pub lost: u64,
    /// Packets that came behind a newer one.
    pub late: u64,
    /// Packets that had come before.
    pub repeated: u64,
    /// Times that the SSRC was another than before.
    pub restarts: u64,
    /// Longest time between two packets.
    pub longest_gap: Duration,
    newest: Option<Newest>,
}

#[derive(Clone, Debug)]
struct Newest {
    sequence: u16,
    /// Nanoseconds of the clock that [`Tally::count`] is told the time by.
    at: u64,
    /// One bit for each of the last [`WINDOW`] sequence numbers: did it come?
    came: [u64; WINDOW as usize / 64],
}

impl Newest {
    fn bit(&mut self, sequence: u16) -> (&mut u64, u64) {
        let place = usize::from(sequence % WINDOW);
        (&mut self.came[place / 64], 1 << (place % 64))
    }

    fn set(&mut self, sequence: u16, came: bool) {
        let (word, bit) = self.bit(sequence);
        *word = if came { *word | bit } else { *word & !bit };
    }
}

impl Tally {
    /// Counts a packet that arrived at `now`, in nanoseconds; what is no RTP does not count.
    pub fn count(&mut self, packet: &[u8], now: u64) {
        if let Ok(Header { sequence, ssrc: Ssrc(ssrc), .. }) = Header::read(packet) {
            self.add(sequence, ssrc, packet.len(), now);
        }
    }

    /// The same of a packet whose header is known.
    pub fn add(&mut self, sequence: u16, ssrc: u32, bytes: usize, now: u64) {
        let known = ssrc == self.ssrc;
        let Some(newest) = self.newest.as_mut().filter(|_| known) else {
            self.restarts += u64::from(self.newest.is_some());
            let before = self.newest.as_ref().map_or(now, |newest| newest.at);
            self.longest_gap = self.longest_gap.max(Duration::from_nanos(now.saturating_sub(before)));
            // What was before the first is none of ours: as if it had come.
            self.newest = Some(Newest { sequence, at: now, came: [u64::MAX; WINDOW as usize / 64] });
            (self.ssrc, self.packets, self.bytes) = (ssrc, self.packets + 1, self.bytes + bytes as u64);
            return;
        };
        let ahead = sequence.wrapping_sub(newest.sequence);
        if ahead == 0 || ahead >= 0x8000 {
            let (word, bit) = newest.bit(sequence);
            if ahead.wrapping_neg() >= WINDOW || *word & bit != 0 {
                self.repeated += 1;
                return;
            }
            *word |= bit;
            self.late += 1;
            self.lost -= 1;
        } else {
            for missing in 1..ahead.min(WINDOW) {
                newest.set(sequence.wrapping_sub(missing), false);
            }
            newest.set(sequence, true);
            newest.sequence = sequence;
            self.lost += u64::from(ahead) - 1;
        }
        self.longest_gap = self.longest_gap.max(Duration::from_nanos(now.saturating_sub(newest.at)));
        newest.at = newest.at.max(now);
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    /// What came here, and then there of another stream; the time between is no gap of either.
    pub fn then(self, next: Tally) -> Tally {
        Tally {
            packets: self.packets + next.packets,
            bytes: self.bytes + next.bytes,
            lost: self.lost + next.lost,
            late: self.late + next.late,
            repeated: self.repeated + next.repeated,
            restarts: self.restarts + next.restarts,
            longest_gap: self.longest_gap.max(next.longest_gap),
            ..next
        }
    }

    /// When the newest came.
    pub fn last(&self) -> Option<u64> {
        self.newest.as_ref().map(|newest| newest.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
        [&[0x80, 96][..], &sequence.to_be_bytes(), &[0; 4], &ssrc.to_be_bytes()].concat()
    }

    fn after(sequences: &[u16]) -> Tally {
        let mut tally = Tally::default();
        for (at, sequence) in sequences.iter().enumerate() {
            tally.count(&packet(*sequence, 7), at as u64 * 1000);
        }
        tally
    }

    #[test]
    fn gaps_are_losses_and_wraps_are_not() {
        let tally = after(&[65_534, 65_535, 0, 3, 4]);
        assert_eq!((tally.packets, tally.lost, tally.late, tally.restarts, tally.ssrc), (5, 2, 0, 0, 7));
    }

    #[test]
    fn what_comes_late_is_not_lost_and_what_comes_twice_counts_once() {
        let tally = after(&[65_534, 0, 3, 3, 65_535, 2, 65_535, 4]);
        assert_eq!((tally.packets, tally.lost, tally.late, tally.repeated), (6, 1, 2, 2));
    }

    #[test]
    fn what_was_before_the_first_is_not_missed() {
        let tally = after(&[10, 9, 8, 11]);
        assert_eq!((tally.packets, tally.lost, tally.repeated), (2, 0, 2));
    }

    #[test]
    fn a_long_gap_is_lost_whole_and_its_last_may_come_late() {
        let tally = after(&[10, 5011, 5010, 4000, 3000]);
        // The last two are further back than anybody remembers.
        assert_eq!((tally.packets, tally.lost, tally.late, tally.repeated), (4, 4998, 2, 1));
    }

    #[test]
    fn another_ssrc_begins_anew() {
        let mut tally = after(&[10]);
        tally.count(&packet(9_000, 8), 1);
        tally.count(&[0x80; 11], 2);
        // A sender report.
        tally.count(&[0x80, 200, 0, 6, 0, 0, 0, 8, 1, 2, 3, 4], 3);
        assert_eq!((tally.packets, tally.lost, tally.restarts, tally.ssrc), (2, 0, 1, 8));
    }

    #[test]
    fn the_longest_time_without_a_packet_is_kept() {
        let mut tally = Tally::default();
        for (sequence, at) in [(1, 5), (2, 10), (3, 110), (4, 120)] {
            tally.count(&packet(sequence, 7), at);
        }
        assert_eq!((tally.longest_gap, tally.last()), (Duration::from_nanos(100), Some(120)));
    }
}
