//! [`Totals`]: sums over all sessions that there are and that there have been. They never fall, whatever ends.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use node::media::{Kind, PerKind, Ssrc};
use node::metrics::Kept;
use node::udp::Overflow;

use super::lock;
use crate::pipeline::Count;

/// A session's name, and the SSRC of its stream.
type Name = (String, Ssrc);

/// What has happened since the start.
#[derive(Default)]
pub(super) struct Totals {
    publications: AtomicU64,
    restarts: AtomicU64,
    /// What streams of sessions that are gone had counted.
    gone: Mutex<PerKind<Kept<Name, { Count::NUMBERS }>>>,
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

    /// A session is gone, with what it had counted.
    pub fn ended(&self, session: &str, ssrcs: PerKind<Ssrc>, counts: &PerKind<Count>) {
        let mut gone = lock(&self.gone);
        for kind in Kind::BOTH {
            gone[kind].gone((session.to_owned(), ssrcs[kind]), counts[kind].numbers());
        }
    }

    /// What all sessions that are gone had counted.
    pub fn gone(&self) -> PerKind<Count> {
        lock(&self.gone).as_ref().map(|gone| Count::from(gone.sum()))
    }

    /// What a session's stream had counted before it was created last.
    pub fn before(&self, session: &str, kind: Kind, ssrc: Ssrc) -> Count {
        Count::from(lock(&self.gone)[kind].before(&(session.to_owned(), ssrc)))
    }

    /// What the sockets of all sessions have dropped. `sums`: of all sessions; `now`: since the start.
    pub fn overflow(&self, sums: &PerKind<Count>, now: Duration) -> PerKind<Overflow> {
        let mut overflow = lock(&self.overflow);
        for kind in Kind::BOTH {
            overflow[kind].saw(sums[kind].overflow, now);
        }
        *overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRCS: PerKind<Ssrc> = PerKind { audio: Ssrc(1), video: Ssrc(2) };

    fn counts(audio: u64, video: u64) -> PerKind<Count> {
        [audio, video].map(|packets| Count { packets, overflow: packets, ..Count::default() }).into()
    }

    #[test]
    fn what_a_session_had_counted_stays_when_it_ends() {
        let totals = Totals::default();
        totals.ended("s1", SSRCS, &counts(1, 10));
        totals.ended("s2", PerKind { audio: Ssrc(3), video: Ssrc(4) }, &counts(0, 5));
        // What came while it was being ended.
        totals.ended("s1", SSRCS, &counts(0, 1));
        assert_eq!(totals.gone(), counts(1, 16));
        assert_eq!(totals.before("s1", Kind::Video, Ssrc(2)).packets, 11);
        assert_eq!(totals.before("s1", Kind::Video, Ssrc(9)).packets, 0, "another stream");
        let now = Duration::from_secs(4);
        assert!(totals.overflow(&totals.gone(), now).video.is_recent(now));
    }
}
