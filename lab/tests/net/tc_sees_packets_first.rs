//! A program in tc that ends the chain keeps packets from those after it: ours goes first, and says so when somebody has
//! come before it.

use crate::common::foreign::{Foreign, TCX_NEXT, TCX_PASS};
use crate::common::{Bench, eventually, lab_for};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology};

fn media_flows(bench: &Bench<'_>) {
    let sink = bench.sink(&[0]);
    let source = Source::start(bench.lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 100);
    source.stop();
}

#[test]
fn a_program_that_was_there_before_does_not_keep_media_away() {
    let lab = lab_for("chain", Mode::Tc);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let _ends = Foreign::tcx(&lab, "relay-1", "eth0", "ends_the_chain", TCX_PASS);
    let bench = Bench::attach(&lab, topology, Mode::Tc, 1);
    media_flows(&bench);
}

#[test]
fn one_that_comes_later_is_named_and_a_restart_puts_ours_first() {
    let lab = lab_for("chainlater", Mode::Tc);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), Mode::Tc, 1);
    let warnings = |bench: &Bench<'_>| format!("{:?}", bench.cli().json("status").unwrap()["warnings"]);
    assert!(!warnings(&bench).contains("before ours"), "{}", warnings(&bench));
    let _later = Foreign::tcx(&lab, "relay-1", "eth0", "came_later", TCX_NEXT);
    eventually("it is named", || warnings(&bench).contains("came_later"));
    media_flows(&bench);
    let _ends = Foreign::tcx(&lab, "relay-1", "eth0", "ends_the_chain", TCX_PASS);
    bench.relay.kill9().unwrap();
    bench.relay.restart().unwrap();
    media_flows(&bench);
    assert!(!warnings(&bench).contains("before ours"), "{}", warnings(&bench));
}
