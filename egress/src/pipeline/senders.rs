//! [`Senders`]: whose packets are taken. Asked for every packet, changed seldom.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use node::media::Ssrc;
use node::prefix::{Prefix, mapped};

/// How long a stranger is worth a word to an operator.
const RECENT: Duration = Duration::from_secs(60);

/// Where media is taken from, and who was turned away last.
#[derive(Debug)]
pub struct Senders {
    sources: RwLock<Sources>,
    stranger: Mutex<Option<Stranger>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Sources {
    all: BTreeSet<Prefix>,
    /// Several parents are among them, who send the same.
    twice: bool,
}

/// A packet is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Who sent it; not asked for while it makes no difference.
    pub from: Option<SocketAddr>,
    /// The same may come from another parent.
    pub twice: bool,
}

/// Somebody who sends media of a session and is not who it is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Where it sends from.
    pub address: IpAddr,
    /// What it sends.
    pub ssrc: Ssrc,
    at: Duration,
}

impl Senders {
    /// Takes media from these.
    pub fn new(sources: BTreeSet<Prefix>) -> Senders {
        Senders { sources: RwLock::new(Sources { all: sources, twice: false }), stranger: Mutex::default() }
    }

    /// Takes media from these from now on; `twice`: several parents are among them, who send the same. False: as before.
    pub fn set(&self, all: BTreeSet<Prefix>, twice: bool) -> bool {
        let wanted = Sources { all, twice };
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *sources != wanted;
        if changed {
            *sources = wanted;
            *self.stranger() = None;
        }
        changed
    }

    /// As people write them.
    pub fn shown(&self) -> Vec<String> {
        self.sources().all.iter().map(ToString::to_string).collect()
    }

    /// Whether a packet of a session's stream is taken. `source`: who sent it.
    pub(super) fn admits(
        &self,
        ssrc: Ssrc,
        source: impl FnOnce() -> Option<SocketAddr>,
        now: Duration,
    ) -> Option<Admitted> {
        let sources = self.sources();
        let takes_any = sources.all.contains(&Prefix::ANY);
        if takes_any && !sources.twice {
            return Some(Admitted { from: None, twice: false });
        }
        let source = source()?;
        let address = mapped(source.ip());
        if takes_any || sources.all.iter().any(|prefix| prefix.covers(&address)) {
            return Some(Admitted { from: Some(source), twice: sources.twice });
        }
        *self.stranger() = Some(Stranger { address: source.ip(), ssrc, at: now });
        None
    }

    /// Whether packets from there are taken. Who they are from is remembered of none.
    pub(super) fn covers(&self, source: impl FnOnce() -> Option<SocketAddr>) -> bool {
        let sources = self.sources();
        if sources.all.contains(&Prefix::ANY) {
            return true;
        }
        source().is_some_and(|source| sources.all.iter().any(|prefix| prefix.covers(&mapped(source.ip()))))
    }

    /// Who was turned away within the last minute.
    pub fn turned_away(&self, now: Duration) -> Option<Stranger> {
        self.stranger().filter(|stranger| now < stranger.at + RECENT)
    }

    fn sources(&self) -> std::sync::RwLockReadGuard<'_, Sources> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn stranger(&self) -> std::sync::MutexGuard<'_, Option<Stranger>> {
        self.stranger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(senders: &Senders, from: &str, now: u64) -> bool {
        senders.admits(Ssrc(7), || Some(from.parse().unwrap()), Duration::from_secs(now)).is_some()
    }

    #[test]
    fn only_those_whom_media_is_taken_from_are_let_in() {
        let senders = Senders::new(BTreeSet::from([Prefix::ANY]));
        assert!(senders.admits(Ssrc(7), || panic!("not asked"), Duration::ZERO).is_some());
        assert!(senders.set(BTreeSet::from([Prefix::ANY]), true));
        let any = senders.admits(Ssrc(7), || "10.9.0.1:5004".parse().ok(), Duration::ZERO);
        assert_eq!(any.and_then(|any| any.from), "10.9.0.1:5004".parse().ok(), "it may come twice");
        let parent = ["10.0.0.5", "fd00::5"].map(|text| Prefix::parse(text).unwrap());
        assert!(senders.set(parent.into(), false) && !senders.set(parent.into(), false));
        for (from, wanted) in [
            ("10.0.0.5:5004", true),
            ("[::ffff:10.0.0.5]:9", true),
            ("[fd00::5]:5004", true),
            ("10.0.0.6:5004", false),
            ("127.0.0.1:5004", false),
        ] {
            assert_eq!(admits(&senders, from, 0), wanted, "{from}");
        }
        assert!(senders.admits(Ssrc(7), || None, Duration::ZERO).is_none(), "nobody knows whose it is");
        let covers = |from: &str| senders.covers(|| from.parse().ok());
        assert!(covers("10.0.0.5:9") && !covers("10.0.0.6:9"));
    }

    #[test]
    fn who_was_turned_away_is_said_for_a_minute_or_until_it_is_let_in() {
        let senders = Senders::new(BTreeSet::from([Prefix::parse("10.0.0.5").unwrap()]));
        let away = |now| senders.turned_away(Duration::from_secs(now));
        assert!(admits(&senders, "10.0.0.5:5004", 1));
        assert_eq!(away(1), None);
        assert!(!admits(&senders, "10.9.0.1:5004", 2));
        assert_eq!((away(3).unwrap().address, away(62)), ("10.9.0.1".parse().unwrap(), None));
        assert!(senders.set(BTreeSet::from([Prefix::parse("10.9.0.0/16").unwrap()]), false));
        assert_eq!(away(3), None);
    }
}
