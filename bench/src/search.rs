//! The highest rate without loss, as RFC 2544 section 26.1 finds throughput: offer, look, halve the interval. Decides
//! without I/O.

/// Two rates that differ by less are one.
const CLOSE: f64 = 1.03;
/// Steps until something has failed, or passed.
const STRIDE: f64 = 1.25;
const MOST_TRIALS: u32 = 14;

/// Where the search is.
#[derive(Clone, Debug)]
pub struct Search {
    passed: Option<f64>,
    failed: Option<f64>,
    guess: f64,
    trials: u32,
}

impl Search {
    /// Begins at a guess.
    pub fn from(guess: f64) -> Self {
        Self { passed: None, failed: None, guess, trials: 0 }
    }

    /// The next rate to offer; none when the answer is known.
    pub fn next(&self) -> Option<f64> {
        if self.trials >= MOST_TRIALS {
            return None;
        }
        match (self.passed, self.failed) {
            (None, None) => Some(self.guess),
            (Some(passed), None) => Some(passed * STRIDE),
            (None, Some(failed)) => Some(failed / STRIDE),
            (Some(passed), Some(failed)) if failed / passed > CLOSE => Some((passed * failed).sqrt()),
            _ => None,
        }
    }

    /// What became of the rate offered.
    pub fn tell(&mut self, rate: f64, passed: bool) {
        self.trials += 1;
        let bound = if passed { &mut self.passed } else { &mut self.failed };
        *bound = Some(rate);
    }

    /// The highest rate that passed.
    pub fn passed(&self) -> Option<f64> {
        self.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(capacity: f64, guess: f64) -> f64 {
        let mut search = Search::from(guess);
        while let Some(rate) = search.next() {
            search.tell(rate, rate <= capacity);
        }
        search.passed().unwrap_or(0.0)
    }

    #[test]
    fn whatever_the_guess_the_capacity_is_found() {
        for guess in [0.3, 0.9, 1.0, 1.1, 3.0] {
            let rate = found(100_000.0, 100_000.0 * guess);
            assert!((97_000.0..=100_000.0).contains(&rate), "from {guess}: {rate}");
        }
    }

    #[test]
    fn what_never_passes_ends() {
        assert_eq!(found(0.0, 1000.0), 0.0);
    }
}
