//! Where a viewer is, and how that changes.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use crate::door::Connection;

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

#[test]
fn an_address_belongs_to_who_came_by_it_last() {
    let mut evening = Evening::new();
    let (first, _) = evening.up(1);
    let (second, _) = evening.up(1);
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(whose)] if whose == second));
    evening.hall.leave(first);
    assert!(matches!(evening.comes(REPORT, 1)[..], [Effect::Heard(_)]), "not taken along");
}
