//! In a tree a relay takes media from its parent, by whichever of the parent's addresses it comes, and from nobody else. It
//! follows Redis in this, and where it does not know where the parent is, it takes media from anybody rather than from nobody.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use crate::common::tree::Tree;
use crate::common::{TIMEOUT, any_socket, eventually, lab_for, receive, socket};
use lab::relay::{AUDIO, Json, Mode, VIDEO};
use lab::{Lab, Topology, rtp};

modes!(a_strangers_media_is_not_forwarded);
modes!(the_parent_is_followed_live);
modes!(of_two_parents_that_send_the_same_the_named_one_is_heard);
modes!(a_new_parent_takes_over_without_loss);
modes!(where_the_parent_is_unknown_media_is_taken_from_anybody);
modes!(what_is_known_of_a_parent_outlives_its_registration);
modes!(a_source_that_is_configured_is_taken_besides);
modes!(a_request_for_a_stream_without_entry_goes_to_the_parent);
modes!(a_request_leaves_from_the_registered_address);
modes!(a_restart_keeps_taking_from_the_parent: in_xdp_mode = Xdp, in_tc_mode = Tc);

const SSRC: u32 = 8888;
/// Two addresses of one parent, one of another node's, and one of nobody's.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 52);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 53);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 54);
/// One that the relay has besides, and the routing table does not choose.
const BESIDES: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 61);

struct Scene<'lab> {
    lab: &'lab Lab,
    tree: Tree<'lab>,
    /// Where egress-1 gets video.
    child: UdpSocket,
}

impl<'lab> Scene<'lab> {
    /// relay-1, with egress-1; the parent that Redis names has not registered.
    fn new(lab: &'lab Lab, mode: Mode, arguments: &[&str]) -> Self {
        Scene::of(lab, Topology::bridged(lab, 1).unwrap(), mode, arguments)
    }

    fn of(lab: &'lab Lab, topology: Topology, mode: Mode, arguments: &[&str]) -> Self {
        for address in [FIRST, SECOND, OTHER, STRANGER] {
            lab.address("injection-1", "eth0", &format!("{address}/24")).unwrap();
        }
        let tree = Tree::grow_with(lab, topology, mode, 1, lab::redis::RedisConfig::default(), |config| {
            config.with(arguments)
        });
        let endpoint = &tree.bench.child(0).endpoint;
        let child = socket(lab, &endpoint.namespace, endpoint.v4(VIDEO));
        Scene { lab, tree, child }
    }

    /// The same, with a parent at two addresses, and the relay knows it.
    fn with_parent(lab: &'lab Lab, mode: Mode, arguments: &[&str]) -> Self {
        let scene = Scene::new(lab, mode, arguments);
        scene.register("injection-1", FIRST, &[FIRST, SECOND]);
        scene.takes_from(&[FIRST, SECOND]);
        scene
    }

    fn register(&self, id: &str, host: Ipv4Addr, addresses: &[Ipv4Addr]) {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let addresses = addresses.join(",");
        self.tree.redis.egress(id, &host.to_string(), [AUDIO, VIDEO]).unwrap();
        self.tree.type_in(&format!("HSET node:{id} addresses {addresses}"));
    }

    /// Waits until `status` says so.
    fn takes_from(&self, addresses: &[Ipv4Addr]) {
        let wanted: Vec<String> = addresses.iter().map(|address| format!("{address}/32")).collect();
        self.shows(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn shows(&self, wanted: &[&str]) -> Json {
        self.tree.wait_status(&format!("sources {wanted:?}"), TIMEOUT, |status| {
            status["sources"].list().iter().map(Json::text).eq(wanted.iter().copied())
        })
    }

    fn send(&self, from: Ipv4Addr, sequence: u16) {
        let sender = socket(self.lab, "injection-1", (from, 0).into());
        sender.send_to(&rtp::packet(SSRC, sequence), self.tree.bench.topology.relay.v4(VIDEO)).unwrap();
    }

    /// The numbers of what has come to the child.
    fn waiting(&self) -> Vec<i32> {
        self.child.set_nonblocking(true).unwrap();
        let mut buffer = [0; 2048];
        let next = || self.child.recv(&mut buffer).ok().map(|length| number(&buffer[..length]));
        let come = std::iter::from_fn(next).collect();
        self.child.set_nonblocking(false).unwrap();
        come
    }

    /// One packet from there comes to the child, and nothing before it.
    fn is_forwarded(&self, from: Ipv4Addr, sequence: u16) {
        self.send(from, sequence);
        assert_eq!(
            receive(&self.child).0,
            rtp::packet(SSRC, sequence),
            "from {from}{}",
            self.tree.bench.diagnosis()
        );
    }

    /// It is refused by name. That it does not come to the child shows with the next that does.
    fn is_refused(&self, from: Ipv4Addr, sequence: u16) {
        let before = self.tree.bench.drops("stranger");
        self.send(from, sequence);
        eventually("it is counted as a stranger's", || self.tree.bench.drops("stranger") == before + 1);
    }
}

/// The sequence number of a packet.
fn number(packet: &[u8]) -> i32 {
    i32::from(u16::from_be_bytes([packet[2], packet[3]]))
}

fn a_strangers_media_is_not_forwarded(mode: Mode) {
    let lab = lab_for("parentonly", mode);
    let scene = Scene::with_parent(&lab, mode, &[]);
    scene.is_refused(STRANGER, 1);
    scene.is_forwarded(FIRST, 2);
    scene.is_refused(STRANGER, 3);
    scene.is_forwarded(SECOND, 4);
}

fn the_parent_is_followed_live(mode: Mode) {
    let lab = lab_for("parentlive", mode);
    let scene = Scene::with_parent(&lab, mode, &[]);
    let mut sequence = 0;
    let mut forwarded = |from, count| {
        for _ in 0..count {
            sequence += 1;
            scene.is_forwarded(from, sequence);
        }
        sequence
    };
    forwarded(FIRST, 20);
    // Another address.
    scene.register("injection-1", OTHER, &[OTHER]);
    scene.takes_from(&[OTHER]);
    let last = forwarded(OTHER, 50);
    scene.is_refused(FIRST, last);
    // Another parent.
    scene.register("relay-0", SECOND, &[SECOND]);
    scene.tree.type_in("SET parent:relay-1 relay-0");
    scene.takes_from(&[SECOND]);
    let last = forwarded(SECOND, 50);
    scene.is_refused(OTHER, last);
    forwarded(SECOND, 1);
}

fn of_two_parents_that_send_the_same_the_named_one_is_heard(mode: Mode) {
    let lab = lab_for("twoparents", mode);
    let scene = Scene::with_parent(&lab, mode, &[]);
    for sequence in 100..200 {
        scene.is_forwarded(FIRST, sequence);
    }
    scene.register("relay-0", OTHER, &[OTHER]);
    scene.tree.type_in("SET parent:relay-1 relay-0");
    scene.takes_from(&[OTHER]);
    // The way by the other is longer, and the one before goes on sending. What has come already comes once.
    for sequence in 150..200 {
        scene.send(OTHER, sequence);
        scene.send(FIRST, sequence + 50);
    }
    for sequence in 200..250 {
        scene.is_forwarded(OTHER, sequence);
    }
}

/// Both parents send the same, one of them by a way on which packets take longer. Whoever is ahead and whenever the change of
/// `parent:` takes effect, each packet is forwarded once; also when the parent of a moment ago is the new one.
fn a_new_parent_takes_over_without_loss(mode: Mode) {
    let lab = lab_for("takeover", mode);
    let scene = Scene::with_parent(&lab, mode, &[]);
    scene.register("relay-0", OTHER, &[OTHER]);
    scene.register("relay-9", STRANGER, &[STRANGER]);
    let to_relay = scene.tree.bench.topology.relay.v4(VIDEO);
    let senders =
        [FIRST, OTHER, STRANGER].map(|address| (address, socket(&lab, "injection-1", (address, 0).into())));
    let senders = BTreeMap::from(senders);
    let mut sequence = 1_000;
    let changes = [
        (FIRST, OTHER, "relay-0", -7),
        (OTHER, STRANGER, "relay-9", 7),
        (STRANGER, OTHER, "relay-0", 60),
        (OTHER, STRANGER, "relay-9", -60),
    ];
    for (from, to, parent, ahead) in changes {
        let pairs = |sequence: i32| {
            let other = sequence + ahead;
            // Whoever is ahead comes first.
            if ahead < 0 { [(from, sequence), (to, other)] } else { [(to, other), (from, sequence)] }
        };
        let begun = sequence;
        let mut come = Vec::new();
        let mut asked = false;
        let (mut both, mut after) = (0, 0);
        // Until the new one alone is heard, and long enough for what was late.
        while after < 40 + ahead.abs() {
            for (source, sequence) in pairs(sequence) {
                senders[&source].send_to(&rtp::packet(SSRC, sequence as u16), to_relay).unwrap();
            }
            sequence += 1;
            come.extend(scene.waiting());
            std::thread::sleep(std::time::Duration::from_millis(2));
            both += 1;
            // From its first packet on, what the new one brings is of what the former one has brought.
            if both == 100 + ahead.abs() && !asked {
                asked = true;
                scene.tree.type_in(&format!("SET parent:relay-1 {parent}"));
            }
            if asked && both % 10 == 0 {
                let shown = scene.tree.json("/status");
                let alone = shown["sources"].list().iter().map(Json::text).eq([format!("{to}/32")]);
                after += if after > 0 { 10 } else { i32::from(alone) };
            }
            assert!(both < 5_000, "{}", scene.tree.bench.diagnosis());
        }
        // To the last that the new one has sent.
        let last = sequence - 1 + ahead;
        while come.last() != Some(&last) {
            come.push(number(&receive(&scene.child).0));
        }
        let mut sorted = come.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, Vec::from_iter(begun..=last), "each once, {ahead} ahead: {come:?}");
        // What is left of the former one is nobody's.
        sequence += 200;
    }
}

fn where_the_parent_is_unknown_media_is_taken_from_anybody(mode: Mode) {
    let lab = lab_for("noparent", mode);
    let scene = Scene::new(&lab, mode, &[]);
    let status = scene.shows(&["any"]);
    assert!(format!("{:?}", status["warnings"]).contains("injection-1"), "{status:?}");
    scene.is_forwarded(STRANGER, 1);
    // An older version says only its host.
    scene.tree.redis.egress("injection-1", &FIRST.to_string(), [AUDIO, VIDEO]).unwrap();
    scene.takes_from(&[FIRST]);
    scene.is_refused(STRANGER, 2);
    scene.is_forwarded(FIRST, 3);
    // A host that nobody knows.
    scene.tree.type_in("SET parent:relay-1 relay-0");
    scene.shows(&["any"]);
    scene.tree.redis.egress("relay-0", "no.such.host.invalid", [AUDIO, VIDEO]).unwrap();
    scene.tree.wait_status("the name is named", TIMEOUT, |status| {
        format!("{:?}", status["warnings"]).contains("no.such.host.invalid")
    });
    scene.shows(&["any"]);
    scene.is_forwarded(STRANGER, 4);
}

fn what_is_known_of_a_parent_outlives_its_registration(mode: Mode) {
    let lab = lab_for("parentgone", mode);
    let scene = Scene::with_parent(&lab, mode, &[]);
    scene.tree.type_in("DEL node:injection-1");
    scene.tree.wait_status("a warning", TIMEOUT, |status| {
        format!("{:?}", status["warnings"]).contains("parent injection-1")
    });
    scene.is_refused(STRANGER, 1);
    scene.is_forwarded(FIRST, 2);
    scene.tree.type_in("DEL parent:relay-1");
    scene.tree.wait_status("no parent", TIMEOUT, |status| status["topology"]["parent"] == Json::Null);
    scene.is_refused(STRANGER, 3);
    scene.is_forwarded(SECOND, 4);
    scene.takes_from(&[FIRST, SECOND]);
}

fn a_source_that_is_configured_is_taken_besides(mode: Mode) {
    let lab = lab_for("besides", mode);
    let scene = Scene::new(&lab, mode, &["--source", &OTHER.to_string()]);
    scene.register("injection-1", FIRST, &[FIRST]);
    scene.takes_from(&[FIRST, OTHER]);
    scene.is_forwarded(FIRST, 1);
    scene.is_forwarded(OTHER, 2);
    scene.is_refused(STRANGER, 3);
}

fn a_request_for_a_stream_without_entry_goes_to_the_parent(mode: Mode) {
    let lab = lab_for("parentpli", mode);
    let scene = Scene::with_parent(&lab, mode, &[]);
    let above = socket(&lab, "injection-1", (FIRST, VIDEO + 1).into());
    let below = any_socket(&lab, "egress-1", false);
    below.send_to(&rtp::pli(4711), scene.tree.bench.topology.relay.v4(VIDEO + 1)).unwrap();
    let (heard, from) = receive(&above);
    assert_eq!(heard[8..], 4711_u32.to_be_bytes());
    assert_eq!(from, scene.tree.bench.topology.relay.v4(VIDEO + 1));
}

fn a_request_leaves_from_the_registered_address(mode: Mode) {
    let lab = lab_for("plifrom", mode);
    let mut topology = Topology::bridged(&lab, 1).unwrap();
    lab.address("relay-1", "eth0", &format!("{BESIDES}/24")).unwrap();
    topology.relay.v4 = BESIDES;
    let scene = Scene::of(&lab, topology, mode, &[]);
    scene.register("injection-1", FIRST, &[FIRST]);
    scene.takes_from(&[FIRST]);
    assert_eq!(scene.tree.type_in("HGET node:relay-1 host"), BESIDES.to_string());
    scene.is_forwarded(FIRST, 1);
    let above = socket(&lab, "injection-1", (FIRST, VIDEO + 1).into());
    let below = any_socket(&lab, "egress-1", false);
    below.send_to(&rtp::pli(4711), (BESIDES, VIDEO + 1)).unwrap();
    let (heard, from) = receive(&above);
    assert_eq!(heard[8..], 4711_u32.to_be_bytes());
    assert_eq!(from, (BESIDES, VIDEO + 1).into());
}

fn a_restart_keeps_taking_from_the_parent(mode: Mode) {
    let lab = lab_for("parentrestart", mode);
    let mut scene = Scene::with_parent(&lab, mode, &[]);
    scene.tree.redis.freeze().unwrap();
    scene.tree.bench.relay.kill9().unwrap();
    scene.is_forwarded(FIRST, 1);
    scene.tree.bench.relay.restart().unwrap();
    scene.takes_from(&[FIRST, SECOND]);
    scene.is_refused(STRANGER, 2);
    scene.is_forwarded(SECOND, 3);
    scene.tree.redis.thaw().unwrap();
    scene.tree.wait_mended();
    scene.takes_from(&[FIRST, SECOND]);
}
