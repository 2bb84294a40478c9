//! Who may come in, who is coming in and who is in. Decides what is done with a packet; does nothing itself.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::consent;
use super::drops::Reason;
use super::dtls;
use super::guest::{self, Guest, Stage};
use super::path::Way;
use super::stun::{self, Check};
use crate::peer::{Credentials, Fingerprint, Peer, Seat};
use crate::send::Path;
use crate::server::{Invitation, Refusal};
use crate::srtp::Keys;
use crate::worker::Arrival;

/// Viewers that may be about to connect at once.
pub(crate) const JOINING_MOST: usize = 4096;
/// Handshakes at once: each needs some fifty thousand bytes. Others wait for their turn.
const SHAKING_MOST: usize = 512;
/// Whoever had to wait until there was room for his handshake has this long for it, if no longer is left of his time.
const SHAKES_WITHIN: Duration = Duration::from_secs(10);
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

    /// How many wait until there is room for their handshakes, those among them who have gone included.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
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

    /// STUN.
    fn check(&mut self, packet: &[u8], path: &Path, now: Instant) -> Result<Vec<Effect>, Reason> {
        if stun::is_keep_alive(packet) && self.knows(path.way()) {
            return Ok(Vec::new());
        }
        let check = Check::read(packet)?;
        let seat = *self.users.get(check.user()).ok_or(Reason::StunStranger)?;
        let guest = self.seats.get_mut(&seat).ok_or(Reason::StunStranger)?;
        let new = guest.ours.user == check.user();
        let ours = match &guest.former {
            Some((former, _)) if !new => former,
            _ => &guest.ours,
        };
        if !check.is_by_one_who_knows(&ours.password) {
            return Err(Reason::StunForged);
        }
        if check.wants_us_to_lead() {
            let refusal = check.refusal(&ours.password);
            let refusal = refusal.map(|r| Effect::Say(path.clone(), r));
            return Ok(refusal.into_iter().chain([Effect::Drop(Reason::StunRole)]).collect());
        }
        let answer = check.answer(&ours.password, path.address());
        let nominates = check.nominates();
        let way = path.way();
        if let Some(forgotten) = guest.came_by(path, now) {
            self.ways.remove(&forgotten);
        }
        let answer = guest.consent(way).and_then(|consent| {
            consent.came(packet.len(), now);
            answer.filter(|answer| consent.takes(answer.len(), now))
        });
        // First the question: who has the answer begins its handshake, and is to be known to be there by then.
        let mut effects: Vec<Effect> = questions(guest, now).collect();
        effects.extend(answer.map(|answer| Effect::Say(path.clone(), answer)));
        if guest.uses(way) {
            guest.is_alive(now);
        }
        if new && nominates && guest.prefers(path, now) {
            guest.chosen = now;
            if let Some((former, _)) = guest.former.take() {
                self.users.remove(&former.user);
            }
            guest.wanted = (!guest.uses(way)).then(|| path.clone());
        }
        if let Some(other) = self.ways.insert(way, seat).filter(|other| *other != seat) {
            self.loses(other, way);
        }
        self.goes_where_it_wants(seat, path, now, &mut effects);
        Ok(effects)
    }

    /// What may answer a question of ours.
    fn answer(&mut self, packet: &[u8], path: &Path, now: Instant) -> Result<Vec<Effect>, Reason> {
        let seat = *self.ways.get(&path.way()).ok_or(Reason::StunStranger)?;
        let guest = self.seats.get_mut(&seat).ok_or(Reason::StunStranger)?;
        if !guest.answers(packet, path.way(), now) {
            // What was asked twice is answered twice.
            let again = guest.may_be_sent_to(path.way(), now);
            return if again { Ok(Vec::new()) } else { Err(Reason::StunForged) };
        }
        let mut effects = Vec::new();
        self.goes_where_it_wants(seat, path, now, &mut effects);
        Ok(effects)
    }

    /// Something came by `path` that shows where a viewer is: it is sent to there, if it is to be and may be.
    fn goes_where_it_wants(&mut self, seat: Seat, path: &Path, now: Instant, effects: &mut Vec<Effect>) {
        let Some(guest) = self.seats.get_mut(&seat) else { return };
        let way = path.way();
        let wants = guest.path.is_none() || guest.wanted.as_ref().is_some_and(|wanted| wanted.way() == way);
        if wants && guest.may_be_sent_to(way, now) && guest.budget.take(now) {
            guest.choose(path, now);
            if guest.is_up() {
                effects.push(Effect::Moved(seat, path.clone()));
            }
        }
        self.begin_if_it_can(seat, now, effects);
    }

    /// DTLS.
    fn handshake(&mut self, packet: &[u8], path: &Path, now: Instant) -> Result<Vec<Effect>, Reason> {
        let seat = *self.ways.get(&path.way()).ok_or(Reason::DtlsStranger)?;
        if !dtls::plausible(packet) {
            return Err(Reason::DtlsMalformed);
        }
        let guest = self.seats.get_mut(&seat).ok_or(Reason::DtlsStranger)?;
        if !guest.dtls.take(now) {
            return Err(Reason::DtlsFlood);
        }
        let mut effects = Vec::new();
        let may_be_sent_to = guest.may_be_sent_to(path.way(), now);
        let joins = matches!(guest.stage, Stage::Joining { .. });
        if guest.peer.is_none() || !may_be_sent_to {
            // The player's description, or its answer, may be on its way to us: saves it from sending this again.
            if joins {
                guest.early.get_or_insert_with(|| (path.clone(), packet.to_vec()));
            }
            return Err(Reason::DtlsEarly);
        }
        match joins {
            true => self.begin_or_wait(seat, path, packet, now, &mut effects),
            false => effects.push(Effect::Dtls(seat)),
        }
        Ok(effects)
    }

    /// A first flight has come from where it may be answered to: its handshake begins if there is room and nobody has waited longer.
    fn begin_or_wait(
        &mut self,
        seat: Seat,
        path: &Path,
        flight: &[u8],
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(guest) = self.seats.get_mut(&seat) else { return };
        if guest.early.as_ref().is_none_or(|(kept, _)| kept.way() != path.way()) {
            guest.early = Some((path.clone(), flight.to_vec()));
        }
        if !std::mem::replace(&mut guest.queues, true) {
            self.queue.push_back(seat);
        }
        self.next_in(now, effects);
    }

    /// Lets those begin who wait, as far as there is room.
    fn next_in(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while self.shaking < SHAKING_MOST
            && let Some(seat) = self.queue.pop_front()
        {
            let Some(guest) = self.seats.get_mut(&seat) else { continue };
            guest.queues = false;
            // Who has not answered while he waited has to do so first.
            let way = guest.early.as_ref().map(|(path, _)| path.way());
            if way.is_some_and(|way| guest.may_be_sent_to(way, now))
                && let Some((path, flight)) = guest.early.take()
                && self.begin(seat, &path, now, effects)
            {
                effects.push(Effect::Kept(seat, path, flight));
            }
        }
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

    /// The handshake is over.
    pub(crate) fn shaken(&mut self, seat: Seat, keys: Keys, path: &Path, now: Instant) -> Vec<Effect> {
        let Some(guest) = self.seats.get_mut(&seat) else {
            return vec![Effect::Part(seat)];
        };
        let (Stage::Shaking { .. }, Some(peer)) = (guest.stage, &mut guest.peer) else {
            return Vec::new();
        };
        let media = std::mem::take(&mut peer.media);
        guest.stage = Stage::Up { heard: now };
        self.joining -= 1;
        self.shaking -= 1;
        // The player uses it: some nominate all that they try, and use the best of them.
        guest.choose(path, now);
        let arrival = Arrival {
            seat,
            mountpoint: guest.mountpoint,
            media,
            keys,
            path: path.clone(),
            alive: guest.alive.clone(),
        };
        let mut effects = vec![Effect::Sit(Box::new(arrival))];
        self.next_in(now, &mut effects);
        effects
    }

    /// Its DTLS has ended, or never came to anything.
    pub(crate) fn parted(&mut self, seat: Seat, why: String, failed: bool) -> Vec<Effect> {
        let drop = failed.then_some(Effect::Drop(Reason::DtlsFailed));
        self.gone(seat, why).into_iter().chain(drop).collect()
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

    /// There is a way, a description, and a first flight; or we are to send that.
    fn begin_if_it_can(&mut self, seat: Seat, now: Instant, effects: &mut Vec<Effect>) {
        let Some(guest) = self.seats.get_mut(&seat) else { return };
        let Some(peer) = guest.peer.as_ref().filter(|_| matches!(guest.stage, Stage::Joining { .. })) else {
            return;
        };
        if !peer.begins {
            if let Some(path) = guest.path.clone() {
                self.begin(seat, &path, now, effects);
            }
            return;
        }
        let may = guest.early.as_ref().map(|(path, _)| path.way());
        if may.is_some_and(|way| guest.may_be_sent_to(way, now))
            && let Some((path, flight)) = guest.early.take()
        {
            self.begin_or_wait(seat, &path, &flight, now, effects);
        }
    }

    /// Begins the handshake of somebody who has described himself; false: there are too many.
    fn begin(&mut self, seat: Seat, path: &Path, now: Instant, effects: &mut Vec<Effect>) -> bool {
        if self.shaking >= SHAKING_MOST {
            return false;
        }
        let Some(guest) = self.seats.get_mut(&seat) else {
            return false;
        };
        let (Stage::Joining { until }, Some(peer)) = (guest.stage, &mut guest.peer) else {
            return false;
        };
        guest.stage = Stage::Shaking { until: until.max(now + SHAKES_WITHIN) };
        self.shaking += 1;
        effects.push(Effect::Shake {
            seat,
            begins: peer.begins,
            fingerprints: std::mem::take(&mut peer.fingerprints),
            path: path.clone(),
        });
        true
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

/// What is to be asked of somebody now.
fn questions(guest: &mut Guest, now: Instant) -> impl Iterator<Item = Effect> {
    guest.questions(now).into_iter().map(|(path, question)| Effect::Say(path, question))
}

#[cfg(test)]
mod tests;
