//! What is neither STUN nor DTLS nor SRTP of somebody known is counted by reason, and whoever watches loses nothing.

use std::net::UdpSocket;

use crate::client::By;
use crate::stranger::another_can_join;
use crate::studio::{Studio, dropped, until};

const REASONS: [&str; 4] = ["garbage", "stun_malformed", "dtls_stranger", "media_stranger"];

/// Packets that begin with each byte, of some lengths.
fn garbage() -> impl Iterator<Item = Vec<u8>> + Clone {
    let lengths = [0, 1, 2, 12, 20, 40, 300, 1200, 2048, 2049, 9000];
    let packet = |(length, first): (usize, u8)| {
        let mut packet: Vec<u8> = (0..length).map(|at| (at * 37) as u8 ^ first).collect();
        if let Some(byte) = packet.first_mut() {
            *byte = first;
        }
        packet
    };
    lengths.into_iter().flat_map(|length| (0..=255).map(move |first| (length, first))).map(packet)
}

#[test]
fn all_of_it_is_counted() {
    let mut studio = Studio::start();
    studio.watched_while(|server| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let counted = || REASONS.map(|reason| dropped(server, reason)).iter().sum::<u64>();
        for (packet, sent) in garbage().zip(1..) {
            socket.send_to(&packet, server.media_port()).unwrap();
            if sent % 64 == 0 {
                until("all is counted", || counted() == sent);
            }
        }
        assert!(REASONS.iter().all(|reason| dropped(server, reason) > 30));
    });
}

#[test]
fn any_amount_of_it_may_come() {
    let mut studio = Studio::start();
    studio.watched_while(|server| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for packet in garbage().cycle().take(50_000) {
            // The port may be full.
            let _ = socket.send_to(&packet, server.media_port());
        }
        another_can_join(server, By::Udp);
    });
}
