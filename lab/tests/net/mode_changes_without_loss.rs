//! A daemon that is started again with another `--mode` switches over while media flows, in both directions.

use crate::common::{Bench, QUIET, TIMEOUT, lab_for};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology};

fn switches(from: Mode, to: Mode) {
    let lab = lab_for("switch", from);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 3).unwrap(), from, 3);
    let sink = bench.sink(&[0, 1, 2]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 4_000)).unwrap();
    bench.wait_packets(&sink, 6, 200);
    bench.relay.kill9().unwrap();
    bench.wait_more(&sink, 200);
    bench.relay.restart_in(to).unwrap();
    let mode = bench.cli().json("status").unwrap()["dataplane"]["mode"].text().to_owned();
    assert_eq!(mode, to.to_string());
    bench.wait_more(&sink, 400);
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("every child", &sink.stop(), &sent);
}

#[test]
fn from_xdp_to_tc() {
    switches(Mode::Xdp, Mode::Tc);
}

#[test]
fn from_tc_to_xdp() {
    switches(Mode::Tc, Mode::Xdp);
}
