//! ICE: a viewer shows where it is, by a check that only it can make, and says with the answer to ours that it wants to be sent to.

use std::time::Instant;

use super::{Effect, Hall};
use crate::door::drops::Reason;
use crate::door::guest::Guest;
use crate::door::stun::{self, Check};
use crate::peer::Seat;
use crate::send::Path;

impl Hall {
    /// STUN.
    pub(super) fn check(&mut self, packet: &[u8], path: &Path, now: Instant) -> Result<Vec<Effect>, Reason> {
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
    pub(super) fn answer(&mut self, packet: &[u8], path: &Path, now: Instant) -> Result<Vec<Effect>, Reason> {
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
}

/// What is to be asked of somebody now.
pub(super) fn questions(guest: &mut Guest, now: Instant) -> impl Iterator<Item = Effect> {
    guest.questions(now).into_iter().map(|(path, question)| Effect::Say(path, question))
}
