//! What must hold at the media port, whatever comes: for fuzz targets, which find bytes that try it. Each panics when it does not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};
use node::media::PerKind;

use super::connection::Frames;
use super::dtls::{self, Identity, Progress};
use super::hall::{Effect, Hall};
use super::sockets::LONGEST;
use super::stun;
use crate::peer::{Credentials, Fingerprint, Peer, Seat};
use crate::send::Path;
use crate::srtp::{Keys, Profile};

/// Addresses that packets come from.
const WAYS: u8 = 8;
/// The viewer's.
const PASSWORD: &str = "a password of 22 or more";

/// Packets from some addresses, while one viewer is awaited who may come from any of them. Each packet has two bytes in front: what
/// it is ([`Step`]) and where it comes from, and how long it is. True: the viewer came in.
pub fn media_port(mut data: &[u8]) -> bool {
    let mut now = Instant::now();
    let mut hall = Hall::default();
    let invitation = hall.invite(1, now).expect("the first seat");
    let peer = Peer {
        ice: Credentials { user: "user".into(), password: PASSWORD.into() },
        fingerprints: vec![Fingerprint { algorithm: "sha-256".into(), bytes: vec![7; 32] }],
        begins: true,
        media: PerKind::default(),
    };
    let admitted = hall.admit(invitation.seat, peer, Duration::from_secs(60), now);
    assert!(admitted.is_ok(), "it is awaited");
    let mut viewer =
        Viewer { seat: invitation.seat, ice: invitation.ice, ways: Default::default(), up: false };
    while let [what, length, rest @ ..] = data {
        let (packet, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        match Step::new(*what) {
            Step::Passes => {
                now += Duration::from_millis(50 * u64::from(*length));
                viewer.sees(&hall.tick(now), None);
            }
            Step::Comes(way) => {
                let path = Path::Udp(address(way));
                viewer.sees(&hall.came(packet, &path, now), Some((way, packet)));
            }
            Step::Checks(way) => {
                let check = viewer.check(packet.first().is_some_and(|nominates| nominates & 1 == 1));
                viewer.ways[usize::from(way)].came += check.len();
                let effects = hall.came(&check, &Path::Udp(address(way)), now);
                let answered = viewer.is_told(&effects);
                assert_eq!(answered, !viewer.is_gone(&hall), "a viewer's check is answered");
            }
            Step::Answers(way) => {
                let known = &mut viewer.ways[usize::from(way)];
                let Some(question) = known.question.take() else { continue };
                known.answered = true;
                let effects = hall.came(&answer(&question), &Path::Udp(address(way)), now);
                viewer.is_told(&effects);
            }
            Step::Shakes(way) => {
                // The door takes no handshake from elsewhere.
                if !viewer.ways[usize::from(way)].answered {
                    continue;
                }
                let effects = hall.shaken(viewer.seat, keys(), &Path::Udp(address(way)), now);
                viewer.up |= effects.iter().any(|effect| matches!(effect, Effect::Sit(_)));
            }
        }
    }
    viewer.up
}

/// What happens.
enum Step {
    /// Time.
    Passes,
    /// Any packet.
    Comes(u8),
    /// A check of the viewer's.
    Checks(u8),
    /// It answers what it was asked there.
    Answers(u8),
    /// Its handshake is over, if one was going on.
    Shakes(u8),
}

impl Step {
    fn new(byte: u8) -> Step {
        let way = byte % WAYS;
        match byte / WAYS {
            0 => Step::Passes,
            1 => Step::Checks(way),
            2 => Step::Shakes(way),
            3 => Step::Answers(way),
            _ => Step::Comes(way),
        }
    }
}

struct Viewer {
    seat: Seat,
    ice: Credentials,
    ways: [Known; WAYS as usize],
    up: bool,
}

/// One of its ways.
#[derive(Default)]
struct Known {
    /// Bytes of valid checks, and what was said to it.
    came: usize,
    went: usize,
    /// What it was asked, and that it has answered.
    question: Option<Vec<u8>>,
    answered: bool,
}

impl Viewer {
    /// Nothing but a valid check leads anywhere, and afterwards only what comes from where that was answered from.
    fn sees(&mut self, effects: &[Effect], came: Option<(u8, &[u8])>) {
        for effect in effects {
            let known = came.map(|(way, _)| &self.ways[usize::from(way)]);
            match effect {
                Effect::Drop(_) => {}
                Effect::Dtls(seat) | Effect::Kept(seat, ..) | Effect::Shake { seat, .. } => {
                    assert!(known.is_some_and(|way| way.answered) && *seat == self.seat);
                    assert!(came.is_some_and(|(_, packet)| dtls::plausible(packet)));
                }
                Effect::Heard(seat) => {
                    assert!(known.is_some_and(|way| way.came > 0) && self.up && *seat == self.seat);
                }
                Effect::Part(seat) | Effect::Gone(seat, _) | Effect::Rise(seat) => {
                    assert!(came.is_none() && *seat == self.seat, "only time ends it");
                }
                Effect::Say(..) if came.is_none() => self.is_said(effect),
                Effect::Say(..) => panic!("an answer to who does not know the password"),
                Effect::Sit(_) | Effect::Settled(_) | Effect::Moved(..) => {
                    panic!("without a handshake or an answer")
                }
            }
        }
    }

    /// As [`Self::sees`], for what it has said itself. True: it was answered.
    fn is_told(&mut self, effects: &[Effect]) -> bool {
        for effect in effects {
            match effect {
                Effect::Say(..) => self.is_said(effect),
                Effect::Moved(_, path) | Effect::Kept(_, path, _) | Effect::Shake { path, .. } => {
                    assert!(self.way(path).answered, "nobody there has asked for it");
                }
                _ => {}
            }
        }
        effects.iter().any(|effect| matches!(effect, Effect::Say(_, said) if !is_question(said)))
    }

    /// Whoever has not answered gets no more than three times what came from there.
    fn is_said(&mut self, effect: &Effect) {
        let Effect::Say(path, said) = effect else { return };
        let way = self.way(path);
        way.went += said.len();
        assert!(way.answered || way.went <= 3 * way.came, "{} bytes for {}", way.went, way.came);
        if is_question(said) {
            way.question = Some(said.clone());
        }
    }

    fn way(&mut self, path: &Path) -> &mut Known {
        &mut self.ways[usize::from(path.address().port() - 1000)]
    }

    fn check(&self, nominates: bool) -> Vec<u8> {
        let user = format!("{}:user", self.ice.user);
        let check = StunMessage::binding_request(&user, TransId::new(), true, 7, 1, nominates);
        let mut bytes = vec![0; 400];
        let length = check.to_bytes(Some(self.ice.password.as_bytes()), &mut bytes, stun::hmac);
        bytes.truncate(length.expect("room for a check"));
        bytes
    }

    fn is_gone(&self, hall: &Hall) -> bool {
        !hall.has(self.seat)
    }
}

fn is_question(said: &[u8]) -> bool {
    said.starts_with(&[0, 1])
}

/// As the viewer answers.
fn answer(question: &[u8]) -> Vec<u8> {
    let question = StunMessage::parse(question).expect("a question");
    let answer = StunMessage::binding_reply(question.trans_id(), address(0));
    let mut bytes = vec![0; 400];
    let length = answer.to_bytes(Some(PASSWORD.as_bytes()), &mut bytes, stun::hmac);
    bytes.truncate(length.expect("room for an answer"));
    bytes
}

fn address(way: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 1000 + u16::from(way)))
}

fn keys() -> Keys {
    let profile = Profile::Aes128Gcm;
    Keys::from_dtls(profile, &vec![7; profile.keying_material()], false).expect("as many as it wants")
}

thread_local! {
    static IDENTITY: Identity = Identity::new().expect("OpenSSL makes a certificate");
}

/// DTLS of somebody who has come in: datagrams, each with its length in front, in two bytes. Without the certificate's key there
/// is no end to the handshake. Gives how many bytes were answered.
pub fn dtls(mut data: &[u8]) -> usize {
    let fingerprint = Fingerprint { algorithm: "sha-256".into(), bytes: vec![7; 32] };
    let association = IDENTITY.with(|identity| identity.associate(true, vec![fingerprint]));
    let mut association = association.expect("OpenSSL has memory");
    let mut answered = 0;
    while let [high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(LONGEST);
        let (datagram, rest) = rest.split_at(rest.len().min(length));
        data = rest;
        if !dtls::plausible(datagram) {
            continue;
        }
        let progress = association.receive(datagram);
        let answers: usize = association.output().iter().map(Vec::len).sum();
        assert!(answers <= 16 * 1024, "{answers} bytes for {}", datagram.len());
        answered += answers;
        match progress {
            Ok(Progress::Goes) => {}
            Ok(Progress::Up(_) | Progress::Closed) => panic!("a handshake without the certificate's key"),
            Err(_) => return answered,
        }
    }
    answered
}

/// What comes by TCP is the same frames however it is cut, and what is kept for more is less than the longest.
pub fn frames(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let (whole, ended) = read(data, data.len().max(1));
    let (pieces, also_ended) = read(data, usize::from(*cut) + 1);
    assert_eq!(ended, also_ended);
    assert!(pieces == whole || (ended && whole.starts_with(&pieces)));
    assert!(whole.iter().all(|frame| frame.len() <= LONGEST));
}

/// All frames, and whether one was too long.
fn read(data: &[u8], cut: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut all) = (Frames::default(), Vec::new());
    for piece in data.chunks(cut) {
        frames.extend(piece);
        if frames.each(|frame| all.push(frame.to_vec())).is_err() {
            return (all, true);
        }
        assert!(frames.kept() <= LONGEST + 2, "{} bytes wait", frames.kept());
    }
    (all, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the fuzz targets begin with comes as far as a viewer does.
    #[test]
    fn seeds_lead_somewhere() {
        assert!(media_port(include_bytes!("../../../../fuzz/seeds/media_port/a-viewer")));
        assert!(media_port(include_bytes!("../../../../fuzz/seeds/media_port/many-ways")));
        assert!(!media_port(include_bytes!("../../../../fuzz/seeds/media_port/strangers")));
        assert!(
            dtls(include_bytes!("../../../../fuzz/seeds/viewer_dtls/both-flights")) > 500,
            "a certificate"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(data in prop::collection::vec(any::<u8>(), 0..2000)) {
            media_port(&data);
            dtls(&data);
            frames(&data);
        }

        /// Steps that lead somewhere: checks, packets of all kinds, handshakes, time.
        #[test]
        fn any_order_is_borne(steps in prop::collection::vec((0..64_u8, 0..200_u8, any::<u8>()), 0..60)) {
            let bytes = |(what, length, first): (u8, u8, u8)| {
                let mut packet = vec![what, length];
                packet.extend((0..length).map(|at| if at == 0 { first } else { at }));
                packet
            };
            media_port(&steps.into_iter().flat_map(bytes).collect::<Vec<u8>>());
        }
    }
}
