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

/// Packets from some addresses, while one viewer is awaited who may come from any of them. Each packet has two bytes in front: what
/// it is ([`Step`]) and where it comes from, and how long it is.
pub fn media_port(mut data: &[u8]) {
    let mut now = Instant::now();
    let mut hall = Hall::default();
    let invitation = hall.invite(1, now).expect("the first seat");
    let peer = Peer {
        ice: Credentials { user: "user".into(), password: "a password of 22 or more".into() },
        fingerprints: vec![Fingerprint { algorithm: "sha-256".into(), bytes: vec![7; 32] }],
        begins: true,
        media: PerKind::default(),
    };
    let admitted = hall.admit(invitation.seat, peer, Duration::from_secs(60), now);
    assert!(admitted.is_ok(), "it is awaited");
    let mut viewer =
        Viewer { seat: invitation.seat, ice: invitation.ice, checked: [false; WAYS as usize], up: false };
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
                let path = Path::Udp(address(way));
                let effects = hall.came(&check, &path, now);
                let answered = effects.iter().any(|effect| matches!(effect, Effect::Answer(..)));
                assert_eq!(answered, !viewer.is_gone(&hall), "a viewer's check is answered");
                viewer.checked[usize::from(way)] |= answered;
            }
            Step::Shakes(way) => {
                let effects = hall.shaken(viewer.seat, keys(), &Path::Udp(address(way)), now);
                viewer.up |= effects.iter().any(|effect| matches!(effect, Effect::Sit(_)));
            }
        }
    }
}

/// What happens.
enum Step {
    /// Time.
    Passes,
    /// Any packet.
    Comes(u8),
    /// A check of the viewer's.
    Checks(u8),
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
            _ => Step::Comes(way),
        }
    }
}

struct Viewer {
    seat: Seat,
    ice: Credentials,
    /// From where a valid check came.
    checked: [bool; WAYS as usize],
    up: bool,
}

impl Viewer {
    /// Nothing but a valid check leads anywhere, and afterwards only what comes from where that came from.
    fn sees(&self, effects: &[Effect], came: Option<(u8, &[u8])>) {
        for effect in effects {
            let known = came.is_some_and(|(way, _)| self.checked[usize::from(way)]);
            match effect {
                Effect::Drop(_) => {}
                Effect::Dtls(seat) | Effect::Shake { seat, .. } => {
                    assert!(known && *seat == self.seat);
                    assert!(came.is_some_and(|(_, packet)| dtls::plausible(packet)));
                }
                Effect::Heard(seat) => assert!(known && self.up && *seat == self.seat),
                Effect::Part(seat) | Effect::Gone(seat, _) | Effect::Rise(seat) => {
                    assert!(came.is_none() && *seat == self.seat, "only time ends it");
                }
                Effect::Answer(..) => panic!("an answer to who does not know the password"),
                Effect::Kept(..) => panic!("it has described itself before"),
                Effect::Sit(_) | Effect::Moved(..) => panic!("without a handshake or a check"),
            }
        }
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
/// is no end to the handshake.
pub fn dtls(mut data: &[u8]) {
    let fingerprint = Fingerprint { algorithm: "sha-256".into(), bytes: vec![7; 32] };
    let association = IDENTITY.with(|identity| identity.associate(true, vec![fingerprint]));
    let mut association = association.expect("OpenSSL has memory");
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
        match progress {
            Ok(Progress::Goes) => {}
            Ok(Progress::Up(_) | Progress::Closed) => panic!("a handshake without the certificate's key"),
            Err(_) => return,
        }
    }
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
