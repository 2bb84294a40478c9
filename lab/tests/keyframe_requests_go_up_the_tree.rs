//! A child's request for a keyframe goes to where the stream comes from, at most once a second however many ask, and
//! nothing else a child sends does.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[macro_use]
mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use common::{Bench, eventually, lab_for, receive, socket};
use lab::Topology;
use lab::relay::{Mode, VIDEO};

const SSRC: u32 = 8888;
/// The sender's RTP port; feedback is expected at the next (RFC 4961).
const SENDER: u16 = 6004;

modes!(many_requests_become_one_at_the_sender);
modes!(a_request_that_comes_too_soon_is_passed_on_later);
modes!(what_is_no_request_for_a_known_stream_goes_nowhere);

/// A PLI (RFC 4585 section 6.3.1).
fn pli(media: u32) -> Vec<u8> {
    let mut packet = vec![0x81, 206, 0, 2, 0, 0, 0, 1];
    packet.extend(media.to_be_bytes());
    packet
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 0]);
    packet.extend(SSRC.to_be_bytes());
    packet.extend([0x5a; 40]);
    packet
}

struct Scene<'lab> {
    bench: Bench<'lab>,
    /// Where the sender hears RTCP.
    above: UdpSocket,
    /// Each child's RTCP port.
    below: Vec<UdpSocket>,
}

/// A stream flows to two children.
fn scene(lab: &lab::Lab, mode: Mode) -> Scene<'_> {
    let bench = Bench::attach(lab, Topology::bridged(lab, 2).unwrap(), mode, 2);
    let injection = &bench.topology.injection;
    let sender = socket(lab, "injection-1", injection.v4(SENDER));
    let above = socket(lab, "injection-1", injection.v4(SENDER + 1));
    let below = (0..2)
        .map(|index| {
            let endpoint = &bench.child(index).endpoint;
            socket(lab, &endpoint.namespace, endpoint.v4(VIDEO + 1))
        })
        .collect();
    let mut sequence = 0;
    eventually("the stream is known", || {
        sequence += 1;
        sender.send_to(&rtp(sequence), bench.topology.relay.v4(VIDEO)).unwrap();
        !bench.cli().json("streams").unwrap()["streams"].list().is_empty()
    });
    Scene { bench, above, below }
}

fn many_requests_become_one_at_the_sender(mode: Mode) {
    let lab = lab_for("pli", mode);
    let Scene { bench, above, below } = scene(&lab, mode);
    let relay = bench.topology.relay.v4(VIDEO + 1);
    let begun = Instant::now();
    let mut heard = Vec::new();
    above.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 64];
    while begun.elapsed() < Duration::from_millis(2500) {
        for child in &below {
            child.send_to(&pli(SSRC), relay).unwrap();
        }
        if let Ok((length, from)) = above.recv_from(&mut buffer) {
            assert_eq!(from, relay, "from the port that the relay is known by");
            assert_eq!(buffer[..2], [0x81, 206]);
            assert_eq!(buffer[8..length], SSRC.to_be_bytes());
            heard.push(begun.elapsed());
        }
    }
    // At the beginning, after one second, after two.
    assert_eq!(heard.len(), 3, "{heard:?}");
    let apart = heard.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(apart.into_iter().all(|apart| apart >= Duration::from_millis(900)), "{heard:?}");
    for child in &below {
        child.set_nonblocking(true).unwrap();
        assert!(child.recv(&mut buffer).is_err(), "a request went down");
    }
}

fn a_request_that_comes_too_soon_is_passed_on_later(mode: Mode) {
    let lab = lab_for("latepli", mode);
    let Scene { bench, above, below } = scene(&lab, mode);
    let relay = bench.topology.relay.v4(VIDEO + 1);
    below[0].send_to(&pli(SSRC), relay).unwrap();
    receive(&above);
    let first = Instant::now();
    // A viewer of the other child came after that keyframe had gone by, and asks once.
    below[1].send_to(&pli(SSRC), relay).unwrap();
    receive(&above);
    let apart = first.elapsed();
    assert!(apart >= Duration::from_millis(900) && apart < Duration::from_millis(1500), "{apart:?}");
    above.set_read_timeout(Some(Duration::from_millis(1200))).unwrap();
    assert!(above.recv(&mut [0; 64]).is_err(), "nobody asked any more");
}

fn what_is_no_request_for_a_known_stream_goes_nowhere(mode: Mode) {
    let lab = lab_for("nopli", mode);
    let Scene { bench, above, below } = scene(&lab, mode);
    let relay = bench.topology.relay.v4(VIDEO + 1);
    let before = bench.drops("rtcp-from-child");
    // A stranger's SSRC, a receiver report, a NACK for the stream, a PLI cut short.
    let nack = [&[0x81, 205, 0, 3, 0, 0, 0, 1][..], &SSRC.to_be_bytes(), &[0, 1, 0, 0]].concat();
    let report = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
    for packet in [pli(7), report, nack, pli(SSRC)[..8].to_vec()] {
        below[0].send_to(&packet, relay).unwrap();
    }
    eventually("all of them came", || bench.drops("rtcp-from-child") >= before + 3);
    below[1].send_to(&pli(SSRC), relay).unwrap();
    let (packet, _) = receive(&above);
    assert_eq!(packet[8..], SSRC.to_be_bytes(), "the first to be heard is the real one");
    above.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(above.recv(&mut [0; 64]).is_err(), "and the last");
}
