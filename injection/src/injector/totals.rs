//! [`Totals`]: sums over all sessions that there are and that there have been. They never fall, whatever ends.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use node::media::{Kind, PerKind};
use node::udp::Overflow;

use super::lock;
use crate::pipeline::Count;

/// What has happened since the start.
#[derive(Default)]
pub(super) struct Totals {
    publications: AtomicU64,
    restarts: AtomicU64,
    /// What sockets of sessions that are gone had dropped.
    gone: Mutex<PerKind<u64>>,
    overflow: Mutex<PerKind<Overflow>>,
}

impl Totals {
    /// Somebody has begun to publish.
    pub fn published(&self) {
        self.publications.fetch_add(1, Ordering::Relaxed);
    }

    /// How many publications there have been.
    pub fn publications(&self) -> u64 {
        self.publications.load(Ordering::Relaxed)
    }

    /// A pipeline was started again.
    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often pipelines were started again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// A session is gone, with its sockets.
    pub fn ended(&self, counts: &PerKind<Count>) {
        let mut gone = lock(&self.gone);
        for kind in Kind::BOTH {
            gone[kind] += counts[kind].overflow;
        }
    }

    /// What the sockets of all sessions have dropped. `counts`: those of the sessions that there are; `now`: since the start.
    pub fn overflow(&self, counts: impl Iterator<Item = PerKind<Count>>, now: Duration) -> PerKind<Overflow> {
        let mut sum = *lock(&self.gone);
        for count in counts {
            for kind in Kind::BOTH {
                sum[kind] += count[kind].overflow;
            }
        }
        let mut overflow = lock(&self.overflow);
        for kind in Kind::BOTH {
            overflow[kind].saw(sum[kind], now);
        }
        *overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(audio: u64, video: u64) -> PerKind<Count> {
        [audio, video].map(|overflow| Count { overflow, ..Count::default() }).into()
    }

    #[test]
    fn what_a_session_had_lost_stays_lost_when_it_ends() {
        let totals = Totals::default();
        let now = |seconds| Duration::from_secs(seconds);
        let sum = |live: &[PerKind<Count>], at: u64| {
            totals.overflow(live.iter().copied(), now(at)).map(Overflow::packets).into_array()
        };
        assert_eq!(sum(&[counts(1, 10), counts(0, 5)], 0), [1, 15]);
        // Between the end of a session and its place among those that are gone.
        assert_eq!(sum(&[counts(0, 5)], 1), [1, 15]);
        totals.ended(&counts(1, 10));
        assert_eq!(sum(&[counts(0, 5)], 2), [1, 15]);
        assert_eq!(sum(&[counts(0, 6)], 3), [1, 16]);
        assert!(totals.overflow([counts(0, 6)].into_iter(), now(4)).video.is_recent(now(4)));
    }
}
