//! `status` of a daemon that takes connections and says nothing reads the pinned maps: it says what is forwarded, and that
//! something is wrong. A command whose reader has enough ends in silence.

use nix::sys::signal::Signal;

use crate::common::{Bench, lab_for};
use lab::Topology;
use lab::relay::Mode;

modes!(status_reads_the_maps: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_reader_may_leave: in_tc_mode = Tc);

fn status_reads_the_maps(mode: Mode) {
    let lab = lab_for("hangs", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    bench.relay.process().signal(Signal::SIGSTOP).unwrap();
    let answer = bench.cli().run(&["status", "--timeout", "1", "--interface", "eth0"]).unwrap();
    bench.relay.process().signal(Signal::SIGCONT).unwrap();
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stdout.contains("took the connection"), "{answer:?}");
    assert!(answer.stdout.contains("egress-1") || answer.stdout.contains("children"), "{answer:?}");
}

fn a_reader_may_leave(mode: Mode) {
    let lab = lab_for("pipe", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let mut command = bench.cli().command(&["maps"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{:?}", output.status);
}
