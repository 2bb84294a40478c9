//! What the parent has sent a relay has taken, and what it sends to a child it says, in the same units: RTP and RTCP packets. Neither
//! count falls when the child goes and comes back, or the parent is another for a while.

use std::net::{Ipv4Addr, UdpSocket};

use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{Topology, rtp};

use crate::common::tree::Tree;
use crate::common::{eventually, lab_for, socket};

const SSRC: u32 = 8888;
const PARENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 52);

modes!(an_edge_is_counted_at_both_ends);

fn an_edge_is_counted_at_both_ends(mode: Mode) {
    let lab = lab_for("edge", mode);
    let topology = Topology::bridged(&lab, 1).unwrap();
    for address in [PARENT, STRANGER] {
        lab.address("injection-1", "eth0", &format!("{address}/24")).unwrap();
    }
    let tree = Tree::grow(&lab, topology, mode, 1);
    let follow = |parent: &str| {
        tree.redis.egress(parent, &PARENT.to_string(), [AUDIO, VIDEO]).unwrap();
        tree.type_in(&format!("SET parent:relay-1 {parent}"));
        eventually("the parent is followed", || tree.json("/topology")["parent"].text() == parent);
    };
    let senders = [PARENT, STRANGER].map(|from| socket(&lab, "injection-1", (from, 0).into()));
    let send = |from: &UdpSocket, sequences: std::ops::Range<u16>| {
        for sequence in sequences {
            from.send_to(&rtp::packet(SSRC, sequence), tree.bench.topology.relay.v4(VIDEO)).unwrap();
        }
    };
    // What came from the parent of now, what went to the child, and what went to all children ever.
    let counted = || {
        let metrics = tree.get("/metrics").body;
        let of = |name: &str| {
            let start = format!("media_tree_relay_{name}{{");
            let series = metrics.lines().find(|line| line.starts_with(&start));
            series.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        };
        [of("parent_packets_total"), of("child_packets_total"), of("copies_total")]
    };
    let is = |what: &str, wanted: [Option<u64>; 3]| {
        eventually(&format!("{what}: {wanted:?}, not {:?}", counted()), || counted() == wanted);
    };
    follow("injection-1");
    send(&senders[0], 0..50);
    send(&senders[1], 50..60);
    is("RTP of the parent's", [Some(50), Some(50), Some(50)]);
    let report = [&[0x80, 200, 0, 1][..], &SSRC.to_be_bytes()].concat();
    senders[0].send_to(&report, tree.bench.topology.relay.v4(VIDEO + 1)).unwrap();
    is("RTCP, too", [Some(51), Some(51), Some(51)]);

    tree.type_in("SREM children:relay-1 egress-1");
    tree.wait_forwarding(&[]);
    send(&senders[0], 60..70);
    is("without a child", [Some(61), None, Some(51)]);
    tree.type_in("SADD children:relay-1 egress-1");
    tree.wait_forwarding(&["egress-1".to_owned()]);
    is("the child is back", [Some(61), Some(51), Some(51)]);
    follow("injection-2");
    is("another parent", [Some(0), Some(51), Some(51)]);
    send(&senders[0], 70..75);
    is("another parent's", [Some(5), Some(56), Some(56)]);
    follow("injection-1");
    is("the one before", [Some(61), Some(56), Some(56)]);
}
