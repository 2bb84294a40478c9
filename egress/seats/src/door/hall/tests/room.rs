//! How many there may be at once, and what becomes of those who are more.

use super::*;

/// Somebody who begins the handshake.
fn shake(evening: &mut Evening, port: u16) -> (Seat, Vec<Effect>) {
    let (seat, ice) = evening.invite();
    evening.admit(seat, true);
    evening.checks(&ice, port);
    (seat, evening.comes(FLIGHT, port))
}

/// As many as may shake hands at once.
fn shake_all(evening: &mut Evening) -> Vec<Seat> {
    (1..=SHAKING_MOST as u16).map(|port| shake(evening, port).0).collect()
}

/// Those who begin, and those who are gone.
fn begun_and_gone(effects: &[Effect]) -> [Vec<Seat>; 2] {
    let mut seats = [Vec::new(), Vec::new()];
    for effect in effects {
        match effect {
            Effect::Shake { seat, .. } => seats[0].push(*seat),
            Effect::Gone(seat, _) => seats[1].push(*seat),
            _ => {}
        }
    }
    seats
}

#[test]
fn those_for_whose_handshake_there_is_no_room_wait_for_their_turn() {
    let mut evening = Evening::new();
    let first = shake(&mut evening, 1).0;
    for port in 2..=SHAKING_MOST as u16 {
        assert!(matches!(shake(&mut evening, port).1[..], [Effect::Shake { .. }, Effect::Kept(..)]));
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

/// It is we who let him wait: what that takes is not taken from his time.
#[test]
fn who_waits_for_room_loses_no_time_by_that() {
    let mut evening = Evening::new();
    let all = shake_all(&mut evening).len();
    let (waits, _) = shake(&mut evening, 2001);
    assert_eq!(evening.hall.waiting(), 1);
    evening.passes(Duration::from_secs(19));
    let (late, _) = shake(&mut evening, 2002);
    // Those who were let in did nothing; he who waits has used up all his time as well.
    let [begun, gone] = begun_and_gone(&evening.passes(Duration::from_secs(1)));
    assert_eq!((begun, gone.len()), (vec![waits, late], all), "in the order in which they came");
    let [_, gone] = begun_and_gone(&evening.passes(SHAKES_WITHIN - Duration::from_millis(1)));
    assert_eq!(gone, []);
    let [_, gone] = begun_and_gone(&evening.passes(Duration::from_millis(1)));
    assert_eq!(gone, [waits], "the other one had more time left");
}

/// His flight may have waited for longer than an answer of his counts.
#[test]
fn who_is_not_there_any_more_is_not_let_in() {
    let mut evening = Evening::new();
    let all = shake_all(&mut evening);
    let (waits, _) = shake(&mut evening, 2001);
    evening.now += SILENCE;
    let effects: Vec<Effect> = all.iter().flat_map(|seat| evening.hall.leave(*seat)).collect();
    assert!(!effects.is_empty());
    let effects = evening.passes_unanswered(Duration::ZERO);
    assert_eq!(begun_and_gone(&effects), [vec![], vec![]]);
    let effects = evening.passes_unanswered(Duration::ZERO);
    assert_eq!(gone(&effects, waits), Some("nobody answered where its packets came from"));
    assert!(evening.is_empty());
}
