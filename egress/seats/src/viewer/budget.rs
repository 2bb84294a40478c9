//! How much a viewer gets that it asks for.

use std::time::Duration;

/// Packets a second that a viewer may ask for again, and at once after a while without. Of 190 packets a second with 2 % lost that
/// is sixty times what it needs; and a viewer who asks for everything costs two and a half viewers.
const AGAIN: Budget = Budget { most: 256.0, a_second: 256.0, left: 256.0, at: Duration::ZERO };
/// Keyframes, which all viewers of the stream get: as many at once as a bad moment of a network may need, and one in so many seconds
/// for who never stops asking.
const KEYFRAMES: Budget = Budget { most: 4.0, a_second: 0.2, left: 4.0, at: Duration::ZERO };

/// A viewer's.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    most: f64,
    a_second: f64,
    left: f64,
    at: Duration,
}

impl Budget {
    /// Of packets that are sent again; full.
    pub fn again(now: Duration) -> Budget {
        Budget { at: now, ..AGAIN }
    }

    /// Of keyframes that are asked for on its behalf; full.
    pub fn keyframes(now: Duration) -> Budget {
        Budget { at: now, ..KEYFRAMES }
    }

    /// Takes one out of it. `false`: there is none.
    pub fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * self.a_second).min(self.most);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let mut budget = Budget::again(Duration::ZERO);
        let mut taken = |ms: u64| (0..1000).filter(|_| budget.take(Duration::from_millis(ms))).count();
        assert_eq!([0, 0, 500, 500, 10_000, 9_000].map(&mut taken), [256, 0, 128, 0, 256, 0]);
        let mut budget = Budget::keyframes(Duration::ZERO);
        let mut taken = |s: u64| (0..9).filter(|_| budget.take(Duration::from_secs(s))).count();
        assert_eq!([0, 1, 5, 6, 10, 100].map(&mut taken), [4, 0, 1, 0, 1, 4]);
    }
}
