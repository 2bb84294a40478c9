//! A viewer that lacks a packet says so, sealed, and gets it as a retransmission (RFC 4588), once for each time that it asks.
//! What is not sealed with its keys is worth nothing.

use node::media::Kind;
use seats::Seat;
use seats::srtp::Profile;

use crate::common::{Server, Viewers, nack, ssrcs};

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
