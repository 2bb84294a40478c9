//! How many events become one look at Redis. Pure: the time goes in.
//!
//! The first event after a quiet time is answered at once: that is what an operator feels, and so are the next few,
//! which a script sends that waits for the effect of each. While events keep coming the gap between looks doubles up to
//! [`LONGEST`], so that a thousand changes in a second cost a few looks.

use std::time::Duration;

/// Gap after the first look.
pub const SHORTEST: Duration = Duration::from_millis(10);
/// Looks with the shortest gap before it grows.
pub const PROMPT: u32 = 5;
/// Longest gap while events keep coming.
pub const LONGEST: Duration = Duration::from_millis(100);

/// When to look.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Since when a look is asked for.
    asked: Option<Duration>,
    /// No look before.
    not_before: Duration,
    gap: Duration,
    /// Looks left before the gap grows.
    prompt: u32,
}

impl Pace {
    /// Quiet.
    pub fn new() -> Pace {
        Pace { asked: None, not_before: Duration::ZERO, gap: SHORTEST, prompt: PROMPT }
    }

    /// Something happened.
    pub fn ask(&mut self, now: Duration) {
        if self.asked.is_none() && now >= self.not_before {
            // Nothing came in the whole of the last gap.
            self.gap = SHORTEST;
            self.prompt = PROMPT;
        }
        self.asked.get_or_insert(now);
    }

    /// When the next look is to be, if one is asked for; it may be in the past.
    pub fn due(&self) -> Option<Duration> {
        self.asked.map(|asked| asked.max(self.not_before))
    }

    /// A look begins: what is asked for from now on needs another one. Gives when the first of the events came that
    /// this look answers.
    pub fn look(&mut self, now: Duration) -> Option<Duration> {
        self.not_before = now + self.gap;
        match self.prompt {
            0 => self.gap = (self.gap * 2).min(LONGEST),
            _ => self.prompt -= 1,
        }
        self.asked.take()
    }
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Looks taken when events come at these times.
    fn looks(events: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut events: Vec<Duration> = events.into_iter().map(ms).collect();
        events.reverse();
        let (mut pace, mut looks) = (Pace::new(), Vec::new());
        loop {
            match (events.last().copied(), pace.due()) {
                (Some(event), due) if due.is_none_or(|due| event <= due) => {
                    events.pop();
                    pace.ask(event);
                }
                (_, Some(due)) => {
                    assert!(pace.look(due).is_some_and(|asked| asked <= due));
                    looks.push(due.as_millis() as u64);
                }
                (None, None) => return looks,
                (Some(_), None) => unreachable!("the first arm takes it"),
            }
        }
    }

    #[test]
    fn a_single_event_is_answered_at_once() {
        assert_eq!(looks([1000, 3000, 3050, 3100]), [1000, 3000, 3050, 3100]);
    }

    #[test]
    fn a_second_one_soon_after_waits_a_moment() {
        assert_eq!(looks([1000, 1001, 1002]), [1000, 1010]);
    }

    #[test]
    fn a_thousand_in_a_second_cost_a_few_looks() {
        let looks = looks(0..1000);
        assert!(looks.len() <= 18, "{looks:?}");
        assert!(*looks.last().unwrap() >= 999, "the last event is answered: {looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] <= 100), "{looks:?}");
    }
}
