//! Time as RTCP tells it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds from 1900 to 1970.
const UNIX: u64 = 2_208_988_800;

/// Wall-clock time: seconds since 1900 in the upper 32 bits, fractions of one in the lower (RFC 3550 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ntp(pub u64);

impl Ntp {
    /// The middle 32 bits, in units of 1/65,536 s: what a receiver names a report by.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl From<SystemTime> for Ntp {
    /// The clock of 2036 begins at 0 again, as the format wants it.
    fn from(time: SystemTime) -> Ntp {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Ntp(since.as_secs().wrapping_add(UNIX) << 32 | fraction)
    }
}

/// Units of 1/65,536 s.
pub(super) fn duration(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_from_1900() {
        let half = UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!(Ntp::from(half), Ntp((UNIX + 1) << 32 | 1 << 31));
        assert_eq!(Ntp::from(half).middle(), 0x7e81_8000);
        assert_eq!(duration(0x0001_8000), Duration::from_millis(1500));
    }
}
