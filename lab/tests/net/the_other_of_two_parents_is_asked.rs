//! A relay with a parent and a standby lacks what neither of them has sent: it asks its parent, and when that one does not answer, the
//! other as well. Who stands by no more is not asked.

use std::net::{Ipv4Addr, UdpSocket};

use crate::common::tree::Tree;
use crate::common::{TIMEOUT, eventually, lab_for, receive, socket};
use lab::redis::RedisConfig;
use lab::relay::{AUDIO, Json, Mode, VIDEO};
use lab::{Lab, Topology, rtp};

modes!(the_other_of_two_parents_is_asked_when_the_first_does_not_answer);
modes!(who_stood_by_and_sends_no_more_is_not_asked);
modes!(a_stranger_repairs_nothing);

const SSRC: u32 = 8888;
const PARENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const STANDBY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 52);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 53);
/// Their RTP port; RTCP is heard at the next.
const SENDER: u16 = 6004;

/// RTP and RTCP port of a parent.
struct Parent {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

struct Scene<'lab> {
    tree: Tree<'lab>,
    parent: Parent,
    standby: Parent,
    /// Where egress-1 gets video.
    child: UdpSocket,
}

/// Numbers 1 to 10 have come from both, and went to the child once.
fn scene(lab: &Lab, mode: Mode) -> Scene<'_> {
    let topology = Topology::bridged(lab, 1).unwrap();
    for address in [PARENT, STANDBY, STRANGER] {
        lab.address("injection-1", "eth0", &format!("{address}/24")).unwrap();
    }
    // Long enough for a slow machine to ask three times.
    let tree = Tree::grow_with(lab, topology, mode, 1, RedisConfig::default(), |config| {
        config.with(&["--repair-within", "2000"])
    });
    let endpoint = &tree.bench.child(0).endpoint;
    let child = socket(lab, &endpoint.namespace, endpoint.v4(VIDEO));
    let [parent, standby] = [PARENT, STANDBY].map(|address| Parent {
        rtp: socket(lab, "injection-1", (address, SENDER).into()),
        rtcp: socket(lab, "injection-1", (address, SENDER + 1).into()),
    });
    for (id, host) in [("relay-8", PARENT), ("relay-9", STANDBY)] {
        tree.redis.egress(id, &host.to_string(), [AUDIO, VIDEO]).unwrap();
    }
    tree.type_in("SADD parents:relay-1 relay-9");
    tree.type_in("SET parent:relay-1 relay-8");
    let scene = Scene { tree, parent, standby, child };
    scene.takes_from(&[PARENT, STANDBY]);
    (1..=10).for_each(|sequence| scene.both_send(sequence));
    scene
}

impl Scene<'_> {
    fn takes_from(&self, addresses: &[Ipv4Addr]) {
        let wanted: Vec<String> = addresses.iter().map(|address| format!("{address}/32")).collect();
        self.tree.wait_status(&format!("sources {wanted:?}"), TIMEOUT, |status| {
            status["sources"].list().iter().map(Json::text).eq(wanted.iter().map(String::as_str))
        });
    }

    fn send(&self, from: &Parent, sequence: u16) {
        from.rtp.send_to(&rtp::packet(SSRC, sequence), self.tree.bench.topology.relay.v4(VIDEO)).unwrap();
    }

    fn comes(&self, sequence: u16) {
        let diagnosis = || self.tree.bench.diagnosis();
        assert_eq!(receive(&self.child).0, rtp::packet(SSRC, sequence), "{sequence}{}", diagnosis());
    }

    fn both_send(&self, sequence: u16) {
        self.send(&self.parent, sequence);
        self.comes(sequence);
        self.send(&self.standby, sequence);
    }

    fn repair(&self, what: &str) -> u64 {
        self.tree.json("/status")["repair"][what].number()
    }
}

/// Generic NACKs (RFC 4585 section 6.2.1) that have come and ask for 11 and 12.
fn asks(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 64];
    socket.set_nonblocking(true).unwrap();
    let next = || socket.recv(&mut buffer).ok().filter(|length| is_asked(&buffer[..*length]));
    let count = std::iter::from_fn(next).count();
    socket.set_nonblocking(false).unwrap();
    count
}

fn is_asked(packet: &[u8]) -> bool {
    packet.len() == 16 && packet[..2] == [0x81, 205] && packet[12..] == [0, 11, 0, 1]
}

fn the_other_of_two_parents_is_asked_when_the_first_does_not_answer(mode: Mode) {
    let lab = lab_for("otherasked", mode);
    let scene = scene(&lab, mode);
    scene.both_send(13);
    let (packet, from) = receive(&scene.standby.rtcp);
    assert!(is_asked(&packet), "{packet:02x?}");
    assert_eq!(from, scene.tree.bench.topology.relay.v4(VIDEO + 1));
    assert!(asks(&scene.parent.rtcp) >= 3, "the parent was asked before, and twice in vain");
    for sequence in [11, 12] {
        scene.send(&scene.standby, sequence);
        scene.comes(sequence);
    }
    // The parent's answer after all is one too many.
    for sequence in [11, 12] {
        scene.send(&scene.parent, sequence);
    }
    scene.both_send(14);
    scene.tree.wait_status("it is repaired", TIMEOUT, |status| status["repair"]["repaired"].number() == 2);
    assert_eq!((scene.repair("missing"), scene.repair("givenUp")), (2, 0));
    let metrics = scene.tree.get("/metrics").body;
    for (name, parent, wanted) in
        [("missing", 8, 2), ("asked", 8, 2), ("repaired", 8, 2), ("given_up", 8, 0), ("missing", 9, 0)]
    {
        let line = format!(
            "media_tree_relay_parent_repair_{name}_total{{node_id=\"relay-1\",parent=\"relay-{parent}\",tree_id=\"tree-1\"}} {wanted}"
        );
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

fn who_stood_by_and_sends_no_more_is_not_asked(mode: Mode) {
    let lab = lab_for("otherstranger", mode);
    let scene = scene(&lab, mode);
    scene.tree.type_in("DEL parents:relay-1");
    scene.takes_from(&[PARENT]);
    // It is remembered for five seconds that there were two.
    std::thread::sleep(std::time::Duration::from_secs(6));
    for sequence in [13, 14] {
        scene.send(&scene.parent, sequence);
        scene.comes(sequence);
    }
    scene.tree.wait_status("it is given up", TIMEOUT, |status| status["repair"]["givenUp"].number() == 2);
    assert!(asks(&scene.parent.rtcp) >= 3, "the parent is asked");
    assert_eq!((asks(&scene.standby.rtcp), asks(&scene.standby.rtp)), (0, 0), "who is no parent is not");
}

/// What is missing, forged under the stream's SSRC, from the very port that parents send from.
fn a_stranger_repairs_nothing(mode: Mode) {
    let lab = lab_for("forgedrepair", mode);
    let scene = scene(&lab, mode);
    scene.both_send(13);
    let (packet, _) = receive(&scene.parent.rtcp);
    assert!(is_asked(&packet), "{packet:02x?}");
    let stranger = socket(&lab, "injection-1", (STRANGER, SENDER).into());
    let before = scene.tree.bench.drops("stranger");
    for sequence in [11, 12, 14] {
        let forged = [&rtp::packet(SSRC, sequence)[..12], &[0xee; 100]].concat();
        stranger.send_to(&forged, scene.tree.bench.topology.relay.v4(VIDEO)).unwrap();
    }
    eventually("all are counted", || scene.tree.bench.drops("stranger") == before + 3);
    assert_eq!((scene.repair("repaired"), scene.repair("late")), (0, 0));
    // What is forged takes nobody's place, and is nowhere before these.
    for sequence in [11, 12] {
        scene.send(&scene.parent, sequence);
        scene.comes(sequence);
    }
    scene.both_send(14);
    scene.tree.wait_status("it is repaired", TIMEOUT, |status| {
        status["repair"]["repaired"].number() + status["repair"]["late"].number() == 2
    });
    assert_eq!((asks(&stranger), scene.repair("givenUp")), (0, 0), "nor is it asked");
}
