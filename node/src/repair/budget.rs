//! So much in a time, and no more: a token bucket.

/// Seconds are counted in these.
const SECOND: u64 = 1_000_000_000;

/// What is left of a budget.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    left: u64,
    /// When it was last filled up.
    at: u64,
    /// What it had gained by then beyond whole units, in units * ns.
    part: u64,
}

impl Budget {
    /// A budget that is full.
    pub fn full(most: u64, now: u64) -> Budget {
        Budget { left: most, at: now, part: 0 }
    }

    /// Adds what has been gained since the last time, at so much a second, up to `most`.
    pub fn gain(&mut self, a_second: u64, most: u64, now: u64) {
        let gained = u128::from(now.saturating_sub(self.at)) * u128::from(a_second) + u128::from(self.part);
        self.at = self.at.max(now);
        self.part = (gained % u128::from(SECOND)) as u64;
        let whole = u64::try_from(gained / u128::from(SECOND)).unwrap_or(u64::MAX);
        // What was added beyond that stays.
        self.left = self.left.max(self.left.saturating_add(whole).min(most));
    }

    /// Adds so much at once, up to `most`.
    pub fn add_up_to(&mut self, amount: u64, most: u64) {
        self.left = self.left.max(self.left.saturating_add(amount).min(most));
    }

    /// Nothing has been gained for so long.
    pub fn is_idle(&self, now: u64, time: u64) -> bool {
        now.saturating_sub(self.at) >= time
    }

    /// Takes so much, or nothing if there is less.
    #[must_use]
    pub fn take(&mut self, amount: u64) -> bool {
        let left = self.left.checked_sub(amount);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_spent_than_was_there_and_came() {
        let mut budget = Budget::full(10, 0);
        let mut spent = 0;
        // At odd times, so that parts of units count.
        for now in (0..3_000_000_000).step_by(1_234_567) {
            budget.gain(100, 10, now);
            while budget.take(1) {
                spent += 1;
            }
        }
        assert_eq!(spent, 10 + 299);
    }

    #[test]
    fn it_never_has_more_than_the_most_and_time_does_not_go_back() {
        let mut budget = Budget::full(0, 1_000);
        budget.gain(u64::MAX, 10, u64::MAX);
        assert!(!budget.take(11) && budget.take(10) && !budget.take(1));
        budget.gain(1_000_000_000, 10, 5);
        assert!(!budget.take(1));
    }
}
