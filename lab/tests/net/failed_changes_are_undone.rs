//! A change that the kernel refuses half-way leaves the relay as it was, in its books and on the wire.

use std::fs;

use crate::common::{Bench, QUIET, TIMEOUT, eventually, lab_for, v4_argument};
use lab::relay::{Mode, RelayConfig};
use lab::{Source, SourceConfig, Topology};
use relay_common::layout::VERSION;

modes!(a_child_that_cannot_be_removed_stays: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn a_child_that_cannot_be_removed_stays(mode: Mode) {
    let lab = lab_for("undone", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 2).unwrap(), mode, 2);
    let sink = bench.sink(&[0, 1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 4, 100);
    // From here on nobody but the programs may write to it.
    let sets = bench.cli().pin_root().join(format!("eth0/v{VERSION}/SETS"));
    lab.run("relay-1", &["bpftool", "map", "freeze", "pinned", &sets.to_string_lossy()]).unwrap();
    let answer = bench.cli().run(&["child", "remove", "egress-2"]).unwrap();
    assert_ne!(answer.code, Some(0), "{answer:?}");
    assert_eq!(bench.cli().forwarding(), ["egress-1", "egress-2"], "{}", bench.diagnosis());
    bench.wait_more(&sink, 200);
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("both children", &sink.stop(), &sent);
}

#[test]
fn a_relay_that_cannot_fall_back_to_tc_goes_on_by_xdp() {
    let lab = lab_for("nofall", Mode::Auto);
    let topology = Topology::nic_per_child(&lab, 3).unwrap();
    let children = (0..2).map(|child| v4_argument(&topology, child)).collect();
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", Mode::Auto, children));
    let plane = || bench.cli().json("status").unwrap()["dataplane"].clone();
    assert_eq!(plane()["mode"].text(), "xdp", "{}", bench.diagnosis());
    let other = bench.sink(&[1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&other, 2, 100);
    // What is there is no link, so the program of tc cannot be put into it.
    let link = bench.cli().pin_root().join(format!("eth0/v{VERSION}/link-tcx"));
    fs::create_dir(&link).unwrap();
    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    let deadline = std::time::Instant::now() + TIMEOUT;
    while !bench.relay.process().log().contains("tc cannot take over") {
        assert!(std::time::Instant::now() < deadline, "{}", bench.diagnosis());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }

    assert_eq!(plane()["mode"].text(), "xdp", "{}", bench.diagnosis());
    bench.wait_more(&other, 200);
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 2)]).unwrap();
    let third = bench.sink(&[2]);
    bench.wait_packets(&third, 2, 100);
    fs::remove_dir(&link).unwrap();
    eventually("then tc takes over", || plane()["mode"].text() == "tc");
    bench.wait_more(&third, 100);
    let sent = source.stop();
    assert!(other.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the other child", &other.stop(), &sent);
}
