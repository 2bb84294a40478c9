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
/// So many in a row say nothing: repetitions that were answered (where packets are lost, so are questions and answers), answers that were too soon.
const BY_CHANCE: u32 = 3;

/// The time from a question to its answer, smoothed as in RFC 6298 section 2.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrip {
    /// Smoothed; 0: not measured so far.
    smoothed: u64,
    /// Questions in a row that were answered after they had been repeated. Which of them is answered is not known, so none is measured (Karn's
    /// rule): if it is always so, they are further apart, until one is answered that was asked once.
    repeated: u32,
    /// When the last of these was asked.
    last: u64,
    /// Answers in a row that came sooner than any before.
    too_soon: u32,
}

impl RoundTrip {
    /// A question that was asked once was answered after so long.
    pub fn measured(&mut self, sample: u64) {
        let sample = sample.clamp(1, LATEST);
        self.smoothed = if self.smoothed == 0 { sample } else { (7 * self.smoothed + sample) / 8 };
        self.repeated = 0;
    }

    /// A question was answered that had been repeated, at that time for the last time.
    pub fn ambiguous(&mut self, asked: u64) {
        // What was asked for together is one question.
        if asked != self.last {
            self.repeated = (self.repeated + 1).min(BY_CHANCE + MOST_DOUBLINGS);
            self.last = asked;
        }
    }

    /// Something came so long after it was asked for once: too soon to be the answer. Not the third in a row: then the round trip is another
    /// one, to be measured anew.
    pub fn is_too_soon(&mut self, after: u64) -> bool {
        if after >= self.smoothed / 2 {
            self.too_soon = 0;
            return false;
        }
        self.too_soon += 1;
        if self.too_soon < BY_CHANCE {
            return true;
        }
        (self.smoothed, self.too_soon) = (0, 0);
        false
    }

    /// The round trip, ns, if it has been measured.
    pub fn get(&self) -> Option<u64> {
        (self.smoothed > 0).then_some(self.smoothed)
    }

    /// When to repeat a question that has not been answered, ns: 1.5 times the round trip.
    pub fn repeat_after(&self) -> u64 {
        let (expected, chance) = match self.get() {
            Some(smoothed) => (smoothed + smoothed / 2, BY_CHANCE),
            None => (UNKNOWN, 0),
        };
        let doublings = self.repeated.saturating_sub(chance).min(MOST_DOUBLINGS);
        (expected.max(SOONEST) << doublings).min(LATEST)
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
        for asked in 1..=3 {
            trip.ambiguous(ms(asked));
            trip.ambiguous(ms(asked));
            assert_eq!(trip.repeat_after(), ms(15), "that may be chance");
        }
        (4..=6).for_each(|asked| trip.ambiguous(ms(asked)));
        assert!(trip.repeat_after() > real, "{trip:?}");
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
