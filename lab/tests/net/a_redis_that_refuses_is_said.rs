//! Redis is there and refuses: the password has been changed, or it has become a read-only replica. No packet is lost,
//! the relay says which of the two it is, and has followed within a second of the mending.

use std::time::{Duration, Instant};

use crate::common::tree::Tree;
use crate::common::{QUIET, TIMEOUT, lab_for, name};
use lab::relay::Mode;
use lab::{RedisConfig, Sink, Source, SourceConfig, Topology};

const RATE: u64 = 8_000;
const PASSWORD: &str = "correct-horse";
/// The registration is written every 20 s, which is when a Redis that only reads is found out.
const UNTIL_WRITTEN: Duration = Duration::from_secs(30);

modes!(a_changed_password: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_read_only_replica: in_xdp_mode = Xdp);

fn start<'lab>(lab: &'lab lab::Lab, mode: Mode) -> (Tree<'lab>, Sink, Source) {
    let redis = RedisConfig { password: Some(PASSWORD.to_owned()), ..RedisConfig::default() };
    let topology = Topology::one_nic(lab, 3).unwrap();
    let tree =
        Tree::grow_with(lab, topology, mode, 2, redis, |config| config.env("REDIS_PASSWORD", PASSWORD));
    let stayers = tree.bench.sink(&[0, 1]);
    let config = SourceConfig::new(tree.bench.flows(), RATE);
    let source = Source::start(lab, "injection-1", config).unwrap();
    tree.bench.wait_packets(&stayers, 4, 100);
    (tree, stayers, source)
}

fn finish(tree: &Tree, stayers: Sink, source: Source) {
    tree.wait_mended();
    let sent = source.stop();
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("stayers", &stayers.stop(), &sent);
    assert!(!tree.bench.relay.process().log().contains(PASSWORD), "the log has the password");
}

fn a_changed_password(mode: Mode) {
    let lab = lab_for("password", mode);
    let (tree, stayers, source) = start(&lab, mode);
    tree.type_in("CONFIG SET requirepass another-one");
    tree.redis.use_password(Some("another-one"));
    for kind in ["normal", "pubsub"] {
        tree.type_in(&format!("CLIENT KILL TYPE {kind} SKIPME yes"));
    }
    let trouble = tree.wait_trouble("password", TIMEOUT);
    tree.bench.wait_more(&stayers, RATE / 4);
    assert_eq!(tree.forwarding(), [name(0), name(1)]);
    tree.type_in(&format!("CONFIG SET requirepass {PASSWORD}"));
    tree.redis.use_password(Some(PASSWORD));
    let converged = tree.converges_on(2, &[name(0), name(1), name(2)], Instant::now());
    trouble.print(mode, "password changed, and changed back", Some(converged));
    finish(&tree, stayers, source);
}

fn a_read_only_replica(mode: Mode) {
    let lab = lab_for("readonly", mode);
    let (tree, stayers, source) = start(&lab, mode);
    // Nobody is there: it has no master to get other data from, and keeps its own.
    tree.type_in("REPLICAOF 127.0.0.1 1");
    let trouble = tree.wait_trouble("read-only", UNTIL_WRITTEN);
    assert_eq!(tree.forwarding(), [name(0), name(1)]);
    tree.type_in("REPLICAOF NO ONE");
    let converged = tree.converges_on(2, &[name(0), name(1), name(2)], Instant::now());
    trouble.print(mode, "became a read-only replica, and a master again", Some(converged));
    finish(&tree, stayers, source);
}
