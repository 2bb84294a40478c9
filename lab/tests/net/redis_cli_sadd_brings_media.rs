//! An operator types `SADD children:relay-1 egress-2` into redis-cli and nothing else: media is at egress-2 at once, and
//! ends with SREM. egress-1 notices nothing.

use crate::common::tree::{Tree, ms};
use crate::common::{QUIET, TIMEOUT, lab_for, name};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology, monotonic_ns};

const RATE: u64 = 4_000;
/// From typing to the effect. It takes milliseconds; this is room for a busy machine, and a small part of any poll's
/// interval.
const AT_ONCE_MS: f64 = 500.0;

modes!(typing_sadd_and_srem_is_all_it_takes);

fn typing_sadd_and_srem_is_all_it_takes(mode: Mode) {
    let lab = lab_for("sadd", mode);
    let tree = Tree::grow(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 1);
    let bench = &tree.bench;
    let (stayer, newcomer) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&stayer, 2, 200);
    assert!(newcomer.report().is_empty(), "nothing before SADD");

    let typed_ns = monotonic_ns();
    assert_eq!(tree.type_in("SADD children:relay-1 egress-2"), "1");
    bench.wait_packets(&newcomer, 2, 200);
    let first_ns = newcomer.report().iter().map(|flow| flow.first_arrival_ns).max().unwrap();
    tree.wait_status("the topology shows both", TIMEOUT, |status| {
        status["topology"]["children"].list().len() == 2
    });

    let removed_ns = monotonic_ns();
    assert_eq!(tree.type_in("SREM children:relay-1 egress-2"), "1");
    tree.wait_forwarding(&[name(0)]);
    assert!(newcomer.wait_quiet(QUIET, TIMEOUT), "media goes on after SREM{}", bench.diagnosis());
    bench.wait_more(&stayer, 200);

    let sent = source.stop();
    assert!(stayer.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("egress-1", &stayer.stop(), &sent);
    let flows = newcomer.stop();
    bench.assert_flawless("egress-2, while it was a child", &flows);
    let last_ns = flows.iter().map(|flow| flow.last_arrival_ns).max().unwrap();
    let (came, ended) = (ms(typed_ns, first_ns), ms(removed_ns, last_ns));
    println!("{mode}: first packet {came:.1} ms after typing SADD, last one {ended:.1} ms after typing SREM");
    assert!(came < AT_ONCE_MS && ended < AT_ONCE_MS, "{came} ms, {ended} ms{}", bench.diagnosis());
}
