//! How much is sent again.

use std::time::Duration;

/// Packets a second that a viewer may ask for again, and at once after a while without. Of 190 packets a second with 2 % lost that
/// is sixty times what it needs; and a viewer who asks for everything costs two and a half viewers.
const PACKETS: f64 = 256.0;

/// A viewer's.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: f64,
    at: Duration,
}

impl Budget {
    /// Full.
    pub fn new(now: Duration) -> Budget {
        Budget { left: PACKETS, at: now }
    }

    /// Takes one packet's worth. `false`: there is none.
    pub fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * PACKETS).min(PACKETS);
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
        let mut budget = Budget::new(Duration::ZERO);
        let mut taken = |ms: u64| (0..1000).filter(|_| budget.take(Duration::from_millis(ms))).count();
        assert_eq!([0, 0, 500, 500, 10_000, 9_000].map(&mut taken), [256, 0, 128, 0, 256, 0]);
    }
}
