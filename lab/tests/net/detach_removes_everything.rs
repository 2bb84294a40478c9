//! `relay-ctl detach` ends forwarding and leaves neither program nor pin; nothing else does.

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, receive, socket};
use lab::relay::{Mode, VIDEO};
use lab::{Lab, Source, SourceConfig, Topology};

modes!(after_a_kill_detach_removes_programs_and_pins: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(after_a_detach_one_can_attach_again: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(detach_ends_the_daemon_too: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(detach_of_nothing_says_so: in_xdp_mode = Xdp);

/// What bpftool sees attached in the relay's namespace.
fn attached(lab: &Lab) -> String {
    lab.run("relay-1", &["bpftool", "net", "show"]).unwrap()
}

fn after_a_kill_detach_removes_programs_and_pins(mode: Mode) {
    let lab = lab_for("detach", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 50);
    let xdp = lab.run("relay-1", &["ip", "link", "show", "eth0"]).unwrap();
    assert_eq!(xdp.contains("prog/xdp"), mode == Mode::Xdp, "{xdp}");
    bench.relay.kill9().unwrap();
    bench.wait_more(&sink, 50);

    bench.cli().ok(&["detach", "eth0"]).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT), "nothing is forwarded any more");
    assert!(source.sent().total() > 0 && !bench.cli().pin_root().join("eth0").exists());
    let shown = attached(&lab);
    assert!(!shown.contains("relay") && !shown.contains("eth0"), "{shown}");
    let link = lab.run("relay-1", &["ip", "link", "show", "eth0"]).unwrap();
    assert!(!link.contains("prog/xdp"), "{link}");
    // The media is the stack's again.
    let stack = socket(&lab, "relay-1", bench.topology.relay.v4(VIDEO));
    assert_eq!(receive(&stack).0.len(), 200);
}

fn after_a_detach_one_can_attach_again(mode: Mode) {
    let lab = lab_for("again", mode);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    for _ in 0..2 {
        let sink = bench.sink(&[0]);
        bench.wait_packets(&sink, 2, 50);
        bench.relay.terminate().unwrap();
        bench.wait_more(&sink, 50);
        bench.cli().ok(&["detach", "eth0"]).unwrap();
        assert!(sink.wait_quiet(QUIET, TIMEOUT));
        bench.relay.restart().unwrap();
        bench.wait_more(&sink, 50);
    }
}

/// `relay-ctl detach eth0 && relay-ctl attach eth0`, as `status` advises, with a daemon that runs.
fn detach_ends_the_daemon_too(mode: Mode) {
    let lab = lab_for("detachends", mode);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    let sink = bench.sink(&[0]);
    bench.wait_packets(&sink, 2, 50);
    let pid = bench.relay.process().pid();
    let said = bench.cli().ok(&["detach", "eth0"]).unwrap();
    assert!(said.contains(&format!("PID {pid}")) && said.contains("eth0: detached"), "{said}");
    assert!(bench.relay.process().status().unwrap().is_some_and(|status| status.success()));
    bench.relay.restart().unwrap();
    bench.wait_more(&sink, 50);
}

fn detach_of_nothing_says_so(mode: Mode) {
    let lab = lab_for("nothing", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let cli = lab::relay::RelayCli::new(&lab, "relay-1");
    let answer = cli.run(&["detach", "eth0"]).unwrap();
    let said = format!("{}{}", answer.stdout, answer.stderr);
    assert!(said.contains("eth0") && said.lines().count() == 1, "{answer:?}");
    drop(topology);
}
