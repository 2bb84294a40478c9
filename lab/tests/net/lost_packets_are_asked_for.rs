//! What has not come is asked for where the stream comes from: until it comes, and no longer than `--repair-within`.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::common::{Bench, eventually, lab_for, receive, socket};
use lab::relay::{Mode, VIDEO};
use lab::{Topology, rtp};

const SSRC: u32 = 8888;
/// The sender's RTP port; RTCP is heard at the next.
const SENDER: u16 = 6004;

modes!(what_is_missing_is_asked_for_and_reaches_each_child_once);
modes!(what_never_comes_is_asked_for_again_and_given_up);
modes!(what_comes_late_by_itself_is_not_asked_for);
modes!(a_packet_that_a_stranger_forges_goes_to_nobody);

struct Scene<'lab> {
    bench: Bench<'lab>,
    sender: UdpSocket,
    above: UdpSocket,
    children: Vec<UdpSocket>,
}

fn scene(lab: &lab::Lab, mode: Mode) -> Scene<'_> {
    let bench = Bench::attach(lab, Topology::bridged(lab, 2).unwrap(), mode, 2);
    let injection = &bench.topology.injection;
    let sender = socket(lab, "injection-1", injection.v4(SENDER));
    let above = socket(lab, "injection-1", injection.v4(SENDER + 1));
    let children = [0, 1].map(|index| bench.child(index).endpoint.clone());
    let children =
        children.iter().map(|endpoint| socket(lab, &endpoint.namespace, endpoint.v4(VIDEO))).collect();
    Scene { bench, sender, above, children }
}

impl Scene<'_> {
    fn send(&self, sequence: u16) {
        self.sender.send_to(&rtp::packet(SSRC, sequence), self.bench.topology.relay.v4(VIDEO)).unwrap();
    }

    /// The next packet of each child is this one.
    fn comes(&self, sequence: u16) {
        for child in &self.children {
            assert_eq!(receive(child).0, rtp::packet(SSRC, sequence), "{sequence}{}", self.bench.diagnosis());
        }
    }

    fn nothing_comes(&self) {
        for child in &self.children {
            child.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            assert!(child.recv(&mut [0; 2048]).is_err(), "something came{}", self.bench.diagnosis());
        }
    }

    fn repair(&self, what: &str) -> u64 {
        self.bench.cli().json("status").unwrap()["repair"][what].number()
    }
}

/// The packet is a NACK for the stream, and for these.
fn asks_for(packet: &[u8], pid: u16, blp: u16) {
    let wanted = [&[0x81, 205, 0, 3][..], &SSRC.to_be_bytes(), &SSRC.to_be_bytes()].concat();
    assert_eq!(packet[..12], wanted);
    assert_eq!(packet[12..], [pid.to_be_bytes(), blp.to_be_bytes()].concat());
}

fn what_is_missing_is_asked_for_and_reaches_each_child_once(mode: Mode) {
    let lab = lab_for("asked", mode);
    let scene = scene(&lab, mode);
    for sequence in [65_533, 65_534, 2] {
        scene.send(sequence);
        scene.comes(sequence);
    }
    // 65535, 0 and 1: numbers go round, and a list in the order of numbers has two parts.
    let (packet, from) = receive(&scene.above);
    assert_eq!(from, scene.bench.topology.relay.v4(VIDEO + 1), "from the port that the relay is known by");
    assert_eq!(packet[1], 205);
    assert_eq!(packet[12..], [0, 0, 0, 1, 0xff, 0xff, 0, 0]);
    for sequence in [65_535, 0, 1] {
        scene.send(sequence);
        scene.comes(sequence);
    }
    // Sent again once more, as by a parent that was asked twice.
    [65_535, 0, 1].into_iter().for_each(|sequence| scene.send(sequence));
    scene.send(3);
    scene.comes(3);
    eventually("they are repaired", || scene.repair("repaired") == 3);
    assert_eq!((scene.repair("missing"), scene.repair("givenUp")), (3, 0));
    let stream = &scene.bench.cli().json("streams").unwrap()["streams"].list()[0];
    let counted = ["packets", "lost", "repaired", "duplicates"].map(|what| stream[what].number());
    assert_eq!(counted, [7, 0, 3, 3]);
    assert_eq!(scene.bench.drops("duplicate"), 3);
}

fn what_never_comes_is_asked_for_again_and_given_up(mode: Mode) {
    let lab = lab_for("givenup", mode);
    let scene = scene(&lab, mode);
    for sequence in [1, 2, 7] {
        scene.send(sequence);
        scene.comes(sequence);
    }
    let begun = Instant::now();
    scene.above.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 64];
    let mut heard = Vec::new();
    while let Ok(length) = scene.above.recv(&mut buffer) {
        asks_for(&buffer[..length], 3, 0b111);
        heard.push(begun.elapsed());
    }
    // At 2, 32, 62, 92 and 122 ms; fewer if the machine was slow.
    assert!((2..=5).contains(&heard.len()), "{heard:?}");
    scene.sender.set_nonblocking(true).unwrap();
    assert!(scene.sender.recv(&mut buffer).is_ok(), "a repetition comes to the other port as well");
    assert_eq!((scene.repair("givenUp"), scene.repair("outstanding")), (4, 0));
    // It comes after all.
    scene.send(4);
    scene.comes(4);
    assert_eq!(scene.repair("givenUp"), 4);
}

fn what_comes_late_by_itself_is_not_asked_for(mode: Mode) {
    let lab = lab_for("notasked", mode);
    let scene = scene(&lab, mode);
    scene.send(1);
    scene.comes(1);
    // They are in the relay before it could ask.
    for sequence in [3, 2, 5, 4] {
        scene.send(sequence);
    }
    for sequence in [3, 2, 5, 4] {
        scene.comes(sequence);
    }
    eventually("it has been looked at", || scene.repair("missing") == 2 && scene.repair("outstanding") == 0);
    assert_eq!((scene.repair("late"), scene.repair("givenUp")), (2, 0));
}

fn a_packet_that_a_stranger_forges_goes_to_nobody(mode: Mode) {
    let lab = lab_for("forged", mode);
    let scene = scene(&lab, mode);
    for sequence in [1, 2, 4] {
        scene.send(sequence);
        scene.comes(sequence);
    }
    receive(&scene.above);
    // From another port than the stream's: what is missing, and what goes on.
    let forger = socket(&lab, "injection-1", scene.bench.topology.injection.v4(SENDER + 10));
    scene.send(5);
    scene.comes(5);
    for sequence in [3, 6] {
        forger.send_to(&rtp::packet(SSRC, sequence), scene.bench.topology.relay.v4(VIDEO)).unwrap();
    }
    eventually("it is counted", || scene.bench.drops("ssrc-collision") == 2);
    scene.nothing_comes();
    assert_eq!(scene.repair("repaired"), 0);
}
