//! Redis goes away (killed, or frozen so that connections stay and answers do not come): no packet is lost, the relay says
//! what is wrong, and has followed within a second of the return.
//!
//! `MEDIA_TREE_OUTAGE_S` says for how long Redis is away (5).

use std::time::{Duration, Instant};

use crate::common::tree::{Tree, from_environment, let_pass};
use crate::common::{QUIET, TIMEOUT, lab_for, name};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology};

const RATE: u64 = 8_000;

modes!(killed_and_restarted: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(frozen_and_thawed: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn outage() -> Duration {
    Duration::from_secs(from_environment("MEDIA_TREE_OUTAGE_S", 5))
}

fn killed_and_restarted(mode: Mode) {
    let lab = lab_for("rediskill", mode);
    let mut tree = Tree::grow(&lab, Topology::one_nic(&lab, 3).unwrap(), mode, 2);
    let stayers = tree.bench.sink(&[0, 1]);
    let config = SourceConfig::new(tree.bench.flows(), RATE);
    let source = Source::start(&lab, "injection-1", config).unwrap();
    tree.bench.wait_packets(&stayers, 4, 100);

    let began = Instant::now();
    tree.redis.kill9().unwrap();
    let trouble = tree.wait_trouble("lost", TIMEOUT);
    let_pass(outage().saturating_sub(began.elapsed()));
    assert_eq!(tree.forwarding(), [name(0), name(1)], "the topology stays as it was");
    assert_eq!(tree.json("/topology")["children"].list().len(), 2);
    let away = began.elapsed();
    let returned = tree.redis.restart().unwrap();
    let converged = tree.converges_on(2, &[name(0), name(1), name(2)], returned);
    trouble.print(
        mode,
        &format!("kill -9, {:.0} s, restarted with its data", away.as_secs_f64()),
        Some(converged),
    );
    tree.wait_mended();

    let newcomer = tree.bench.sink(&[2]);
    tree.bench.wait_packets(&newcomer, 2, 100);
    let sent = source.stop();
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("stayers", &stayers.stop(), &sent);
}

fn frozen_and_thawed(mode: Mode) {
    let lab = lab_for("redisfreeze", mode);
    let tree = Tree::grow(&lab, Topology::one_nic(&lab, 3).unwrap(), mode, 2);
    let stayers = tree.bench.sink(&[0, 1]);
    let config = SourceConfig::new(tree.bench.flows(), RATE);
    let source = Source::start(&lab, "injection-1", config).unwrap();
    tree.bench.wait_packets(&stayers, 4, 100);

    let began = Instant::now();
    tree.redis.freeze().unwrap();
    let trouble = tree.wait_trouble("does not answer", TIMEOUT);
    let_pass(outage().saturating_sub(began.elapsed()));
    assert_eq!(tree.forwarding(), [name(0), name(1)], "the topology stays as it was");
    let away = began.elapsed();
    tree.redis.thaw().unwrap();
    let converged = tree.converges_on(2, &[name(0), name(1), name(2)], Instant::now());
    trouble.print(mode, &format!("SIGSTOP, {:.0} s, SIGCONT", away.as_secs_f64()), Some(converged));
    tree.wait_mended();

    let sent = source.stop();
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("stayers", &stayers.stop(), &sent);
}
