//! [`Latencies`]: how long packets took, as counts by tenths of a millisecond.

use std::time::Duration;

const STEP_NS: u64 = 100_000;
/// Whatever took longer counts as this: two seconds.
const STEPS: usize = 20_000;

/// How long the packets of a flow took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    /// Takes one in.
    pub fn add(&mut self, took_ns: u64) {
        let step = ((took_ns / STEP_NS) as usize).min(STEPS);
        if step >= self.counts.len() {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] += 1;
        self.total += 1;
    }

    /// Takes all of another in.
    pub fn merge(&mut self, other: &Latencies) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.total += other.total;
    }

    /// The same, each shorter by that; what was shorter than that counts as nothing.
    pub fn less(&self, time: Duration) -> Self {
        let steps = ((time.as_nanos() as u64 / STEP_NS) as usize).min(self.counts.len());
        let (short, rest) = self.counts.split_at(steps);
        let mut counts = rest.to_vec();
        if let Some(first) = counts.first_mut() {
            *first += short.iter().sum::<u64>();
        }
        Self { counts, total: self.total }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// So many of them, 0 to 1, took this long or less; to a tenth of a millisecond. Zero if there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        Duration::from_nanos(STEP_NS * step.unwrap_or_default() as u64)
    }

    /// How many took longer.
    pub fn longer_than(&self, limit: Duration) -> u64 {
        let first = (limit.as_nanos() as u64 / STEP_NS) as usize + 1;
        self.counts.get(first..).unwrap_or_default().iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_those_beyond_a_limit() {
        let mut took = Latencies::default();
        assert_eq!((took.quantile(0.5), took.longer_than(Duration::ZERO)), (Duration::ZERO, 0));
        for ms in 1..=100 {
            took.add(ms * 1_000_000);
        }
        took.add(9_000_000_000);
        assert_eq!(took.len(), 101);
        assert_eq!(took.quantile(0.5), Duration::from_millis(51));
        assert_eq!(took.quantile(0.99), Duration::from_millis(100));
        assert_eq!(took.quantile(1.0), Duration::from_secs(2), "as long as can be");
        assert_eq!(took.longer_than(Duration::from_millis(90)), 11);
        assert_eq!(took.less(Duration::from_millis(50)).quantile(0.5), Duration::from_millis(1));
        let mut both = Latencies::default();
        both.merge(&took);
        both.merge(&took);
        assert_eq!((both.len(), both.quantile(0.5)), (202, took.quantile(0.5)));
    }
}
