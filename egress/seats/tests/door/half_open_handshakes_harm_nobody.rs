//! Ten thousand viewers begin the DTLS handshake and are not heard of again: as many as there is room for are waited for, for as
//! long as they may take; memory is bounded, whoever watches loses nothing, and others come in afterwards.

use std::time::Duration;

use seats::Refusal;

use crate::client::By;
use crate::stranger::{admitted, another_can_join, hello, memory};
use crate::studio::{MOUNTPOINT, Studio};

#[test]
fn ten_thousand() {
    let mut studio = Studio::start();
    let before = memory();
    let seats = studio.watched_while(|server| {
        let hello = hello();
        let sealed = [&[22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 4, 176][..], &[7; 1200]].concat();
        let mut seats = Vec::new();
        for _ in 0..10_000 {
            match admitted(server, Duration::from_secs(4)) {
                Some((seat, socket)) => {
                    seats.push(seat);
                    socket.send(&hello).unwrap();
                    // What cannot be opened yet might be kept for later.
                    (0..20).for_each(|_| drop(socket.send(&sealed)));
                }
                None => assert!(matches!(server.invite(MOUNTPOINT), Err(Refusal::TooManyJoining(4096)))),
            }
        }
        assert!(seats.len() >= 4095, "{}", seats.len());
        seats
    });
    let grown = memory().saturating_sub(before);
    assert!(grown < 256 * 1024, "{grown} KiB");
    println!("{grown} KiB for {}", seats.len());
    studio.wait_for_the_end_of(seats);
    studio.watched_while(|server| another_can_join(server, By::Udp));
}
