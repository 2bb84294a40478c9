use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use node::media::PerKind;
use proptest::prelude::*;

use super::*;
use crate::door::Connection;
use crate::door::stun::tests::check;
use crate::srtp::Profile;

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

    fn passes(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.hall.tick(self.now)
    }

    fn invite(&mut self) -> (Seat, Credentials) {
        let invitation = self.hall.invite(7, self.now).unwrap();
        (invitation.seat, invitation.ice)
    }

    fn admit(&mut self, seat: Seat, begins: bool) -> Vec<Effect> {
        let within = Duration::from_secs(20);
        self.hall.admit(seat, peer(begins), within, self.now).unwrap()
    }

    fn comes(&mut self, packet: &[u8], port: u16) -> Vec<Effect> {
        self.hall.came(packet, &from(port), self.now)
    }

    fn checks(&mut self, ice: &Credentials, port: u16) -> Vec<Effect> {
        let user = format!("{}:theirs", ice.user);
        self.comes(&check(&user, &ice.password, true, true), port)
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

#[test]
fn whoever_begins_comes_in_by_check_flight_and_keys() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.invite();
    assert!(evening.admit(seat, true).is_empty());
    assert_eq!(dropped(&evening.comes(FLIGHT, 1)), Some(Reason::DtlsStranger));
    assert!(matches!(&evening.checks(&ice, 1)[..], [Effect::Answer(to, _)] if way(to) == way(&from(1))));
    assert_eq!(dropped(&evening.comes(REPORT, 1)), Some(Reason::MediaStranger));
    let effects = evening.comes(FLIGHT, 1);
    assert!(
        matches!(effects[..], [Effect::Shake { begins: true, .. }, Effect::Dtls(whose)] if whose == seat)
    );
    assert!(matches!(evening.comes(FLIGHT, 1)[..], [Effect::Dtls(_)]));
    let effects = evening.hall.shaken(seat, keys(), &from(1), evening.now);
    assert!(matches!(&effects[..], [Effect::Sit(_)]));
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(whose)] if whose == seat));
    assert!(evening.comes(&[0, 0x11, 0, 0], 1).is_empty(), "keeps a NAT awake");
    assert_eq!(dropped(&evening.comes(&[0, 0x11, 0, 0], 2)), Some(Reason::StunMalformed));
    assert!(matches!(evening.hall.leave(seat)[..], [Effect::Rise(_), Effect::Part(_)]));
    assert!(evening.is_empty());
}

#[test]
fn whoever_waits_is_sent_the_first_flight_when_a_way_is_known() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.invite();
    evening.admit(seat, false);
    let effects = evening.checks(&ice, 1);
    assert!(matches!(&effects[..], [Effect::Answer(..), Effect::Shake { begins: false, .. }]));
    assert!(matches!(evening.checks(&ice, 1)[..], [Effect::Answer(..)]), "once");

    let (seat, ice) = evening.invite();
    evening.checks(&ice, 2);
    assert!(matches!(evening.admit(seat, false)[..], [Effect::Shake { begins: false, .. }]));
}

#[test]
fn a_flight_that_overtakes_the_description_is_kept() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.invite();
    evening.checks(&ice, 1);
    assert_eq!(dropped(&evening.comes(FLIGHT, 1)), Some(Reason::DtlsEarly));
    let effects = evening.admit(seat, true);
    assert!(matches!(&effects[..], [Effect::Shake { .. }, Effect::Kept(_, _, flight)] if flight == FLIGHT));
}

#[test]
fn who_does_not_know_the_password_is_nobody() {
    let mut evening = Evening::new();
    let (_, ice) = evening.invite();
    let user = format!("{}:theirs", ice.user);
    let forged = evening.comes(&check(&user, "another password, long enough", true, true), 1);
    assert_eq!(dropped(&forged), Some(Reason::StunForged));
    let stranger = evening.comes(&check("nobody:theirs", &ice.password, true, true), 1);
    assert_eq!(dropped(&stranger), Some(Reason::StunStranger));
    let leads = evening.comes(&check(&user, &ice.password, false, true), 1);
    assert!(matches!(leads[..], [Effect::Answer(..), Effect::Drop(Reason::StunRole)]));
    assert!(!evening.hall.knows(way(&from(1))));
}

#[test]
fn a_nomination_moves_who_sits() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.up(1);
    let user = format!("{}:theirs", ice.user);
    let tries = evening.comes(&check(&user, &ice.password, true, false), 2);
    assert!(matches!(tries[..], [Effect::Answer(..)]), "only tried");
    let effects = evening.checks(&ice, 2);
    assert!(matches!(&effects[..], [Effect::Answer(..), Effect::Moved(whose, to)]
        if *whose == seat && way(to) == way(&from(2))));
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(_)]), "both are its ways");
}

#[test]
fn tcp_takes_the_place_of_udp_only_when_udp_is_not_nominated_any_more() {
    let mut evening = Evening::new();
    let (_, ice) = evening.up(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let tcp = Path::Tcp(Arc::new(Connection::new(1, stream, peer).unwrap()));
    let user = format!("{}:theirs", ice.user);
    let by_tcp = |evening: &mut Evening| {
        let check = check(&user, &ice.password, true, true);
        let effects = evening.hall.came(&check, &tcp, evening.now);
        effects.iter().any(|effect| matches!(effect, Effect::Moved(_, Path::Tcp(_))))
    };
    for _ in 0..10 {
        evening.checks(&ice, 1);
        assert!(!by_tcp(&mut evening), "it tries both");
        evening.passes(Duration::from_secs(2));
    }
    assert!(!by_tcp(&mut evening));
    evening.passes(Duration::from_secs(2));
    assert!(by_tcp(&mut evening), "UDP does not get through any more");
    let effects = evening.checks(&ice, 1);
    assert!(matches!(effects[..], [Effect::Answer(..), Effect::Moved(_, Path::Udp(_))]), "and now it does");
}

#[test]
fn an_ice_restart_changes_credentials_and_nothing_else() {
    let mut evening = Evening::new();
    let (seat, old) = evening.up(1);
    let new = evening.hall.restart(seat, peer(true).ice).unwrap();
    assert!(new.user != old.user && new.password != old.password);
    assert!(matches!(evening.checks(&old, 1)[..], [Effect::Answer(..)]), "until there is a new way");
    assert!(matches!(evening.checks(&old, 3)[..], [Effect::Answer(..)]), "which the old cannot give");
    let effects = evening.checks(&new, 2);
    assert!(matches!(&effects[..], [Effect::Answer(..), Effect::Moved(..)]));
    assert_eq!(dropped(&evening.checks(&old, 1)), Some(Reason::StunStranger));
    evening.hall.leave(seat);
    assert!(evening.is_empty());
    assert_eq!(evening.hall.restart(seat, new), Err(Refusal::NoSeat));
}

#[test]
fn who_is_silent_is_gone_and_who_is_heard_is_not() {
    let mut evening = Evening::new();
    let (silent, _) = evening.up(1);
    let (checks, ice) = evening.up(2);
    let (reports, _) = evening.up(3);
    for second in 0..40 {
        let effects = evening.passes(Duration::from_secs(1));
        assert_eq!(gone(&effects, silent).is_some(), second == 29, "{second}");
        evening.checks(&ice, 2);
        // Anybody may send this from its address.
        evening.comes(REPORT, 1);
        // This a worker has opened.
        evening.hall.seats[&reports].alive.store(true, Relaxed);
    }
    assert!(!evening.hall.leave(checks).is_empty() && !evening.hall.leave(reports).is_empty());
    assert!(evening.is_empty());
}

#[test]
fn each_stage_has_its_time() {
    let mut evening = Evening::new();
    let (invited, _) = evening.invite();
    let effects = evening.passes(INVITED);
    assert_eq!(gone(&effects, invited), Some("it never described itself"));

    let (admitted, _) = evening.invite();
    evening.admit(admitted, true);
    let effects = evening.passes(Duration::from_secs(20));
    assert_eq!(gone(&effects, admitted), Some("none of its packets ever came"));

    let (checked, ice) = evening.invite();
    evening.admit(checked, true);
    evening.checks(&ice, 1);
    let effects = evening.passes(Duration::from_secs(20));
    assert_eq!(gone(&effects, checked), Some("it never began the DTLS handshake"));

    let (began, ice) = evening.invite();
    evening.admit(began, true);
    evening.checks(&ice, 1);
    evening.comes(FLIGHT, 1);
    let effects = evening.passes(Duration::from_secs(20));
    assert_eq!(gone(&effects, began), Some("the DTLS handshake took too long"));
    assert!(evening.is_empty());
}

/// Somebody who begins the handshake.
fn shake(evening: &mut Evening, port: u16) -> (Seat, Vec<Effect>) {
    let (seat, ice) = evening.invite();
    evening.admit(seat, true);
    evening.checks(&ice, port);
    (seat, evening.comes(FLIGHT, port))
}

#[test]
fn those_for_whose_handshake_there_is_no_room_wait_for_their_turn() {
    let mut evening = Evening::new();
    let first = shake(&mut evening, 1).0;
    for port in 2..=SHAKING_MOST as u16 {
        assert!(matches!(shake(&mut evening, port).1[..], [Effect::Shake { .. }, Effect::Dtls(_)]));
    }
    let (second, effects) = shake(&mut evening, 2001);
    assert!(effects.is_empty());
    let (third, _) = shake(&mut evening, 2002);
    assert!(evening.comes(FLIGHT, 2002).is_empty(), "once is enough");
    let (leaves, _) = shake(&mut evening, 2003);
    evening.hall.leave(leaves);

    let effects = evening.hall.shaken(first, keys(), &from(1), evening.now);
    assert!(matches!(&effects[..], [Effect::Sit(_), Effect::Shake { seat, .. }, Effect::Kept(_, _, flight)]
        if *seat == second && flight == FLIGHT));
    let effects = evening.hall.shaken(second, keys(), &from(2001), evening.now);
    assert!(matches!(&effects[..], [Effect::Sit(_), Effect::Shake { seat, .. }, _] if *seat == third));
    let effects = evening.hall.shaken(third, keys(), &from(2002), evening.now);
    assert!(matches!(&effects[..], [Effect::Sit(_)]), "nobody waits any more");
}

#[test]
fn handshakes_that_stand_still_make_room_for_others() {
    let mut evening = Evening::new();
    let slow: Vec<Seat> = (1..=SHAKING_MOST as u16).map(|port| shake(&mut evening, port).0).collect();
    let late: Vec<Seat> = (2001..2011).map(|port| shake(&mut evening, port).0).collect();
    assert!(evening.passes(SLOW / 2).is_empty());
    let effects = evening.passes(SLOW / 2);
    let seats = |of: fn(&Effect) -> Option<Seat>| effects.iter().filter_map(of).collect::<Vec<Seat>>();
    let gone = seats(|effect| if let Effect::Gone(seat, _) = effect { Some(*seat) } else { None });
    let begun = seats(|effect| if let Effect::Shake { seat, .. } = effect { Some(*seat) } else { None });
    assert_eq!((&gone[..], begun), (&slow[..10], late));
}

#[test]
fn no_more_join_at_once_than_there_is_room_for() {
    let mut evening = Evening::new();
    for _ in 0..JOINING_MOST {
        evening.invite();
    }
    let refusal = evening.hall.invite(7, evening.now);
    assert_eq!(refusal.err(), Some(Refusal::TooManyJoining(JOINING_MOST)));
    evening.passes(INVITED);
    assert!(evening.is_empty());
    evening.invite();
}

#[test]
fn one_viewer_cannot_flood_its_worker() {
    let mut evening = Evening::new();
    evening.up(1);
    let heard = (0..10_000).filter(|_| matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(_)])).count();
    assert!((100..=200).contains(&heard), "{heard}");
    assert_eq!(dropped(&evening.comes(REPORT, 1)), Some(Reason::MediaFlood));
    evening.passes(Duration::from_secs(1));
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(_)]));
}

#[test]
fn a_mountpoint_that_ends_frees_all_its_seats() {
    let mut evening = Evening::new();
    evening.up(1);
    let (joins, _) = evening.invite();
    assert!(evening.hall.close(8).is_empty());
    let effects = evening.hall.close(7);
    let told: Vec<Seat> = effects
        .iter()
        .filter_map(|e| match e {
            Effect::Gone(seat, _) => Some(*seat),
            _ => None,
        })
        .collect();
    assert_eq!(told, [joins], "those who sit the workers tell of");
    assert!(evening.is_empty());
}

#[test]
fn an_address_belongs_to_who_came_by_it_last() {
    let mut evening = Evening::new();
    let (first, _) = evening.up(1);
    let (second, _) = evening.up(1);
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(whose)] if whose == second));
    evening.hall.leave(first);
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(_)]), "not taken along");
}

proptest! {
    /// Whatever comes from wherever: who sits stays where it is, and nobody else is let in.
    #[test]
    fn no_packet_does_harm(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 1_u16..4), 0..100),
        // All of a check but its fingerprint.
        at in 0_usize..92,
        flip in 1_u8..,
    ) {
        let mut evening = Evening::new();
        let (seat, ice) = evening.up(1);
        let user = format!("{}:theirs", ice.user);
        let mut nearly = check(&user, &ice.password, true, true);
        nearly[at] ^= flip;
        let nearly = (nearly, 2);
        for (packet, port) in packets.iter().chain([&nearly]) {
            for effect in evening.comes(packet, *port) {
                let harmless = match effect {
                    Effect::Drop(_) => true,
                    Effect::Dtls(whose) | Effect::Heard(whose) => whose == seat && *port == 1,
                    _ => false,
                };
                prop_assert!(harmless);
            }
        }
        prop_assert_eq!(evening.hall.seats.len(), 1);
    }
}
