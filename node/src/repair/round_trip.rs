//! How long an answer takes, and how late packets come by themselves: both are measured, and decide when to ask.

const MILLISECOND: u64 = 1_000_000;

/// A question is repeated after this until there is a measurement, ns.
const UNKNOWN: u64 = 30 * MILLISECOND;
/// It is not repeated sooner than this, however near the other is, ns.
const SOONEST: u64 = 5 * MILLISECOND;
/// Nor later than this, ns: nobody can wait longer.
const LATEST: u64 = 1_000 * MILLISECOND;
/// How often the time until a repetition may double.
const MOST_DOUBLINGS: u32 = 3;

/// The time from a question to its answer, smoothed as in RFC 6298 section 2.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrip {
    /// Smoothed, and how much it differs; 0: not measured so far.
    smoothed: u64,
    varies: u64,
    /// What came had been asked for more than once, so which question it answers is not known (Karn's rule): until one is answered at once,
    /// they are further apart.
    doubled: u32,
}

impl RoundTrip {
    /// A question that was asked once was answered after so long.
    pub fn measured(&mut self, sample: u64) {
        let sample = sample.min(LATEST);
        if self.smoothed == 0 {
            (self.smoothed, self.varies) = (sample.max(1), sample / 2);
        } else {
            self.varies = (3 * self.varies + self.smoothed.abs_diff(sample)) / 4;
            self.smoothed = ((7 * self.smoothed + sample) / 8).max(1);
        }
        self.doubled = 0;
    }

    /// A question that was repeated was answered.
    pub fn ambiguous(&mut self) {
        self.doubled = (self.doubled + 1).min(MOST_DOUBLINGS);
    }

    /// The round trip, ns, if it has been measured.
    pub fn get(&self) -> Option<u64> {
        (self.smoothed > 0).then_some(self.smoothed)
    }

    /// When to repeat a question that has not been answered, ns: 1.5 times the round trip.
    pub fn repeat_after(&self) -> u64 {
        let expected = match self.get() {
            Some(smoothed) => (smoothed + smoothed / 2).max(smoothed + 2 * self.varies),
            None => UNKNOWN,
        };
        (expected.max(SOONEST) << self.doubled).min(LATEST)
    }
}

/// Who has not seen a packet come late waits this long before he asks, ns.
const FIRST_WAIT: u64 = 2 * MILLISECOND;
/// Nobody waits longer, ns.
const LONGEST_WAIT: u64 = 20 * MILLISECOND;
/// Nor shorter, ns: packets that came together may have been taken by two CPUs.
const SHORTEST_WAIT: u64 = MILLISECOND / 2;

/// How long to wait for what may only be late.
#[derive(Clone, Copy, Debug)]
pub struct Reordering {
    wait: u64,
}

impl Default for Reordering {
    fn default() -> Reordering {
        Reordering { wait: FIRST_WAIT }
    }
}

impl Reordering {
    /// A packet came by itself, so long after the gap was seen.
    pub fn late(&mut self, by: u64) {
        let enough = by.saturating_add(by / 4).min(LONGEST_WAIT);
        if enough > self.wait { self.wait = enough } else { self.relax() }
    }

    /// A packet was lost: to wait for it was in vain.
    pub fn lost(&mut self) {
        self.relax();
    }

    /// How long to wait, ns.
    pub fn wait(&self) -> u64 {
        self.wait
    }

    fn relax(&mut self) {
        self.wait = (self.wait - self.wait / 32).max(SHORTEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(time: u64) -> u64 {
        time * MILLISECOND
    }

    #[test]
    fn a_question_is_repeated_after_one_and_a_half_round_trips() {
        let mut trip = RoundTrip::default();
        assert_eq!((trip.get(), trip.repeat_after()), (None, ms(30)));
        (0..50).for_each(|_| trip.measured(ms(20)));
        assert_eq!((trip.get(), trip.repeat_after()), (Some(ms(20)), ms(30)));
        (0..50).for_each(|_| trip.measured(ms(100)));
        assert!(trip.repeat_after().abs_diff(ms(150)) < ms(5), "{trip:?}");
        (0..80).for_each(|_| trip.measured(1_000));
        assert_eq!(trip.repeat_after(), SOONEST, "never at once");
    }

    #[test]
    fn a_way_that_became_longer_is_found_out_though_every_question_is_repeated() {
        let mut trip = RoundTrip::default();
        (0..50).for_each(|_| trip.measured(ms(10)));
        let real = ms(110);
        let mut ambiguous = 0;
        while trip.repeat_after() < real {
            trip.ambiguous();
            ambiguous += 1;
            assert!(ambiguous <= MOST_DOUBLINGS, "{trip:?}");
        }
        (0..50).for_each(|_| trip.measured(real));
        assert!(trip.get().is_some_and(|time| time.abs_diff(real) < ms(1)));
    }

    #[test]
    fn what_comes_late_by_itself_is_waited_for_and_not_for_ever() {
        let mut order = Reordering::default();
        assert_eq!(order.wait(), ms(2));
        order.late(ms(8));
        assert_eq!(order.wait(), ms(10));
        order.late(ms(500));
        assert_eq!(order.wait(), LONGEST_WAIT);
        (0..1_000).for_each(|_| order.lost());
        assert_eq!(order.wait(), SHORTEST_WAIT);
    }
}
