//! What the door knows of one seat.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::distr::Alphanumeric;

use super::path::Way;
use crate::peer::{Credentials, Peer};
use crate::send::Path;

/// Ways that a viewer may come by at once: its addresses times ours.
const WAYS_MOST: usize = 16;
/// A nomination of UDP stands against those of TCP for so long.
const UDP_FIRST: Duration = Duration::from_secs(3);
/// Packets a second that a viewer may send us beside checks: reports 20 times a second, and NACKs.
const PACKETS_A_SECOND: u32 = 200;
/// Datagrams of DTLS: its flights, each some times.
const DTLS_A_SECOND: u32 = 32;

/// A seat, and who sits in it or is about to.
pub(crate) struct Guest {
    pub(crate) mountpoint: u64,
    /// Our side's credentials.
    pub(crate) ours: Credentials,
    /// Those before a restart: in use until there is a way by the new ones.
    pub(crate) former: Option<Credentials>,
    /// The player's side, once it is known.
    pub(crate) peer: Option<Peer>,
    pub(crate) stage: Stage,
    /// Where it gets what we send.
    pub(crate) path: Option<Path>,
    /// When that was chosen, or confirmed.
    pub(crate) chosen: Instant,
    /// Where valid checks came from, the latest last.
    pub(crate) ways: Vec<Way>,
    /// A first flight that came before the player's side was known.
    pub(crate) early: Option<(Path, Vec<u8>)>,
    pub(crate) budget: Budget,
    /// Of these, what is DTLS: all share the handshake threads.
    pub(crate) dtls: Budget,
    /// Its worker sets this when it hears of it: see `Arrival::alive`.
    pub(crate) alive: Arc<AtomicBool>,
}

/// How far a viewer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It may come in until then.
    Joining { until: Instant },
    /// It shakes hands since one moment, and may until another.
    Shaking { since: Instant, until: Instant },
    /// It sits with a worker; when it was last heard of.
    Up { heard: Instant },
}

impl Guest {
    pub(crate) fn new(mountpoint: u64, until: Instant, now: Instant) -> Guest {
        Guest {
            mountpoint,
            ours: credentials(),
            former: None,
            peer: None,
            stage: Stage::Joining { until },
            path: None,
            chosen: now,
            ways: Vec::new(),
            early: None,
            budget: Budget::new(PACKETS_A_SECOND, now),
            dtls: Budget::new(DTLS_A_SECOND, now),
            alive: Arc::default(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up { .. })
    }

    /// It is to be sent to by this path, which it nominates now. Players of before RFC 8445 nominate all that they try: TCP does
    /// not take the place of UDP that was nominated just now.
    pub(crate) fn prefers(&self, path: &Path, now: Instant) -> bool {
        let is_tcp = |path: &Path| matches!(path, Path::Tcp(_));
        !is_tcp(path) || self.path.as_ref().is_none_or(is_tcp) || self.chosen + UDP_FIRST <= now
    }

    pub(crate) fn choose(&mut self, path: &Path, now: Instant) {
        self.path = Some(path.clone());
        self.chosen = now;
    }

    /// A valid check came by `way`. Gives one that is forgotten for it.
    pub(crate) fn came_by(&mut self, way: Way) -> Option<Way> {
        if let Some(at) = self.ways.iter().position(|w| *w == way) {
            self.ways[at..].rotate_left(1);
            return None;
        }
        let used = self.path.as_ref().map(Path::way);
        let forgotten = (self.ways.len() == WAYS_MOST)
            .then(|| self.ways.iter().position(|w| Some(*w) != used))
            .flatten()
            .map(|at| self.ways.remove(at));
        self.ways.push(way);
        forgotten
    }
}

/// New ones that nobody guesses (RFC 8445 section 5.3: 24 and 128 bits at least).
pub(crate) fn credentials() -> Credentials {
    let text = |length| {
        let letters = rand::rng().sample_iter(Alphanumeric).take(length);
        letters.map(char::from).collect()
    };
    Credentials { user: text(12), password: text(24) }
}

/// Keeps what one viewer sends below what all of them together may not exceed.
#[derive(Debug)]
pub(crate) struct Budget {
    most: u32,
    left: u32,
    since: Instant,
}

impl Budget {
    fn new(most: u32, now: Instant) -> Budget {
        Budget { most, left: most, since: now }
    }

    /// Takes one packet out of it; false: there is nothing left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Budget::new(self.most, now);
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_in_use_is_not_forgotten_for_others() {
        let now = Instant::now();
        let mut guest = Guest::new(1, now, now);
        let way = |port: u16| Way::Udp(([192, 0, 2, 1], port).into());
        assert_eq!(guest.came_by(way(1)), None);
        guest.path = Some(Path::Udp(([192, 0, 2, 1], 1).into()));
        for port in 2..=16 {
            assert_eq!(guest.came_by(way(port)), None);
        }
        assert_eq!(guest.came_by(way(17)), Some(way(2)));
        assert_eq!(guest.came_by(way(3)), None);
        assert_eq!(guest.came_by(way(18)), Some(way(4)));
        assert_eq!(guest.ways.len(), WAYS_MOST);
    }

    #[test]
    fn a_budget_is_for_a_second() {
        let now = Instant::now();
        let mut budget = Budget::new(PACKETS_A_SECOND, now);
        let second = Duration::from_secs(1);
        for now in [now, now + second, now + 10 * second] {
            let taken = (0..1000).filter(|_| budget.take(now)).count();
            assert_eq!(taken, PACKETS_A_SECOND as usize);
        }
    }
}
