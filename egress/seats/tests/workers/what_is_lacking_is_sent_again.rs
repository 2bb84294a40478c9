//! A viewer that lacks a packet says so, sealed, and gets it as a retransmission (RFC 4588), once for each time that it asks.
//! What is not sealed with its keys is worth nothing.

use std::time::{Duration, Instant};

use node::media::Kind;
use seats::Seat;
use seats::srtp::Profile;

use crate::common::{Came, PATIENCE, Server, Viewers, nack, ssrcs};

#[test]
fn what_is_lacking_is_sent_again() {
    let mut server = Server::start(1);
    let mut viewers = Viewers::sit(&server, [(1, Profile::Aes128Gcm), (2, Profile::Aes128Gcm)]);
    server.push(Kind::Video, 5, true);
    viewers.until(10);
    let [audio, video, rtx] = ssrcs(1);
    let lacks = viewers.of(1).came[&video][2].0 as u16;
    // Another viewer has other keys; and a packet is worth something once.
    let request = nack(video, lacks);
    let (others, own) = (viewers.seal(2, &request), viewers.seal(1, &request));
    for packet in [&others, &own, &own, &request] {
        server.workers.heard(Seat(1), packet);
    }
    server.workers.heard(Seat(9), &own);
    server.push(Kind::Audio, 1, false);
    let mut again = Vec::new();
    // Sound goes out behind all that came before.
    while !viewers.of(1).came.contains_key(&audio) || !viewers.of(2).came.contains_key(&(audio + 10)) {
        let came = viewers.next();
        again.extend((came.ssrc == rtx).then_some(came));
    }
    let [again] = &again[..] else { panic!("{} retransmissions", again.len()) };
    assert_eq!((again.seat, again.packet[1] & 0x7f), (1, 121));
    let payload = node::media::rtp::payload(&again.packet).unwrap();
    assert_eq!(payload[..2], lacks.to_be_bytes());
    assert_eq!(payload.len(), 2 + 1180);
    let wanted = ["feedback_no_seat", "feedback_forged", "feedback_replayed", "feedback_malformed"]
        .map(|name| (name, 1));
    assert_eq!(server.dropped(), wanted);
}

/// From a request to its answer, while VIEWERS are sent pictures:
/// `cargo test -p seats --test workers -- how_soon --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_soon() {
    let many = std::env::var("VIEWERS").ok().and_then(|many| many.parse().ok()).unwrap_or(300);
    let mut server = Server::start(1);
    let mut viewers = Viewers::sit(&server, (2..2 + many).map(|seat| (seat, Profile::Aes128Gcm)));
    // On a socket of its own: nobody else's packets are to be read before its own.
    let mut asks = Viewers::sit(&server, [(1, Profile::Aes128Gcm)]);
    let [_, video, rtx] = ssrcs(1);
    let mut took = Vec::new();
    for round in 0..200 {
        server.push(Kind::Video, 7, round % 50 == 0);
        while asks.of(1).came.get(&video).map_or(0, Vec::len) < 7 * (round + 1) {
            asks.next();
        }
        viewers.until(many as usize * 7 * (round + 1));
        let lacks = asks.of(1).came[&video].last().unwrap().0 as u16;
        let sealed = asks.seal(1, &nack(video, lacks));
        // No more in a second than it may ask for.
        std::thread::sleep(Duration::from_millis(5));
        let began = Instant::now();
        server.workers.heard(Seat(1), &sealed);
        // Second copies of what was asked for before come in between.
        let again = |came: &Came| {
            came.ssrc == rtx && node::media::rtp::payload(&came.packet).unwrap()[..2] == lacks.to_be_bytes()
        };
        while !again(&asks.next()) {
            assert!(began.elapsed() < PATIENCE, "no answer");
        }
        took.push(began.elapsed());
    }
    took.sort();
    let at = |share: f64| took[(share * (took.len() - 1) as f64) as usize];
    println!("{} requests: p50 {:?}, p99 {:?}, most {:?}", took.len(), at(0.5), at(0.99), at(1.0));
    assert!(at(0.5) < Duration::from_millis(20), "not with the next look at what is due, but at once");
}
