//! A viewer with a seat sends DTLS without end, in all forms: it is kept within its budget, and its time ends.

use std::time::Duration;

use crate::client::By;
use crate::stranger::{admitted, another_can_join, hello, memory};
use crate::studio::{Studio, dropped};

/// A fragment of a handshake message that says to be long, and never comes to its end.
fn fragment(message: u16, at: u32) -> Vec<u8> {
    let body = [0; 1000];
    let mut record = vec![22, 254, 253, 0, 0, 0, 0];
    record.extend_from_slice(&(u32::from(message) << 16 | at).to_be_bytes());
    record.extend_from_slice(&(12 + body.len() as u16).to_be_bytes());
    record.push(11);
    record.extend_from_slice(&16_000_u32.to_be_bytes()[1..]);
    record.extend_from_slice(&message.to_be_bytes());
    record.extend_from_slice(&at.to_be_bytes()[1..]);
    record.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    record.extend_from_slice(&body);
    record
}

#[test]
fn of_a_hundred_viewers() {
    let mut studio = Studio::start();
    let before = memory();
    let gone = studio.watched_while(|server| {
        let hello = hello();
        let seats: Vec<_> = (0..100).filter_map(|_| admitted(server, Duration::from_secs(3))).collect();
        for (_, socket) in &seats {
            socket.send(&hello).unwrap();
            for message in 1..=20 {
                for at in (0..15_000).step_by(1000) {
                    // The port may be full.
                    let _ = socket.send(&fragment(message, at));
                    let _ = socket
                        .send(&[&hello[..], &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0]].concat());
                }
            }
        }
        assert!(dropped(server, "dtls_flood") > 1000);
        another_can_join(server, By::Udp);
        seats.into_iter().map(|(seat, _)| seat).collect::<Vec<_>>()
    });
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
    println!("{grown} KiB");
    studio.wait_for_the_end_of(gone);
}
