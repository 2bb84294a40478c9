//! DTLS: who comes by a known way shows that he is the one described. So many shake hands at once; others wait for their turn.

use std::time::{Duration, Instant};

use super::{Effect, Hall};
use crate::door::drops::Reason;
use crate::door::dtls;
use crate::door::guest::Stage;
use crate::peer::Seat;
use crate::send::Path;
use crate::srtp::Keys;
use crate::worker::Arrival;

/// Handshakes at once: each needs some fifty thousand bytes. Others wait for their turn.
pub(super) const SHAKING_MOST: usize = 512;
/// Whoever had to wait until there was room for his handshake has this long for it, if no longer is left of his time.
pub(super) const SHAKES_WITHIN: Duration = Duration::from_secs(10);

impl Hall {
    /// DTLS.
    pub(super) fn handshake(
        &mut self,
        packet: &[u8],
        path: &Path,
        now: Instant,
    ) -> Result<Vec<Effect>, Reason> {
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

    /// There is a way, a description, and a first flight; or we are to send that.
    pub(super) fn begin_if_it_can(&mut self, seat: Seat, now: Instant, effects: &mut Vec<Effect>) {
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

    /// Lets those begin who wait, as far as there is room.
    pub(super) fn next_in(&mut self, now: Instant, effects: &mut Vec<Effect>) {
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

    /// How many wait until there is room for their handshakes, those among them who have gone included.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }
}
