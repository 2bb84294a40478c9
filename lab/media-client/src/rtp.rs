//! [`Counted`]: packets of one stream, and those that are missing.

use node::media::Ssrc;
use node::media::rtp::Header;

/// What arrived at the end of a stream's path, behind the jitter buffer, so in order.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// SSRC of the last packet.
    pub ssrc: u32,
    /// All packets.
    pub packets: u64,
    /// Sequence numbers that were left out.
    pub lost: u64,
    /// Times that the SSRC was another than before.
    pub restarts: u64,
    last: Option<u16>,
}

impl Counted {
    /// Counts a packet; what is no RTP does not count.
    pub fn count(&mut self, packet: &[u8]) {
        let Ok(Header { sequence, ssrc: Ssrc(ssrc), .. }) = Header::read(packet) else { return };
        self.packets += 1;
        match self.last {
            Some(_) if ssrc != self.ssrc => self.restarts += 1,
            Some(last) => {
                let step = sequence.wrapping_sub(last);
                // Not forwards: a repetition, which is no loss and does not move us back.
                if step == 0 || step >= 0x8000 {
                    return;
                }
                self.lost += u64::from(step) - 1;
            }
            None => {}
        }
        (self.ssrc, self.last) = (ssrc, Some(sequence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
        [&[0x80, 96][..], &sequence.to_be_bytes(), &[0; 4], &ssrc.to_be_bytes()].concat()
    }

    #[test]
    fn gaps_are_losses_and_wraps_are_not() {
        let mut counted = Counted::default();
        for sequence in [65_534, 65_535, 0, 3, 3, 2, 4] {
            counted.count(&packet(sequence, 7));
        }
        assert_eq!((counted.packets, counted.lost, counted.restarts, counted.ssrc), (7, 2, 0, 7));
    }

    #[test]
    fn another_ssrc_begins_anew() {
        let mut counted = Counted::default();
        counted.count(&packet(10, 7));
        counted.count(&packet(9_000, 8));
        counted.count(&[0x80; 11]);
        // A sender report.
        counted.count(&[0x80, 200, 0, 6, 0, 0, 0, 8, 1, 2, 3, 4]);
        assert_eq!((counted.packets, counted.lost, counted.restarts, counted.ssrc), (2, 0, 1, 8));
    }
}
