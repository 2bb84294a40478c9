//! Notices that a stream has begun anew under the same SSRC: somebody published again. Pure.
//!
//! Sequence numbers and time stamps of a publication begin anywhere, so nearly always at least one of them jumps. Janus
//! hands such a jump on to the viewers, whose picture then freezes; it has to be told before. `seats` joins the two itself.

use std::time::Duration;

use super::rtp::Header;
use super::sequence;

/// Most that the sender's clock and ours may differ between two packets: s.
const DRIFT: f64 = 2.0;

/// What came last.
#[derive(Clone, Copy, Debug)]
pub struct Continuity {
    clock: f64,
    last: Option<(Header, Duration)>,
}

impl Continuity {
    /// Of a stream with so many ticks a second.
    pub fn new(clock: u32) -> Continuity {
        Continuity { clock: f64::from(clock), last: None }
    }

    /// Takes a packet in. `true`: it does not follow what came before.
    pub fn begins_anew(&mut self, header: Header, now: Duration) -> bool {
        let Some((last, at)) = self.last.replace((header, now)) else { return false };
        if sequence::is_restart(last.sequence, header.sequence) {
            return true;
        }
        let ticks = f64::from(header.timestamp.wrapping_sub(last.timestamp).cast_signed());
        (ticks / self.clock - now.saturating_sub(at).as_secs_f64()).abs() > DRIFT
    }
}

#[cfg(test)]
mod tests {
    use crate::media::Ssrc;

    use super::*;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { payload_type: 96, ssrc: Ssrc(1), sequence, timestamp }
    }

    #[test]
    fn jumps_are_noticed_and_nothing_else() {
        // Step of the sequence number, ticks, ms later, anew?
        let table: [(u16, u32, u64, bool); 12] = [
            (1, 3000, 33, false),
            (1, 0, 0, false),
            (2000, 3000, 33, false),
            (1, 450_000, 5000, false),
            (0u16.wrapping_sub(5), 0u32.wrapping_sub(3000), 1, false),
            (5000, 3000, 33, true),
            (30_000, 3000, 33, true),
            // Sent again, a round trip late.
            (0u16.wrapping_sub(200), 0u32.wrapping_sub(45_000), 1, false),
            (0u16.wrapping_sub(1200), 3000, 33, true),
            (1, 1_000_000, 33, true),
            (1, 0u32.wrapping_sub(1_000_000), 33, true),
            (1, 3000, 60_000, true),
        ];
        for (step, ticks, ms, wanted) in table {
            let mut continuity = Continuity::new(90_000);
            assert!(!continuity.begins_anew(header(65_530, 7), Duration::ZERO));
            let next = header(65_530u16.wrapping_add(step), 7u32.wrapping_add(ticks));
            assert_eq!(
                continuity.begins_anew(next, Duration::from_millis(ms)),
                wanted,
                "{step} {ticks} {ms}"
            );
            let after = header(next.sequence.wrapping_add(1), next.timestamp);
            assert!(!continuity.begins_anew(after, Duration::from_millis(ms)), "only the first of them");
        }
    }
}
