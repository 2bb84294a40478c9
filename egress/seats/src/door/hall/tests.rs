use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use node::media::PerKind;
use proptest::prelude::*;

use super::*;
use crate::door::Connection;
use crate::door::stun::tests::{answer, check};
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

#[test]
fn whoever_begins_comes_in_by_check_flight_and_keys() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.invite();
    assert!(evening.admit(seat, true).is_empty());
    assert_eq!(dropped(&evening.comes(FLIGHT, 1)), Some(Reason::DtlsStranger));
    assert!(matches!(&evening.checks(&ice, 1)[..], [Effect::Say(to, _)] if way(to) == way(&from(1))));
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
    assert!(matches!(&effects[..], [Effect::Say(..), Effect::Shake { begins: false, .. }]));
    assert!(matches!(evening.checks(&ice, 1)[..], [Effect::Say(..)]), "once");

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
    assert!(matches!(leads[..], [Effect::Say(..), Effect::Drop(Reason::StunRole)]));
    assert!(!evening.hall.knows(way(&from(1))));
}

#[test]
fn a_nomination_moves_who_sits() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.up(1);
    let user = format!("{}:theirs", ice.user);
    let tries = evening.comes(&check(&user, &ice.password, true, false), 2);
    let tries = evening.answers(tries);
    assert!(matches!(tries[..], [Effect::Say(..)]), "only tried");
    let effects = evening.checks(&ice, 2);
    assert!(matches!(&effects[..], [Effect::Say(..), Effect::Moved(whose, to)]
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
    assert!(matches!(effects[..], [Effect::Say(..), Effect::Moved(_, Path::Udp(_))]), "and now it does");
}

#[test]
fn an_ice_restart_changes_credentials_and_nothing_else() {
    let mut evening = Evening::new();
    let (seat, old) = evening.up(1);
    let new = evening.hall.restart(seat, peer(true).ice).unwrap();
    assert!(new.user != old.user && new.password != old.password);
    assert!(matches!(evening.checks(&old, 1)[..], [Effect::Say(..)]), "until there is a new way");
    assert!(matches!(evening.checks(&old, 3)[..], [Effect::Say(..)]), "which the old cannot give");
    let effects = evening.checks(&new, 2);
    assert!(matches!(&effects[..], [Effect::Say(..), Effect::Moved(..)]));
    assert_eq!(dropped(&evening.checks(&old, 1)), Some(Reason::StunStranger));
    evening.hall.leave(seat);
    assert!(evening.is_empty());
    assert_eq!(evening.hall.restart(seat, new), Err(Refusal::NoSeat));
}

/// RFC 7675: a viewer whose reports or checks come from wherever is gone when nobody answers where it is sent to.
#[test]
fn who_does_not_answer_is_gone_and_who_answers_is_not() {
    let mut evening = Evening::new();
    let (silent, ice) = evening.up(1);
    let (answers, _) = evening.up(2);
    for second in 0..40 {
        let (to_silent, others): (Vec<Effect>, Vec<Effect>) = evening
            .passes_unanswered(Duration::from_secs(1))
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Say(to, _) if way(to) == way(&from(1))));
        assert!(to_silent.len() <= 1, "no more than a question a second");
        let effects = evening.answers(others);
        assert_eq!(gone(&effects, silent).is_some(), second == 29, "{second}");
        if second < 29 {
            // It says that it is there, from elsewhere; and anybody may send this from its address.
            evening.forges(&ice, 3);
            evening.forges(&ice, 1);
            evening.comes(REPORT, 1);
            evening.hall.seats[&silent].alive.store(true, Relaxed);
        }
    }
    assert!(!evening.hall.leave(answers).is_empty());
    assert!(evening.is_empty());
}

/// Whoever knows the password may send from any address that is not its own.
#[test]
fn nobody_is_sent_to_who_has_not_answered() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.up(1);
    let (mut came, mut went) = (0, 0);
    for _ in 0..200 {
        let before = check(&format!("{}:theirs", ice.user), &ice.password, true, true).len();
        let effects = evening.forges(&ice, 2);
        came += before;
        went += bytes_to(&effects, 2);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Moved(..))));
        let effects = evening.passes_unanswered(Duration::from_millis(100));
        went += bytes_to(&effects, 2);
        evening.answers(
            effects.into_iter().filter(|effect| bytes_to(std::slice::from_ref(effect), 1) > 0).collect(),
        );
        assert_eq!(dropped(&evening.comes(FLIGHT, 2)), Some(Reason::DtlsEarly));
        assert!(went <= 3 * came, "{went} bytes for {came}");
    }
    assert!(went > 0);
    assert!(evening.hall.seats[&seat].uses(way(&from(1))), "where it was");
    // An answer that nobody can have got, and one by who does not know the password.
    let questions: Vec<Effect> = evening.passes_unanswered(Duration::from_secs(1));
    let asked = |port| {
        questions.iter().find_map(|effect| match effect {
            Effect::Say(path, said) if way(path) == way(&from(port)) => Some(said.clone()),
            _ => None,
        })
    };
    let question = asked(2).expect("a question");
    let right = peer(true).ice.password;
    for (password, port, from) in [("another of 22 letters or more", 2, 2), (&right, 3, 2), (&right, 2, 2)] {
        let effects =
            evening.comes(&answer(&question, password, SocketAddr::from(([192, 0, 2, 1], from))), port);
        let moved = effects.iter().any(|effect| matches!(effect, Effect::Moved(..)));
        assert_eq!(moved, password == right && port == 2, "{password} {port}");
    }
}

/// The same of who is about to come in: the handshake's flights are longer than what they answer.
#[test]
fn no_handshake_begins_with_who_has_not_answered() {
    for begins in [true, false] {
        let mut evening = Evening::new();
        let (seat, ice) = evening.invite();
        evening.admit(seat, begins);
        for _ in 0..50 {
            let effects = evening.forges(&ice, 1);
            assert!(effects.iter().all(|effect| matches!(effect, Effect::Say(..))));
            evening.comes(FLIGHT, 1);
            assert!(evening.passes_unanswered(Duration::from_millis(100)).iter().all(is_question));
        }
        let effects = evening.checks(&ice, 2);
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::Shake { .. })), !begins);
    }
}

/// The answer may be lost on its way, or come after the first flight.
#[test]
fn a_flight_that_overtakes_the_answer_is_kept() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.invite();
    evening.admit(seat, true);
    evening.forges(&ice, 1);
    assert_eq!(dropped(&evening.comes(FLIGHT, 1)), Some(Reason::DtlsEarly));
    let asked_again = evening.passes_unanswered(Duration::from_millis(200));
    let effects = evening.answers(asked_again);
    assert!(matches!(&effects[..], [Effect::Shake { .. }, Effect::Kept(whose, _, flight)]
        if *whose == seat && flight == FLIGHT));
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

    let (forged, ice) = evening.invite();
    evening.admit(forged, true);
    evening.forges(&ice, 1);
    let effects = evening.passes(Duration::from_secs(20));
    assert_eq!(gone(&effects, forged), Some("nobody answered where its packets came from"));

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
