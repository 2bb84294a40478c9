//! How much one client may ask, so that none keeps the node from answering the others.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Client;

/// So many clients are remembered before those that have been quiet are forgotten.
const CLIENTS: usize = 1024;

/// What one client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: NonZeroU32,
    /// In every second, after that.
    pub per_second: NonZeroU32,
}

impl Rate {
    /// Generous: a script that makes hundreds of changes in a row never meets it.
    pub const USUAL: Rate =
        Rate { burst: NonZeroU32::new(500).unwrap(), per_second: NonZeroU32::new(200).unwrap() };

    /// So much a second, and two and a half times as much at once.
    pub fn per_second(per_second: NonZeroU32) -> Rate {
        let burst = per_second.saturating_add(per_second.get().saturating_add(per_second.get() / 2));
        Rate { burst, per_second }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Rate::USUAL
    }
}

/// What clients have done so far.
pub struct Rates {
    clients: DefaultKeyedRateLimiter<IpAddr>,
    /// With more clients than this, those that have been quiet are looked for.
    sweep_above: AtomicUsize,
}

impl Rates {
    /// Nobody has done anything yet.
    pub fn new(rate: Rate) -> Rates {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Rates { clients: RateLimiter::keyed(quota), sweep_above: AtomicUsize::new(CLIENTS) }
    }

    /// Counts one more, or says how long to wait.
    pub fn check(&self, client: Client) -> Result<(), Duration> {
        if self.clients.len() > self.sweep_above.load(Ordering::Relaxed) {
            self.clients.retain_recent();
            // In a rush there are thousands, none of them quiet: then not at each request.
            self.sweep_above.store(CLIENTS.max(2 * self.clients.len()), Ordering::Relaxed);
        }
        let clock = DefaultClock::default();
        self.clients.check_key(&client.network()).map_err(|refused| refused.wait_time_from(clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_does_not_use_up_what_is_anothers() {
        let two = NonZeroU32::new(2).unwrap();
        let rates = Rates::new(Rate { burst: two, per_second: NonZeroU32::MIN });
        let ask = |client: &str| rates.check(Client::new(client.parse().unwrap()));
        assert_eq!((ask("10.0.0.1"), ask("::ffff:10.0.0.1")), (Ok(()), Ok(())));
        assert!(ask("10.0.0.1").is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!((ask("10.0.0.2"), ask("fd00::1"), ask("fd00::2")), (Ok(()), Ok(()), Ok(())));
        assert!(ask("fd00::3").is_err(), "the same network");
        assert_eq!(ask("fd00:0:0:1::1"), Ok(()));
    }

    #[test]
    fn so_much_a_second_is_more_at_once() {
        let rate = |number: u32| Rate::per_second(NonZeroU32::new(number).unwrap());
        assert_eq!(rate(200), Rate::USUAL);
        assert_eq!(rate(1).burst.get(), 2);
        assert_eq!(rate(u32::MAX).burst.get(), u32::MAX);
    }
}
