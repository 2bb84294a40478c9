//! Who may come in, who is coming in and who is in. Decides what is done with a packet; does nothing itself. `checks`: who shows
//! where he is; `handshakes`: who shows that he is the one described.

mod checks;
mod handshakes;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::consent;
use super::drops::Reason;
use super::guest::{self, Guest, Stage};
use super::path::Way;
use super::stun;
use crate::peer::{Credentials, Fingerprint, Peer, Seat};
use crate::send::Path;
use crate::server::{Invitation, Refusal};
use crate::worker::Arrival;
use checks::questions;

/// Viewers that may be about to connect at once.
pub(crate) const JOINING_MOST: usize = 4096;
/// How long somebody whose connection is over may take to come by another way.
const RETURNS_WITHIN: Duration = Duration::from_secs(3);
/// How long somebody who was described to may take to describe himself.
const INVITED: Duration = Duration::from_secs(60);
/// A viewer that is not heard of for so long is not sent to any more.
const SILENCE: Duration = consent::VALID;

/// All seats.
#[derive(Default)]
pub(crate) struct Hall {
    last: u64,
    seats: HashMap<Seat, Guest>,
    users: HashMap<String, Seat>,
    ways: HashMap<Way, Seat>,
    /// How many are not up yet.
    joining: usize,
    /// How many of these shake hands.
    shaking: usize,
    /// Whose first flight is kept until there is room for one more handshake; some may be gone.
    queue: VecDeque<Seat>,
}

/// What is to be done.
pub(crate) enum Effect {
    /// Send a datagram: STUN.
    Say(Path, Vec<u8>),
    /// Count the packet at hand, or what else went wrong.
    Drop(Reason),
    /// Begin a handshake.
    Shake {
        seat: Seat,
        /// The player begins it.
        begins: bool,
        fingerprints: Vec<Fingerprint>,
        path: Path,
    },
    /// The packet at hand is of the viewer's DTLS.
    Dtls(Seat),
    /// As [`Effect::Dtls`], for one that was kept.
    Kept(Seat, Path, Vec<u8>),
    /// Say goodbye by DTLS, if it got that far, and forget its keys.
    Part(Seat),
    /// It sits down with a worker.
    Sit(Box<Arrival>),
    /// It has shown that it has the keys: nothing of the handshake has to be sent to it again.
    Settled(Seat),
    /// It gets up.
    Rise(Seat),
    /// The packet at hand is the viewer's SRTP or SRTCP.
    Heard(Seat),
    /// It is sent to elsewhere from now on.
    Moved(Seat, Path),
    /// The seat is free, without anybody having asked for it.
    Gone(Seat, String),
}

impl Hall {
    /// See [`crate::Server::invite`].
    pub(crate) fn invite(&mut self, mountpoint: u64, now: Instant) -> Result<Invitation, Refusal> {
        if self.joining >= JOINING_MOST {
            return Err(Refusal::TooManyJoining(self.joining));
        }
        self.last += 1;
        let seat = Seat(self.last);
        let guest = Guest::new(mountpoint, now + INVITED, now);
        let ice = guest.ours.clone();
        self.users.insert(ice.user.clone(), seat);
        self.seats.insert(seat, guest);
        self.joining += 1;
        Ok(Invitation { seat, ice })
    }

    /// See [`crate::Server::admit`].
    pub(crate) fn admit(
        &mut self,
        seat: Seat,
        peer: Peer,
        within: Duration,
        now: Instant,
    ) -> Result<Vec<Effect>, Refusal> {
        let guest = self.seats.get_mut(&seat).ok_or(Refusal::NoSeat)?;
        let mut effects = Vec::new();
        if matches!(guest.stage, Stage::Joining { .. }) {
            guest.stage = Stage::Joining { until: now + within };
            guest.peer = Some(peer);
            effects.extend(questions(guest, now));
            self.begin_if_it_can(seat, now, &mut effects);
        }
        Ok(effects)
    }

    /// See [`crate::Server::restart`].
    pub(crate) fn restart(&mut self, seat: Seat, theirs: Credentials) -> Result<Credentials, Refusal> {
        let guest = self.seats.get_mut(&seat).ok_or(Refusal::NoSeat)?;
        let ours = guest::credentials();
        let former = std::mem::replace(&mut guest.ours, ours.clone());
        let their_former = guest.peer.as_mut().map(|peer| std::mem::replace(&mut peer.ice, theirs));
        if let Some((long_ago, _)) = guest.former.replace((former, their_former)) {
            self.users.remove(&long_ago.user);
        }
        self.users.insert(ours.user.clone(), seat);
        Ok(ours)
    }

    /// See [`crate::Server::leave`].
    pub(crate) fn leave(&mut self, seat: Seat) -> Vec<Effect> {
        match self.forget(seat) {
            Some(guest) if guest.is_up() => vec![Effect::Rise(seat), Effect::Part(seat)],
            Some(_) => vec![Effect::Part(seat)],
            None => Vec::new(),
        }
    }

    /// A mountpoint ends. Those who are up the workers tell of.
    pub(crate) fn close(&mut self, mountpoint: u64) -> Vec<Effect> {
        let of_it = self.seats.iter().filter(|(_, g)| g.mountpoint == mountpoint);
        let of_it: Vec<Seat> = of_it.map(|(seat, _)| *seat).collect();
        let mut effects = Vec::new();
        for seat in of_it {
            if self.forget(seat).is_some_and(|guest| !guest.is_up()) {
                effects.push(Effect::Gone(seat, "its stream has ended".to_owned()));
            }
            effects.push(Effect::Part(seat));
        }
        effects
    }

    /// A worker has no seat for it any more.
    pub(crate) fn risen(&mut self, seat: Seat) -> Vec<Effect> {
        self.forget(seat).map(|_| Effect::Part(seat)).into_iter().collect()
    }

    /// There is such a seat, taken or waiting.
    pub(super) fn has(&self, seat: Seat) -> bool {
        self.seats.contains_key(&seat)
    }

    /// Somebody has come in by this way with a valid check.
    pub(crate) fn knows(&self, way: Way) -> bool {
        self.ways.contains_key(&way)
    }

    /// A packet has come. Whose is it (RFC 7983)?
    pub(crate) fn came(&mut self, packet: &[u8], path: &Path, now: Instant) -> Vec<Effect> {
        let effects = match packet.first() {
            Some(0..=3) if stun::is_answer(packet) => self.answer(packet, path, now),
            Some(0..=3) => self.check(packet, path, now),
            Some(20..=63) => self.handshake(packet, path, now),
            Some(128..=191) => self.media(path, now),
            _ => Err(Reason::Garbage),
        };
        effects.unwrap_or_else(|reason| vec![Effect::Drop(reason)])
    }

    /// SRTP and SRTCP: the worker opens it.
    fn media(&mut self, path: &Path, now: Instant) -> Result<Vec<Effect>, Reason> {
        let seat = *self.ways.get(&path.way()).ok_or(Reason::MediaStranger)?;
        let guest = self.seats.get_mut(&seat).ok_or(Reason::MediaStranger)?;
        if !guest.is_up() {
            return Err(Reason::MediaStranger);
        }
        if !guest.budget.take(now) {
            return Err(Reason::MediaFlood);
        }
        Ok(vec![Effect::Heard(seat)])
    }

    /// A connection is over.
    pub(crate) fn hung_up(&mut self, number: u64, now: Instant) {
        let way = Way::Tcp(number);
        if let Some(seat) = self.ways.remove(&way) {
            self.loses(seat, way);
            // Unless it comes by another way soon.
            if let Some(guest) = self.seats.get_mut(&seat)
                && guest.ways.is_empty()
                && let Stage::Up { heard } = &mut guest.stage
            {
                *heard = (*heard).min(now + RETURNS_WITHIN - SILENCE);
            }
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (seat, guest) in &mut self.seats {
            if guest.alive.swap(false, Relaxed) {
                guest.is_alive(now);
                if guest.is_up() && !std::mem::replace(&mut guest.settled, true) {
                    effects.push(Effect::Settled(*seat));
                }
            }
        }
        let over = |guest: &Guest| match guest.stage {
            // Whoever waits until there is room for him loses no time by that.
            Stage::Joining { until } if until <= now && !guest.queues => Some(match guest.peer {
                None => "it never described itself",
                Some(_) if guest.ways.is_empty() => "none of its packets ever came",
                Some(_) if !guest.ways.iter().any(|(_, consent)| consent.is_given(now)) => {
                    "nobody answered where its packets came from"
                }
                Some(_) => "it never began the DTLS handshake",
            }),
            Stage::Shaking { until } if until <= now => Some("the DTLS handshake took too long"),
            Stage::Up { heard } if heard + SILENCE <= now => Some("nobody answered any more"),
            _ => None,
        };
        let over = |(seat, guest): (&Seat, &Guest)| Some((*seat, over(guest)?));
        let over: Vec<(Seat, &str)> = self.seats.iter().filter_map(over).collect();
        let gone = over.into_iter().flat_map(|(seat, why)| self.gone(seat, why.to_owned()));
        effects.extend(gone);
        effects.extend(self.seats.values_mut().flat_map(|guest| questions(guest, now)));
        self.next_in(now, &mut effects);
        effects
    }

    /// It is no more, and nobody has asked for that.
    fn gone(&mut self, seat: Seat, why: String) -> Vec<Effect> {
        let mut effects = self.leave(seat);
        if !effects.is_empty() {
            effects.push(Effect::Gone(seat, why));
        }
        effects
    }

    /// A way is not this seat's any more.
    fn loses(&mut self, seat: Seat, way: Way) {
        if let Some(guest) = self.seats.get_mut(&seat) {
            guest.ways.retain(|(path, _)| path.way() != way);
            guest.wanted = guest.wanted.take().filter(|path| path.way() != way);
            // Not to where somebody else is now. A valid check by another way gives a new path.
            if guest.uses(way) && !guest.is_up() {
                guest.path = None;
            }
        }
    }

    fn forget(&mut self, seat: Seat) -> Option<Guest> {
        let guest = self.seats.remove(&seat)?;
        if !guest.is_up() {
            self.joining -= 1;
        }
        if matches!(guest.stage, Stage::Shaking { .. }) {
            self.shaking -= 1;
        }
        self.users.remove(&guest.ours.user);
        if let Some((former, _)) = &guest.former {
            self.users.remove(&former.user);
        }
        for (path, _) in &guest.ways {
            if self.ways.get(&path.way()) == Some(&seat) {
                self.ways.remove(&path.way());
            }
        }
        Some(guest)
    }
}

#[cfg(test)]
mod tests;
