//! The daemon is killed and the topology changed meanwhile: forwarding goes on as it was, and the next daemon takes over in
//! place and follows. A graceful stop takes the registration away and leaves forwarding alone.

use std::time::Instant;

use crate::common::tree::{CONVERGED, Tree};
use crate::common::{QUIET, TIMEOUT, lab_for, name};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology};

const RATE: u64 = 8_000;

modes!(what_changed_while_no_daemon_ran_is_followed: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_graceful_stop_takes_the_registration_away: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(what_changed_after_a_graceful_stop_is_followed_at_once: in_tc_mode = Tc);

fn what_changed_while_no_daemon_ran_is_followed(mode: Mode) {
    let lab = lab_for("redisrestart", mode);
    let mut tree = Tree::grow(&lab, Topology::nic_per_child(&lab, 3).unwrap(), mode, 2);
    let sinks = [0, 1, 2].map(|index| tree.bench.sink(&[index]));
    let config = SourceConfig::new(tree.bench.flows(), RATE);
    let source = Source::start(&lab, "injection-1", config).unwrap();
    sinks[..2].iter().for_each(|sink| tree.bench.wait_packets(sink, 2, 100));

    tree.bench.relay.kill9().unwrap();
    tree.type_in("SREM children:relay-1 egress-2");
    tree.type_in("SADD children:relay-1 egress-3");
    sinks[..2].iter().for_each(|sink| tree.bench.wait_more(sink, 200));
    assert!(sinks[2].report().is_empty(), "nobody there to follow");
    let began = Instant::now();
    tree.bench.relay.restart().unwrap();
    tree.wait_forwarding(&[name(0), name(2)]);
    println!("{mode}: followed {:?} after the daemon was started again", began.elapsed());
    tree.bench.wait_packets(&sinks[2], 2, 200);
    assert!(sinks[1].wait_quiet(QUIET, TIMEOUT), "egress-2 was taken out{}", tree.bench.diagnosis());

    let sent = source.stop();
    let [stayer, removed, added] = sinks;
    assert!(stayer.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("egress-1", &stayer.stop(), &sent);
    tree.bench.assert_flawless("egress-2, until the new daemon", &removed.stop());
    tree.bench.assert_flawless("egress-3, from the new daemon on", &added.stop());
}

fn a_graceful_stop_takes_the_registration_away(mode: Mode) {
    let lab = lab_for("redisstop", mode);
    let mut tree = Tree::grow(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let sink = tree.bench.sink(&[0]);
    let config = SourceConfig::new(tree.bench.flows(), RATE);
    let source = Source::start(&lab, "injection-1", config).unwrap();
    tree.bench.wait_packets(&sink, 2, 100);

    let hash = tree.type_in("HGETALL node:relay-1");
    let fields: Vec<&str> = hash.lines().collect();
    for wanted in [["type", "relay"], ["treeId", "tree-1"], ["audioPort", "5002"], ["videoPort", "5004"]] {
        assert!(fields.chunks(2).any(|field| field == wanted), "no {wanted:?} in {fields:?}");
    }
    let lives: i64 = tree.type_in("TTL node:relay-1").parse().unwrap();
    assert!((1..=60).contains(&lives), "node:relay-1 lives for {lives} s");
    assert!(tree.bench.relay.terminate().unwrap().success(), "{}", tree.bench.relay.process().tail());
    assert_eq!(tree.type_in("EXISTS node:relay-1"), "0", "it has deregistered");
    tree.bench.wait_more(&sink, RATE / 4);
    tree.bench.relay.restart().unwrap();
    tree.wait_mended();
    tree.bench.wait_more(&sink, 200);

    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("the child", &sink.stop(), &sent);
}

/// An upgrade: the registration is gone because it was taken back, not because Redis lost it.
fn what_changed_after_a_graceful_stop_is_followed_at_once(mode: Mode) {
    let lab = lab_for("redisupgrade", mode);
    let mut tree = Tree::grow(&lab, Topology::one_nic(&lab, 3).unwrap(), mode, 2);
    assert!(tree.bench.relay.terminate().unwrap().success(), "{}", tree.bench.relay.process().tail());
    tree.type_in("SREM children:relay-1 egress-2");
    tree.type_in("SADD children:relay-1 egress-3");
    let began = Instant::now();
    tree.bench.relay.restart().unwrap();
    tree.wait_forwarding(&[name(0), name(2)]);
    let followed = began.elapsed();
    assert!(followed < CONVERGED, "{followed:?}{}", tree.bench.diagnosis());
}
