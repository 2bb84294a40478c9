//! A child that asks is sent again what it has lost: it alone, from the port that its copies come from. Others ask in vain, and
//! nobody gets more than he is owed.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::common::{Bench, any_socket, eventually, lab_for, receive, socket};
use lab::relay::{Mode, VIDEO};
use lab::{Topology, rtp};

const SSRC: u32 = 8888;
const SENDER: u16 = 6004;

modes!(a_child_is_sent_what_it_asks_for_and_its_sibling_is_not);
modes!(strangers_ask_in_vain);
modes!(what_never_was_and_streams_that_are_not_are_refused);
modes!(a_flood_of_questions_is_not_amplified);

struct Scene<'lab> {
    bench: Bench<'lab>,
    sender: UdpSocket,
    /// Each child's RTP and RTCP port.
    rtp: Vec<UdpSocket>,
    rtcp: Vec<UdpSocket>,
}

/// Numbers 1 to 50 have gone to both children.
fn scene(lab: &lab::Lab, mode: Mode) -> Scene<'_> {
    let bench = Bench::attach(lab, Topology::bridged(lab, 2).unwrap(), mode, 2);
    let sender = socket(lab, "injection-1", bench.topology.injection.v4(SENDER));
    let at = |port: u16| {
        let endpoints = [0, 1].map(|index| bench.child(index).endpoint.clone());
        endpoints.iter().map(|endpoint| socket(lab, &endpoint.namespace, endpoint.v4(port))).collect()
    };
    let (rtp, rtcp) = (at(VIDEO), at(VIDEO + 1));
    let scene = Scene { bench, sender, rtp, rtcp };
    (1..=50).for_each(|sequence| scene.send(sequence));
    scene
}

impl Scene<'_> {
    fn send(&self, sequence: u16) {
        self.sender.send_to(&rtp::packet(SSRC, sequence), self.bench.topology.relay.v4(VIDEO)).unwrap();
        for child in &self.rtp {
            assert_eq!(receive(child).0, rtp::packet(SSRC, sequence), "{sequence}{}", self.bench.diagnosis());
        }
    }

    fn ask(&self, from: &UdpSocket, packet: &[u8]) {
        from.send_to(packet, self.bench.topology.relay.v4(VIDEO + 1)).unwrap();
    }

    fn nothing_comes_to(&self, child: usize) {
        let socket = &self.rtp[child];
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(socket.recv(&mut [0; 2048]).is_err(), "something came{}", self.bench.diagnosis());
        socket.set_read_timeout(Some(crate::common::TIMEOUT)).unwrap();
    }

    fn answered(&self) -> u64 {
        self.bench.cli().json("status").unwrap()["repair"]["answered"].number()
    }

    fn refused(&self, why: &str) -> u64 {
        self.bench.cli().json("status").unwrap()["repair"]["refused"][why].number()
    }
}

/// A generic NACK (RFC 4585 section 6.2.1) for a stream.
fn nack(ssrc: u32, pairs: &[(u16, u16)]) -> Vec<u8> {
    let words = u16::try_from(2 + pairs.len()).unwrap();
    let mut packet = vec![0x81, 205];
    packet.extend(words.to_be_bytes());
    packet.extend([0, 0, 0, 1]);
    packet.extend(ssrc.to_be_bytes());
    for (pid, blp) in pairs {
        packet.extend(pid.to_be_bytes());
        packet.extend(blp.to_be_bytes());
    }
    packet
}

fn a_child_is_sent_what_it_asks_for_and_its_sibling_is_not(mode: Mode) {
    let lab = lab_for("again", mode);
    let scene = scene(&lab, mode);
    scene.ask(&scene.rtcp[0], &nack(SSRC, &[(10, 0b101)]));
    for sequence in [10, 11, 13] {
        let (packet, from) = receive(&scene.rtp[0]);
        assert_eq!(packet, rtp::packet(SSRC, sequence), "byte for byte{}", scene.bench.diagnosis());
        assert_eq!(from, scene.bench.topology.relay.v4(VIDEO), "from where its copies come");
    }
    scene.nothing_comes_to(0);
    scene.nothing_comes_to(1);
    assert_eq!(scene.answered(), 3);
    // It goes on for both.
    scene.send(51);
    // The other one asks from another port than that of its RTCP.
    let other = any_socket(&lab, "egress-2", false);
    scene.ask(&other, &nack(SSRC, &[(51, 0)]));
    assert_eq!(receive(&scene.rtp[1]).0, rtp::packet(SSRC, 51));
}

fn strangers_ask_in_vain(mode: Mode) {
    let lab = lab_for("strangenack", mode);
    let scene = scene(&lab, mode);
    let stranger = any_socket(&lab, "injection-1", false);
    stranger.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    for _ in 0..200 {
        scene.ask(&stranger, &nack(SSRC, &[(10, 0xffff), (30, 0xffff)]));
    }
    match mode {
        // The data plane leaves it out before anybody reads it.
        Mode::Userspace => eventually("they came", || scene.bench.drops("rtcp-feedback") >= 200),
        _ => eventually("they came", || scene.refused("stranger") >= 34),
    }
    assert!(stranger.recv(&mut [0; 2048]).is_err(), "a stranger is answered");
    scene.nothing_comes_to(0);
    scene.nothing_comes_to(1);
    assert_eq!(scene.answered(), 0);
}

fn what_never_was_and_streams_that_are_not_are_refused(mode: Mode) {
    let lab = lab_for("neverwas", mode);
    let scene = scene(&lab, mode);
    scene.ask(&scene.rtcp[0], &nack(SSRC, &[(1000, 0xffff)]));
    scene.ask(&scene.rtcp[0], &nack(7, &[(10, 0)]));
    scene.ask(&scene.rtcp[0], &nack(SSRC, &[(10, 0)])[..12]);
    eventually("they are refused", || (scene.refused("unknown"), scene.refused("no_stream")) == (17, 1));
    assert_eq!(scene.answered(), 0);
    scene.ask(&scene.rtcp[0], &nack(SSRC, &[(10, 0)]));
    assert_eq!(receive(&scene.rtp[0]).0, rtp::packet(SSRC, 10), "the first that comes is what there is");
}

fn a_flood_of_questions_is_not_amplified(mode: Mode) {
    let lab = lab_for("flood", mode);
    let scene = scene(&lab, mode);
    let streams = scene.bench.cli().json("streams").unwrap();
    let stream = &streams["streams"].list()[0];
    let carried = stream["bytes"].number();
    let begun = Instant::now();
    let question = nack(SSRC, &[(1, 0xffff), (18, 0xffff)]);
    let mut asked = 0;
    while begun.elapsed() < Duration::from_millis(280) {
        scene.ask(&scene.rtcp[0], &question);
        asked += question.len() as u64;
    }
    // Each packet once in 5 ms, if there were no budget: a hundred and more times what the stream has carried.
    let length = rtp::packet(SSRC, 1).len() as u64;
    eventually("it is too much", || scene.refused("repeated") + scene.refused("over_budget") > 0);
    let sent = scene.answered() * length;
    let seconds = begun.elapsed().as_secs_f64();
    // Of a stream that has just begun the rate is what has come in a tenth of a second.
    let rate = carried as f64 * 10.0;
    let owed = 10.0 * asked as f64 + rate * seconds + (rate / 4.0).max(16_384.0);
    assert!(sent > 0 && sent as f64 <= owed, "{sent} bytes sent, {owed} owed, {asked} asked");
    scene.nothing_comes_to(1);
    // And forwarding goes on.
    scene.rtp[0].set_nonblocking(true).unwrap();
    while scene.rtp[0].recv(&mut [0; 2048]).is_ok() {}
    scene.rtp[0].set_nonblocking(false).unwrap();
    scene.sender.send_to(&rtp::packet(SSRC, 51), scene.bench.topology.relay.v4(VIDEO)).unwrap();
    while receive(&scene.rtp[0]).0 != rtp::packet(SSRC, 51) {}
    // A sibling has its turn.
    assert_eq!(receive(&scene.rtp[1]).0, rtp::packet(SSRC, 51));
    scene.ask(&scene.rtcp[1], &nack(SSRC, &[(51, 0)]));
    assert_eq!(receive(&scene.rtp[1]).0, rtp::packet(SSRC, 51), "{}", scene.bench.diagnosis());
}
