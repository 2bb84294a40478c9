//! What the door knows of one seat.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::distr::Alphanumeric;

use super::consent::Consent;
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
    /// Those before a restart, and the player's with them: in use until it nominates a way by the new ones.
    pub(crate) former: Option<(Credentials, Option<Credentials>)>,
    /// The player's side, once it is known.
    pub(crate) peer: Option<Peer>,
    pub(crate) stage: Stage,
    /// Where it gets what we send.
    pub(crate) path: Option<Path>,
    /// Where it wants to get that, as soon as somebody there has answered.
    pub(crate) wanted: Option<Path>,
    /// When one of these was chosen, or confirmed.
    pub(crate) chosen: Instant,
    /// Where valid checks came from, the latest last.
    pub(crate) ways: Vec<(Path, Consent)>,
    /// A first flight that came before the player's side was known, or had answered, or before there was room.
    pub(crate) early: Option<(Path, Vec<u8>)>,
    /// It is among those whose handshake there was no room for.
    pub(crate) queues: bool,
    pub(crate) budget: Budget,
    /// Of these, what is DTLS: all share the handshake threads.
    pub(crate) dtls: Budget,
    /// Its worker sets this when it hears of it: see `Arrival::alive`.
    pub(crate) alive: Arc<AtomicBool>,
    /// It has been heard of by its worker.
    pub(crate) settled: bool,
}

/// How far a viewer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It may come in until then.
    Joining { until: Instant },
    /// It shakes hands, and may until then.
    Shaking { until: Instant },
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
            wanted: None,
            chosen: now,
            ways: Vec::new(),
            early: None,
            queues: false,
            budget: Budget::new(PACKETS_A_SECOND, now),
            dtls: Budget::new(DTLS_A_SECOND, now),
            alive: Arc::default(),
            settled: false,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up { .. })
    }

    /// It is to be sent to by this path, which it nominates now. Players of before RFC 8445 nominate all that they try: TCP does
    /// not take the place of UDP that was nominated just now.
    pub(crate) fn prefers(&self, path: &Path, now: Instant) -> bool {
        let standing = self.wanted.as_ref().or(self.path.as_ref());
        !path.is_tcp() || standing.is_none_or(Path::is_tcp) || self.chosen + UDP_FIRST <= now
    }

    pub(crate) fn choose(&mut self, path: &Path, now: Instant) {
        let heard = self.consent(path.way()).and_then(|consent| consent.answered()).unwrap_or(now);
        if let Stage::Up { heard: last } = &mut self.stage {
            *last = heard;
        }
        self.wanted = self.wanted.take().filter(|wanted| wanted.way() != path.way());
        self.path = Some(path.clone());
        self.chosen = now;
    }

    /// It is sent to by this way.
    pub(crate) fn uses(&self, way: Way) -> bool {
        self.path.as_ref().is_some_and(|path| path.way() == way)
    }

    /// What is known of a way that valid checks came by.
    pub(crate) fn consent(&mut self, way: Way) -> Option<&mut Consent> {
        self.ways.iter_mut().find(|(path, _)| path.way() == way).map(|(_, consent)| consent)
    }

    /// Somebody there has answered, of late.
    pub(crate) fn may_be_sent_to(&mut self, way: Way, now: Instant) -> bool {
        self.consent(way).is_some_and(|consent| consent.is_given(now))
    }

    /// A valid check came by `path`. Gives a way that is forgotten for it.
    pub(crate) fn came_by(&mut self, path: &Path, now: Instant) -> Option<Way> {
        let way = path.way();
        if let Some(at) = self.ways.iter().position(|(path, _)| path.way() == way) {
            self.ways[at..].rotate_left(1);
            return None;
        }
        let forgotten = (self.ways.len() == WAYS_MOST)
            .then(|| self.ways.iter().position(|(path, _)| !self.uses(path.way())))
            .flatten()
            .map(|at| self.ways.remove(at).0.way());
        self.ways.push((path.clone(), Consent::new(way, now)));
        forgotten
    }

    /// What is to be asked now, and where: by the way in use whether the player is there yet, and by others whether it is there at
    /// all.
    pub(crate) fn questions(&mut self, now: Instant) -> Vec<(Path, Vec<u8>)> {
        let current = self.peer.as_ref().map(|peer| (&self.ours, &peer.ice));
        let former = self.former.as_ref().and_then(|(ours, theirs)| Some((ours, theirs.as_ref()?)));
        let used = self.path.as_ref().map(Path::way);
        let mut questions = Vec::new();
        let Some(current) = current else { return questions };
        for (path, consent) in &mut self.ways {
            let in_use = Some(path.way()) == used;
            if consent.is_given(now) && !in_use {
                continue;
            }
            let (ours, theirs) = former.filter(|_| in_use).unwrap_or(current);
            let question = consent.question(now).and_then(|question| question.bytes(ours, theirs));
            if let Some(question) = question.filter(|question| consent.takes(question.len(), now)) {
                questions.push((path.clone(), question));
            }
        }
        questions
    }

    /// Something came by a way that may be an answer to such a question. `false`: it is none.
    pub(crate) fn answers(&mut self, packet: &[u8], way: Way, now: Instant) -> bool {
        let theirs = self.peer.as_ref().map(|peer| &*peer.ice.password);
        let former = self.former.as_ref().and_then(|(_, theirs)| Some(&*theirs.as_ref()?.password));
        let passwords: Vec<&str> = theirs.into_iter().chain(former).collect();
        let consent = self.ways.iter_mut().find(|(path, _)| path.way() == way);
        let answers = consent.is_some_and(|(_, consent)| consent.hears(packet, &passwords, now));
        let in_use = self.uses(way);
        if let Stage::Up { heard } = &mut self.stage
            && answers
            && in_use
        {
            *heard = now;
        }
        answers
    }

    /// It was heard of. By UDP that says nothing of where it is: only answers do.
    pub(crate) fn is_alive(&mut self, now: Instant) {
        let by_tcp = self.path.as_ref().is_some_and(Path::is_tcp);
        if let Stage::Up { heard } = &mut self.stage
            && by_tcp
        {
            *heard = now;
        }
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
        let path = |port: u16| Path::Udp(([192, 0, 2, 1], port).into());
        let way = |port: u16| path(port).way();
        assert_eq!(guest.came_by(&path(1), now), None);
        guest.path = Some(path(1));
        for port in 2..=16 {
            assert_eq!(guest.came_by(&path(port), now), None);
        }
        assert_eq!(guest.came_by(&path(17), now), Some(way(2)));
        assert_eq!(guest.came_by(&path(3), now), None);
        assert_eq!(guest.came_by(&path(18), now), Some(way(4)));
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
