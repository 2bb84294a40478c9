//! A child's request for a keyframe goes to where the stream comes from, at most once a second however many ask; nothing
//! else a child sends does, and nothing that anybody else sends goes anywhere.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::common::{Bench, any_socket, eventually, lab_for, receive, socket};
use lab::relay::{Mode, VIDEO};
use lab::{Topology, rtp};

const SSRC: u32 = 8888;
/// Of another stream.
const OTHER: u32 = 9999;
/// The sender's RTP port; feedback is expected at the next (RFC 4961).
const SENDER: u16 = 6004;

modes!(many_requests_become_one_at_the_sender);
modes!(a_request_that_comes_too_soon_is_passed_on_later);
modes!(what_is_no_request_for_a_known_stream_goes_nowhere);
modes!(a_strangers_request_goes_neither_up_nor_down);
modes!(a_child_may_ask_from_any_port);
modes!(a_sender_that_moves_is_asked_where_it_is);
modes!(a_sender_that_has_one_port_for_both_is_asked_there);

struct Scene<'lab> {
    bench: Bench<'lab>,
    sender: UdpSocket,
    /// Of the packets sent last.
    sequence: u16,
    /// Where the sender hears RTCP.
    above: UdpSocket,
    /// Each child's RTP port.
    watched: Vec<UdpSocket>,
    /// Each child's RTCP port.
    below: Vec<UdpSocket>,
}

impl Scene<'_> {
    /// Nothing that anybody sent before this went down to the children.
    fn nothing_went_down(&self) {
        let last = rtp::packet(SSRC, self.sequence + 1);
        self.sender.send_to(&last, self.bench.topology.relay.v4(VIDEO)).unwrap();
        for (rtp, rtcp) in self.watched.iter().zip(&self.below) {
            while receive(rtp).0 != last {}
            rtcp.set_nonblocking(true).unwrap();
            assert!(rtcp.recv(&mut [0; 64]).is_err(), "a request went down{}", self.bench.diagnosis());
            rtcp.set_nonblocking(false).unwrap();
        }
    }
}

/// Two streams flow to two children.
fn scene(lab: &lab::Lab, mode: Mode) -> Scene<'_> {
    let bench = Bench::attach(lab, Topology::bridged(lab, 2).unwrap(), mode, 2);
    let injection = &bench.topology.injection;
    let sender = socket(lab, "injection-1", injection.v4(SENDER));
    let above = socket(lab, "injection-1", injection.v4(SENDER + 1));
    let at = |port: u16| {
        let endpoints = [0, 1].map(|index| bench.child(index).endpoint.clone());
        endpoints.iter().map(|endpoint| socket(lab, &endpoint.namespace, endpoint.v4(port))).collect()
    };
    let (watched, below) = (at(VIDEO), at(VIDEO + 1));
    let mut sequence = 0;
    eventually("the streams are known", || {
        sequence += 1;
        for ssrc in [SSRC, OTHER] {
            sender.send_to(&rtp::packet(ssrc, sequence), bench.topology.relay.v4(VIDEO)).unwrap();
        }
        bench.cli().json("streams").unwrap()["streams"].list().len() == 2
    });
    Scene { bench, sender, sequence, above, watched, below }
}

fn many_requests_become_one_at_the_sender(mode: Mode) {
    let lab = lab_for("pli", mode);
    let Scene { bench, above, below, .. } = scene(&lab, mode);
    let relay = bench.topology.relay.v4(VIDEO + 1);
    let begun = Instant::now();
    let mut heard = Vec::new();
    above.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 64];
    while begun.elapsed() < Duration::from_millis(2500) {
        for child in &below {
            child.send_to(&rtp::pli(SSRC), relay).unwrap();
        }
        if let Ok((length, from)) = above.recv_from(&mut buffer) {
            assert_eq!(from, relay, "from the port that the relay is known by");
            assert_eq!(buffer[..2], [0x81, 206]);
            assert_eq!(buffer[8..length], SSRC.to_be_bytes());
            heard.push(begun.elapsed());
        }
    }
    // At the beginning, after one second, after two; and more if the machine was slow.
    let most = 1 + begun.elapsed().as_secs() as usize;
    assert!((3..=most).contains(&heard.len()), "{heard:?}");
    let apart = heard.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(apart.into_iter().all(|apart| apart >= Duration::from_millis(900)), "{heard:?}");
    for child in &below {
        child.set_nonblocking(true).unwrap();
        assert!(child.recv(&mut buffer).is_err(), "a request went down");
    }
}

fn a_request_that_comes_too_soon_is_passed_on_later(mode: Mode) {
    let lab = lab_for("latepli", mode);
    let Scene { bench, above, below, .. } = scene(&lab, mode);
    let relay = bench.topology.relay.v4(VIDEO + 1);
    below[0].send_to(&rtp::pli(SSRC), relay).unwrap();
    receive(&above);
    let first = Instant::now();
    // A viewer of the other child came after that keyframe had gone by, and asks once.
    below[1].send_to(&rtp::pli(SSRC), relay).unwrap();
    receive(&above);
    let apart = first.elapsed();
    assert!(apart >= Duration::from_millis(900) && apart < Duration::from_millis(1500), "{apart:?}");
    above.set_read_timeout(Some(Duration::from_millis(1200))).unwrap();
    assert!(above.recv(&mut [0; 64]).is_err(), "nobody asked any more");
}

fn what_is_no_request_for_a_known_stream_goes_nowhere(mode: Mode) {
    let lab = lab_for("nopli", mode);
    let Scene { bench, above, below, .. } = scene(&lab, mode);
    let relay = bench.topology.relay.v4(VIDEO + 1);
    let before = bench.drops("rtcp-from-child");
    // A stranger's SSRC, a receiver report, a NACK for the stream, a PLI cut short.
    let nack = [&[0x81, 205, 0, 3, 0, 0, 0, 1][..], &SSRC.to_be_bytes(), &[0, 1, 0, 0]].concat();
    let report = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
    for packet in [rtp::pli(7), report, nack, rtp::pli(SSRC)[..8].to_vec()] {
        below[0].send_to(&packet, relay).unwrap();
    }
    eventually("all of them came", || bench.drops("rtcp-from-child") >= before + 3);
    below[1].send_to(&rtp::pli(SSRC), relay).unwrap();
    let (packet, _) = receive(&above);
    assert_eq!(packet[8..], SSRC.to_be_bytes(), "the first to be heard is the real one");
    above.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(above.recv(&mut [0; 64]).is_err(), "and the last");
}

fn a_strangers_request_goes_neither_up_nor_down(mode: Mode) {
    let lab = lab_for("strangepli", mode);
    let scene = scene(&lab, mode);
    let relay = scene.bench.topology.relay.v4(VIDEO + 1);
    for port in [VIDEO, VIDEO + 1] {
        let to = scene.bench.topology.relay.v4(port);
        any_socket(&lab, "injection-1", false).send_to(&rtp::pli(SSRC), to).unwrap();
    }
    scene.below[0].send_to(&rtp::pli(OTHER), relay).unwrap();
    assert_eq!(receive(&scene.above).0[8..], OTHER.to_be_bytes(), "the child's is the first to be heard");
    scene.nothing_went_down();
}

fn a_child_may_ask_from_any_port(mode: Mode) {
    let lab = lab_for("anyport", mode);
    let scene = scene(&lab, mode);
    let relay = scene.bench.topology.relay.v4(VIDEO + 1);
    any_socket(&lab, "egress-2", false).send_to(&rtp::pli(SSRC), relay).unwrap();
    assert_eq!(receive(&scene.above).0[8..], SSRC.to_be_bytes());
    scene.nothing_went_down();
}

fn a_sender_that_moves_is_asked_where_it_is(mode: Mode) {
    let lab = lab_for("movedpli", mode);
    let Scene { bench, sequence, above, watched, below, .. } = scene(&lab, mode);
    let [sender, above_now] = [SENDER + 100, SENDER + 101]
        .map(|port| socket(&lab, "injection-1", bench.topology.injection.v4(port)));
    let next = rtp::packet(SSRC, sequence + 1);
    sender.send_to(&next, bench.topology.relay.v4(VIDEO)).unwrap();
    while receive(&watched[0]).0 != next {}
    below[0].send_to(&rtp::pli(SSRC), bench.topology.relay.v4(VIDEO + 1)).unwrap();
    assert_eq!(receive(&above_now).0[8..], SSRC.to_be_bytes());
    below[0].send_to(&rtp::pli(OTHER), bench.topology.relay.v4(VIDEO + 1)).unwrap();
    assert_eq!(receive(&above).0[8..], OTHER.to_be_bytes(), "the first to be heard where it was");
}

fn a_sender_that_has_one_port_for_both_is_asked_there(mode: Mode) {
    let lab = lab_for("muxpli", mode);
    let Scene { bench, sender, below, .. } = scene(&lab, mode);
    below[0].send_to(&rtp::pli(SSRC), bench.topology.relay.v4(VIDEO + 1)).unwrap();
    let (request, from) = receive(&sender);
    assert_eq!((&request[..2], &request[8..]), (&[0x81, 206][..], &SSRC.to_be_bytes()[..]));
    // The ports that media goes between: an address translation has a way back for no others.
    assert_eq!(from, bench.topology.relay.v4(VIDEO));
}
