//! What `deploy/relay-ctl@.service` allows (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON) is enough to start, to change children, and to
//! start again on what a predecessor left.

use crate::common::{Bench, lab_for, v4_argument};
use lab::relay::{Mode, RelayConfig};
use lab::{Source, SourceConfig, Topology};

fn to_start_and_start_again(mode: Mode) {
    let lab = lab_for("rights", mode);
    let topology = Topology::one_nic(&lab, 2).unwrap();
    let config = RelayConfig::new("relay-1", mode, vec![v4_argument(&topology, 0)]).as_service();
    let mut bench = Bench::attach_with(&lab, topology, config);
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 50);
    for _ in 0..2 {
        bench.relay.kill9().unwrap();
        bench.relay.restart().unwrap();
        bench.wait_more(&sink, 50);
    }
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 1)]).unwrap();
    bench.wait_more(&sink, 50);
    source.stop();
    bench.assert_flawless("child 1", &sink.report());
}

modes!(to_start_and_start_again: in_xdp_mode = Xdp, in_tc_mode = Tc);
