//! From the invitation to the seat, in whatever order things come, and what ends that.

use super::*;

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
        matches!(effects[..], [Effect::Shake { begins: true, .. }, Effect::Kept(whose, ..)] if whose == seat)
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

/// Until then what it may have missed of the handshake is kept for it, which is most of what a viewer takes.
#[test]
fn who_is_heard_by_its_keys_needs_nothing_of_the_handshake_any_more() {
    let mut evening = Evening::new();
    let (seat, _) = evening.up(1);
    let settled = |evening: &mut Evening| {
        let effects = evening.passes(Duration::from_millis(100));
        effects.iter().filter(|effect| matches!(effect, Effect::Settled(whose) if *whose == seat)).count()
    };
    assert_eq!(settled(&mut evening), 0);
    let heard = |evening: &Evening| evening.hall.seats[&seat].alive.store(true, Relaxed);
    heard(&evening);
    assert_eq!(settled(&mut evening), 1);
    heard(&evening);
    assert_eq!(settled(&mut evening), 0, "once");
}
