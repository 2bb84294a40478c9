//! When a source sends: an absolute schedule of small bursts that stretches instead of catching up hard.

/// Most packets of one burst. Times a fan-out of 8 this is a quarter of a veth ring of 256.
pub(crate) const MAX_BURST: u64 = 8;
/// Bursts are sized to come about this often.
const BURST_INTERVAL_NS: u64 = 100_000;
/// How far the schedule may lie behind before it is moved.
const MAX_LAG_NS: u64 = 20_000_000;

/// The schedule of bursts; time is an input.
pub(crate) struct Pace {
    rate: u64,
    pub(crate) burst: u64,
    epoch_ns: u64,
    since_epoch: u64,
    not_before_ns: u64,
}

impl Pace {
    pub(crate) fn new(rate: u64) -> Self {
        let burst = (rate * BURST_INTERVAL_NS / 1_000_000_000).clamp(1, MAX_BURST);
        Self { rate, burst, epoch_ns: 0, since_epoch: 0, not_before_ns: 0 }
    }

    pub(crate) fn begin(&mut self, now: u64) {
        (self.epoch_ns, self.since_epoch, self.not_before_ns) = (now, 0, now);
    }

    /// When the next burst is to go: on schedule, or if late three quarters of an interval after the last.
    pub(crate) fn due(&self) -> u64 {
        (self.epoch_ns + self.span(self.since_epoch)).max(self.not_before_ns)
    }

    pub(crate) fn sent(&mut self, packets: u64, now: u64) {
        self.since_epoch += packets;
        self.not_before_ns = now + self.span(self.burst) * 3 / 4;
        if now > self.epoch_ns + self.span(self.since_epoch) + MAX_LAG_NS {
            (self.epoch_ns, self.since_epoch) = (now, 0);
        }
    }

    fn span(&self, packets: u64) -> u64 {
        (u128::from(packets) * 1_000_000_000 / u128::from(self.rate)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_small_at_any_rate() {
        for (rate, burst) in [(1, 1), (1_000, 1), (50_000, 5), (80_000, 8), (2_000_000, 8)] {
            assert_eq!(Pace::new(rate).burst, burst, "{rate} packets/s");
        }
    }

    #[test]
    fn a_short_delay_is_made_good_without_a_burst() {
        let mut pace = Pace::new(50_000);
        pace.begin(0);
        assert_eq!(pace.due(), 0);
        pace.sent(5, 0);
        assert_eq!(pace.due(), 100_000);
        pace.sent(5, 300_000);
        assert_eq!(pace.due(), 375_000, "not before three quarters of 100 µs");
        let mut now = 300_000;
        for _ in 0..10 {
            now = pace.due();
            pace.sent(5, now);
        }
        assert_eq!(now, 1_100_000, "back on schedule");
    }

    #[test]
    fn a_long_delay_moves_the_schedule() {
        let mut pace = Pace::new(50_000);
        pace.begin(0);
        pace.sent(5, 500_000_000);
        assert_eq!(pace.due(), 500_075_000);
        pace.sent(5, 500_075_000);
        assert_eq!(pace.due(), 500_150_000);
    }
}
