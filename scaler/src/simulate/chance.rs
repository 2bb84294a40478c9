//! What happens by chance: the same for the same seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_distr::{Binomial, Distribution, LogNormal, Poisson};

/// How long something takes: half of the times at most `median` seconds, 19 of 20 at most `p95`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Takes {
    /// Seconds.
    pub median: f64,
    /// Seconds.
    pub p95: f64,
}

/// Of one run.
pub struct Dice(StdRng);

impl Dice {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Dice {
        Dice(StdRng::seed_from_u64(seed))
    }

    /// How many of something that happens by itself, so many on average.
    pub fn number(&mut self, mean: f64) -> u32 {
        Poisson::new(mean).map_or(0, |poisson| poisson.sample(&mut self.0) as u32)
    }

    /// How many of so many, each by these odds.
    pub fn part(&mut self, of: u32, odds: f64) -> u32 {
        match Binomial::new(u64::from(of), odds.clamp(0.0, 1.0)) {
            Ok(binomial) => binomial.sample(&mut self.0) as u32,
            Err(_) => 0,
        }
    }

    /// Whether something happens.
    pub fn happens(&mut self, odds: f64) -> bool {
        self.0.random_bool(odds.clamp(0.0, 1.0))
    }

    /// Seconds.
    pub fn seconds(&mut self, takes: Takes) -> f64 {
        /// So many standard deviations above the mean are the highest twentieth.
        const HIGHEST_TWENTIETH: f64 = 1.645;
        let spread = (takes.p95 / takes.median).ln() / HIGHEST_TWENTIETH;
        LogNormal::new(takes.median.ln(), spread).map_or(takes.median, |times| times.sample(&mut self.0))
    }

    /// Any of them.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.choose(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_they_are_said_to_be() {
        let mut dice = Dice::new(7);
        let mut times: Vec<f64> =
            (0..20_000).map(|_| dice.seconds(Takes { median: 30.0, p95: 60.0 })).collect();
        times.sort_by(f64::total_cmp);
        assert!((times[10_000] - 30.0).abs() < 1.0, "{}", times[10_000]);
        assert!((times[19_000] - 60.0).abs() < 3.0, "{}", times[19_000]);
        assert!((dice.seconds(Takes { median: 2.0, p95: 2.0 }) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn odds_beyond_all_bounds_are_none_or_certain() {
        let mut dice = Dice::new(7);
        assert_eq!((dice.part(9, 1.5), dice.part(9, -1.0), dice.part(9, f64::NAN)), (9, 0, 0));
        assert_eq!((dice.number(0.0), dice.number(-1.0)), (0, 0));
    }
}
