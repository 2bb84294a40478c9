//! As many viewers as may shake hands at once begin, and are not heard of again: whoever comes after them is let in when one of
//! them has stood still for some seconds, long before their time is over. (With nobody after them they may take all of it.)

use std::time::Duration;

use seats::Notice;

use crate::client::By;
use crate::stranger::{admitted, another_can_join, hello};
use crate::studio::{Studio, dropped};

/// As many as may shake hands at once, and some for whom there is no room.
const VIEWERS: usize = 512 + 8;
const THEIR_TIME: Duration = Duration::from_secs(600);

#[test]
fn after_seconds() {
    let studio = Studio::start();
    let hello = hello();
    let all: Vec<_> = (0..VIEWERS).filter_map(|_| admitted(&studio.server, THEIR_TIME)).collect();
    assert_eq!(all.len(), VIEWERS);
    all.iter().for_each(|(_, socket)| assert!(socket.send(&hello).is_ok()));
    let gone = studio.wait("gone", |notice| matches!(notice, Notice::Gone(..)));
    let Notice::Gone(seat, why) = gone else { unreachable!() };
    assert!(why.contains("stood still") && seat == all[0].0, "{seat:?} {why}");
    let mut studio = studio;
    studio.watched_while(|server| another_can_join(server, By::Udp));
    assert!(dropped(&studio.server, "dtls_failed") >= 8);
}
