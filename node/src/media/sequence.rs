//! Whether a packet goes on where its stream was, by its sequence number (RFC 3550 appendix A.1).

use relay_common::rtp::MAX_DROPOUT;

/// A packet up to this much behind another is late. The RFC's MAX_MISORDER, 100, is for networks in which nothing is sent again: what
/// is comes a round trip and more late, at 4 Mbit/s and 300 ms 125 packets.
pub const MAX_LATE: u16 = 1000;

/// True when a packet cannot be of the same sequence as the one that came last: neither a few packets on, some lost, nor a
/// late one. So its stream began anew: the encoder was restarted, or somebody else publishes.
pub fn is_restart(last: u16, next: u16) -> bool {
    let ahead = next.wrapping_sub(last);
    let behind = ahead.wrapping_neg();
    ahead >= MAX_DROPOUT && behind > MAX_LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_lost_nor_late_began_anew() {
        let table: [(i32, bool); 9] = [
            (0, false),
            (1, false),
            (2999, false),
            (3000, true),
            (30_000, true),
            (-1, false),
            (-125, false),
            (-1000, false),
            (-1001, true),
        ];
        for (step, wanted) in table {
            for last in [0_u16, 40_000, 65_530] {
                let next = last.wrapping_add_signed(step as i16);
                assert_eq!(is_restart(last, next), wanted, "{step} from {last}");
            }
        }
    }
}
