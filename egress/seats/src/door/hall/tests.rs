use std::net::SocketAddr;

use node::media::PerKind;

use super::handshakes::{SHAKES_WITHIN, SHAKING_MOST};
use super::*;
use crate::door::stun::tests::{answer, check};
use crate::srtp::{Keys, Profile};

mod coming_in;
mod consent;
mod harm;
mod room;
mod ways;

/// As little of a DTLS handshake record as is plausible, and an SRTCP packet as far as the door looks at it.
const FLIGHT: &[u8] = &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const REPORT: &[u8] = &[0x80, 201, 0, 1];

fn peer(begins: bool) -> Peer {
    Peer {
        ice: Credentials { user: "theirs".to_owned(), password: "their password of 22 letters".to_owned() },
        fingerprints: Vec::new(),
        begins,
        media: PerKind { audio: None, video: None },
    }
}

fn keys() -> Keys {
    Keys { profile: Profile::Aes128Gcm, ours: Vec::new(), theirs: Vec::new() }
}

fn from(port: u16) -> Path {
    Path::Udp(SocketAddr::from(([192, 0, 2, 1], port)))
}

fn way(effect: &Path) -> Way {
    effect.way()
}

/// A hall, its clock, and one mountpoint.
struct Evening {
    hall: Hall,
    now: Instant,
}

impl Evening {
    fn new() -> Evening {
        Evening { hall: Hall::default(), now: Instant::now() }
    }

    /// Those who are asked meanwhile answer.
    fn passes(&mut self, time: Duration) -> Vec<Effect> {
        let effects = self.passes_unanswered(time);
        self.answers(effects)
    }

    fn passes_unanswered(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.hall.tick(self.now)
    }

    fn invite(&mut self) -> (Seat, Credentials) {
        let invitation = self.hall.invite(7, self.now).unwrap();
        (invitation.seat, invitation.ice)
    }

    fn admit(&mut self, seat: Seat, begins: bool) -> Vec<Effect> {
        let within = Duration::from_secs(20);
        let effects = self.hall.admit(seat, peer(begins), within, self.now).unwrap();
        self.answers(effects)
    }

    fn comes(&mut self, packet: &[u8], port: u16) -> Vec<Effect> {
        self.hall.came(packet, &from(port), self.now)
    }

    /// A check by somebody who is there: what it is asked it answers. What came of both, without questions.
    fn checks(&mut self, ice: &Credentials, port: u16) -> Vec<Effect> {
        let effects = self.forges(ice, port);
        self.answers(effects)
    }

    /// The same, by somebody who is not.
    fn forges(&mut self, ice: &Credentials, port: u16) -> Vec<Effect> {
        let user = format!("{}:theirs", ice.user);
        self.comes(&check(&user, &ice.password, true, true), port)
    }

    /// Answers all questions among these effects.
    fn answers(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let (questions, mut effects): (Vec<Effect>, Vec<Effect>) = effects.into_iter().partition(is_question);
        for question in questions {
            let Effect::Say(path, question) = question else { unreachable!() };
            let answer = answer(&question, &peer(true).ice.password, path.address());
            effects.extend(self.hall.came(&answer, &path, self.now));
        }
        effects
    }

    /// Somebody who sits.
    fn up(&mut self, port: u16) -> (Seat, Credentials) {
        let (seat, ice) = self.invite();
        self.admit(seat, true);
        self.checks(&ice, port);
        self.comes(FLIGHT, port);
        let effects = self.hall.shaken(seat, keys(), &from(port), self.now);
        assert!(matches!(&effects[..], [Effect::Sit(a)] if a.seat == seat && a.mountpoint == 7));
        (seat, ice)
    }

    fn is_empty(&self) -> bool {
        let Hall { seats, users, ways, joining, shaking, .. } = &self.hall;
        seats.is_empty() && users.is_empty() && ways.is_empty() && joining + shaking == 0
    }
}

fn is_question(effect: &Effect) -> bool {
    matches!(effect, Effect::Say(_, said) if said.starts_with(&[0, 1]))
}

/// Bytes that are sent to an address.
fn bytes_to(effects: &[Effect], port: u16) -> usize {
    let said = effects.iter().filter_map(|effect| match effect {
        Effect::Say(path, said) if way(path) == way(&from(port)) => Some(said.len()),
        _ => None,
    });
    said.sum()
}

fn dropped(effects: &[Effect]) -> Option<Reason> {
    match effects {
        [Effect::Drop(reason)] => Some(*reason),
        _ => None,
    }
}

/// Why it is gone, if that is the last effect.
fn gone(effects: &[Effect], whose: Seat) -> Option<&str> {
    match effects {
        [.., Effect::Gone(seat, why)] if *seat == whose => Some(why),
        _ => None,
    }
}
