//! How much one peer may ask, so that none keeps the node from answering the others.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// So many peers are remembered before those that have been quiet are forgotten.
const PEERS: usize = 1024;

/// Requests of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: NonZeroU32,
    /// In every second, after that.
    pub per_second: NonZeroU32,
}

impl Default for Rate {
    /// Generous: a script that makes hundreds of changes in a row never meets it.
    fn default() -> Self {
        const { Rate { burst: NonZeroU32::new(500).unwrap(), per_second: NonZeroU32::new(200).unwrap() } }
    }
}

/// What the peers have asked so far.
pub(super) struct Limits {
    peers: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limits {
    pub fn new(rate: Rate) -> Limits {
        Limits { peers: RateLimiter::keyed(Quota::per_second(rate.per_second).allow_burst(rate.burst)) }
    }

    /// Counts a request, or says how long to wait.
    pub fn check(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        if self.peers.len() > PEERS {
            self.peers.retain_recent();
        }
        let peer = network(peer.unwrap_or(Ipv6Addr::UNSPECIFIED.into()));
        let clock = DefaultClock::default();
        self.peers.check_key(&peer).map_err(|refused| refused.wait_time_from(clock.now()))
    }
}

/// Who asks: an IPv4 address, or an IPv6 network of 64 bits, of which one host can use all addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_does_not_use_up_what_is_anothers() {
        let two = NonZeroU32::new(2).unwrap();
        let limits = Limits::new(Rate { burst: two, per_second: NonZeroU32::MIN });
        let ask = |peer: &str| limits.check(Some(peer.parse().unwrap()));
        assert_eq!((ask("10.0.0.1"), ask("::ffff:10.0.0.1")), (Ok(()), Ok(())));
        assert!(ask("10.0.0.1").is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!((ask("10.0.0.2"), ask("fd00::1"), ask("fd00::2")), (Ok(()), Ok(()), Ok(())));
        assert!(ask("fd00::3").is_err(), "the same network");
        assert_eq!(ask("fd00:0:0:1::1"), Ok(()));
    }
}
