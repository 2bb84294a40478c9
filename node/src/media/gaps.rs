//! How many packets of a stream did not come, by their sequence numbers (RFC 3550 appendix A.3). Pure.

use super::sequence;

/// What came of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// The highest sequence number so far, and how many there should have been since the stream began.
    highest: Option<(u16, u64)>,
    /// How many came of these.
    came: u64,
    /// What was lost before the stream began anew.
    before: u64,
}

impl Gaps {
    /// A packet came.
    pub fn took(&mut self, number: u16) {
        match self.highest {
            Some((last, _)) if sequence::is_restart(last, number) => {
                *self = Gaps { before: self.lost(), highest: Some((number, 1)), came: 0 };
            }
            Some((last, expected)) => {
                let ahead = number.wrapping_sub(last);
                // Else it is late, or the same again.
                if ahead < 1 << 15 {
                    self.highest = Some((number, expected + u64::from(ahead)));
                }
            }
            None => self.highest = Some((number, 1)),
        }
        self.came += 1;
    }

    /// How many did not come. Fewer, once they turn out to be only late.
    pub fn lost(&self) -> u64 {
        let expected = self.highest.map_or(0, |(_, expected)| expected);
        self.before + expected.saturating_sub(self.came)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_counted_and_what_is_late_is_not() {
        let table: [(&[u16], u64); 8] = [
            (&[], 0),
            (&[7], 0),
            (&[65_534, 65_535, 0, 1], 0),
            (&[1, 2, 5], 2),
            (&[1, 2, 5, 3, 4], 0),
            (&[1, 3, 3], 0),
            // Begins anew, after one was lost.
            (&[1, 3, 40_000, 40_001], 1),
            (&[1, 3, 40_000, 40_003], 3),
        ];
        for (numbers, lost) in table {
            let mut gaps = Gaps::default();
            numbers.iter().for_each(|number| gaps.took(*number));
            assert_eq!(gaps.lost(), lost, "{numbers:?}");
        }
    }
}
