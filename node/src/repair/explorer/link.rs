//! One direction of what is between two nodes.

use rand::Rng;
use rand::rngs::StdRng;

use super::Weather;

pub struct Link {
    weather: Weather,
    /// A burst of losses: when the next begins, and when this one ends.
    next: u64,
    until: u64,
}

impl Link {
    pub fn new(weather: &Weather, rng: &mut StdRng) -> Link {
        let mut link = Link { weather: *weather, next: 0, until: 0 };
        link.next = 1_000_000_000 + link.pause(rng);
        link
    }

    /// When it comes out at the other end; `None` if it is lost.
    pub fn passes(&mut self, now: u64, rng: &mut StdRng) -> Option<u64> {
        let Weather { loss, burst, delay, jitter, .. } = self.weather;
        let is_lost =
            if burst == 1 { rng.random_range(0..1_000_000) < loss } else { self.is_in_burst(now, rng) };
        let comes = now + delay + rng.random_range(0..=jitter);
        (!is_lost).then_some(comes)
    }

    fn is_in_burst(&mut self, now: u64, rng: &mut StdRng) -> bool {
        while self.weather.loss > 0 && now >= self.next {
            self.until = self.next + self.long();
            self.next = self.until + self.pause(rng);
        }
        now < self.until
    }

    /// How long a burst is, ns: so many packets.
    fn long(&self) -> u64 {
        let Weather { burst, rate, streams, .. } = self.weather;
        burst * 1_000_000_000 / (rate * u64::from(streams))
    }

    /// Between two bursts, ns: so that what is lost of all is what is wanted.
    fn pause(&self, rng: &mut StdRng) -> u64 {
        let loss = u64::from(self.weather.loss.max(1));
        let mean = self.long() * (1_000_000 - loss) / loss;
        rng.random_range(0..=mean.saturating_mul(2))
    }
}
