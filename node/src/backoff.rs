//! Pauses between attempts to reach a server that is away.
//!
//! Each is twice as long as the one before, up to a longest, and each is cut short by chance: a thousand nodes that lost a
//! server at one moment must not all be back at one moment.

use std::time::Duration;

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// From the first pause to the longest.
    pub fn new([first, longest]: [Duration; 2]) -> Backoff {
        Backoff { first, longest, next: first }
    }

    /// An attempt has failed: how long to wait, half of the full pause or more.
    pub fn pause(&mut self) -> Duration {
        self.pause_by(rand::random())
    }

    /// The same, by a number from 0 to 1.
    fn pause_by(&mut self, chance: f64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// An attempt has succeeded: the next pause is a first one.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new([ms(100), ms(350)]);
        let pauses = [1.0, 1.0, 1.0, 1.0, 0.0].map(|chance| backoff.pause_by(chance));
        assert_eq!(pauses, [ms(100), ms(200), ms(350), ms(350), ms(175)]);
        backoff.reset();
        assert_eq!(backoff.pause_by(0.5), ms(75));
    }

    #[test]
    fn a_thousand_nodes_do_not_come_back_at_once() {
        let pauses: Vec<Duration> =
            (0..1000).map(|_| Backoff::new([Duration::from_secs(2); 2]).pause()).collect();
        let within = |from: u64, to: u64| {
            pauses.iter().filter(|pause| (from..to).contains(&(pause.as_millis() as u64))).count()
        };
        assert_eq!(within(1000, 2001), 1000);
        let fullest = (0..10).map(|tenth| within(1000 + 100 * tenth, 1100 + 100 * tenth)).max();
        assert!(fullest < Some(200), "{fullest:?} in a tenth of the time");
    }
}
