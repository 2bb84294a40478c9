//! A veth stops taking XDP frames when its other end turns GRO off, and the kernel then leaves its copies out without a
//! word. The relay finds out by itself: `auto` goes on by tc, `xdp` says which child is cut off.

use crate::common::{Bench, QUIET, TIMEOUT, eventually, lab_for};
use lab::relay::{Json, Mode};
use lab::{Source, SourceConfig, Topology};

#[test]
fn auto_goes_on_by_tc_and_the_other_child_loses_nothing() {
    let lab = lab_for("fallback", Mode::Auto);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), Mode::Auto, 2);
    let plane = || bench.cli().json("status").unwrap()["dataplane"].clone();
    assert_eq!(plane()["mode"].text(), "xdp", "{}", bench.diagnosis());
    let (cut_off, other) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 2_000)).unwrap();
    bench.wait_packets(&cut_off, 2, 100);
    bench.wait_packets(&other, 2, 100);

    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    eventually("the relay falls back to tc", || plane()["mode"].text() == "tc");
    assert!(plane()["modeReason"].text().contains("eth1"), "{:?}", plane()["modeReason"]);
    bench.wait_more(&cut_off, 200);
    assert_eq!(bench.cli().json("status").unwrap()["healthy"], Json::Bool(true), "{}", bench.diagnosis());

    let sent = source.stop();
    assert!(other.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the other child", &other.stop(), &sent);
}

#[test]
fn xdp_asked_for_says_which_child_is_cut_off_and_takes_it_back() {
    let lab = lab_for("cutoff", Mode::Xdp);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), Mode::Xdp, 2);
    let child = || bench.cli().json("children").unwrap()["children"].list()[0].clone();
    let cut_off = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 2_000)).unwrap();
    bench.wait_packets(&cut_off, 2, 100);

    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    eventually("it shows", || child()["state"].text() == "unreachable");
    assert!(child()["problem"].text().contains("eth1 takes no XDP frames"), "{:?}", child());
    lab.set_feature("egress-1", "eth0", "gro", true).unwrap();
    eventually("it is forwarded to again", || child()["state"].text() == "forwarding");
    bench.wait_more(&cut_off, 100);
    drop(source);
}
