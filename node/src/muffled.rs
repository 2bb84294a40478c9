//! Warnings that somebody else, or a packet each, could otherwise fill a disk with. Pure: the time goes in.

use std::time::Duration;

/// From one warning to the next.
const QUIET: Duration = Duration::from_secs(10);

/// Lets one warning through, and then none for a while.
#[derive(Debug, Default)]
pub struct Muffled {
    until: Option<Duration>,
    swallowed: u64,
}

impl Muffled {
    /// May a warning be given? `Some` says how many were swallowed since the last one.
    pub fn may(&mut self, now: Duration) -> Option<u64> {
        if self.until.is_some_and(|until| now < until) {
            self.swallowed += 1;
            return None;
        }
        self.until = Some(now + QUIET);
        Some(std::mem::take(&mut self.swallowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_a_number() {
        let mut muffled = Muffled::default();
        let at = Duration::from_secs;
        assert_eq!(muffled.may(at(0)), Some(0));
        assert_eq!((0..100).filter_map(|_| muffled.may(at(5))).count(), 0);
        assert_eq!(muffled.may(at(10)), Some(100));
        assert_eq!(muffled.may(at(30)), Some(0));
    }
}
