//! How often one place in the code may say something: who asks too much, and whatever fails again and again, would fill a disk
//! otherwise. Pure: the time goes in.
//!
//! There are as many places as the code has, so what is remembered of them is bounded, whatever comes by the wire.

use std::collections::HashMap;
use std::time::Duration;

use tracing::callsite::Identifier;

/// Lines of one place at once.
const AT_ONCE: u32 = 100;
/// From then on one in so long.
const EACH: Duration = Duration::from_secs(1);

/// What each place may still say.
#[derive(Debug, Default)]
pub(super) struct Budgets(HashMap<Identifier, Budget>);

impl Budgets {
    /// May this place say a line now? `Some` says how many lines of it have been left out since its last one.
    pub fn may(&mut self, place: Identifier, now: Duration) -> Option<u64> {
        self.0.entry(place).or_default().may(now)
    }
}

/// What one place may still say: a bucket of tokens that fills as time goes by.
#[derive(Debug)]
struct Budget {
    left: u32,
    /// When the last token was put in.
    since: Duration,
    left_out: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { left: AT_ONCE, since: Duration::ZERO, left_out: 0 }
    }
}

impl Budget {
    fn may(&mut self, now: Duration) -> Option<u64> {
        let due = now.saturating_sub(self.since).as_nanos() / EACH.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        self.since += EACH * due;
        self.left = self.left.saturating_add(due).min(AT_ONCE);
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_hundred_lines_and_then_one_a_second() {
        let (mut budget, at) = (Budget::default(), Duration::from_millis);
        let said = |budget: &mut Budget, from: u64| {
            (0..10_000).filter_map(|n| budget.may(at(from + n))).collect::<Vec<_>>()
        };
        let first = said(&mut budget, 3_600_000);
        assert_eq!(first.len(), 109, "10,000 in ten seconds");
        assert_eq!((first[99], first[100], first[101]), (0, 900, 999), "nothing is left out in silence");
        assert_eq!(said(&mut budget, 3_610_000).len(), 10);
        assert_eq!(said(&mut budget, 7_200_000).len(), 109, "after a while it is as it was");
    }
}
