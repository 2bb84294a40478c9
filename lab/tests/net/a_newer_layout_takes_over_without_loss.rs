//! A daemon of a newer layout version takes over from an older one while media flows: children and routes are the same, no
//! packet is lost, counters begin anew. Not the other way round.

use crate::common::{Bench, QUIET, TIMEOUT, VIDEO_SSRC, lab_for, v4_argument};
use lab::relay::{Mode, RelayConfig, RelayProcess, VIDEO};
use lab::{Source, SourceConfig, Topology};
use relay_common::layout::VERSION;

const RATE: u64 = 10_000;

modes!(while_media_flows: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(into_another_mode: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(an_older_daemon_refuses_and_media_goes_on: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn older(config: RelayConfig) -> RelayConfig {
    config.env("MEDIA_TREE_POSE_AS_LAYOUT", &(VERSION - 1).to_string())
}

fn while_media_flows(mode: Mode) {
    takes_over("newlayout", mode, mode);
}

fn into_another_mode(mode: Mode) {
    takes_over("newmode", mode, if mode == Mode::Xdp { Mode::Tc } else { Mode::Xdp });
}

fn takes_over(test: &str, mode: Mode, to: Mode) {
    let lab = lab_for(test, mode);
    let topology = Topology::one_nic(&lab, 3).unwrap();
    let children = vec![v4_argument(&topology, 0)];
    let mut bench = Bench::attach_with(&lab, topology, older(RelayConfig::new("relay-1", mode, children)));
    let folder = bench.cli().pin_root().join("eth0");
    let there = |version: u32| folder.join(format!("v{version}")).exists();
    assert!(there(VERSION - 1) && !there(VERSION));
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 1)]).unwrap();
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 2)]).unwrap();
    // The third gets audio only.
    let (port, ssrc) = (VIDEO.to_string(), VIDEO_SSRC.to_string());
    bench.cli().ok(&["route", &ssrc, "--port", &port, "--children", "egress-1,egress-2"]).unwrap();
    let sink = bench.sink(&[0, 1, 2]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 5, RATE / 2);
    let before = bench.cli().json("status").unwrap()["dataplane"]["packets"].number();

    bench.relay.kill9().unwrap();
    bench.wait_more(&sink, 100);
    let children = (0..3).map(|child| v4_argument(&bench.topology, child)).collect();
    bench.relay = RelayProcess::attach(&lab, RelayConfig::new("relay-1", to, children)).unwrap();
    bench.cli().wait_forwarding(3).unwrap();
    bench.wait_more(&sink, RATE / 4);
    let status = bench.cli().json("status").unwrap();
    assert_eq!(status["dataplane"]["mode"].text(), to.to_string());
    let (since, all) = (status["dataplane"]["packets"].number(), source.sent().total());
    assert!(since > 0 && since + before <= all, "counters begin anew: {before}, {since} of {all}");
    assert!(format!("{:?}", status["warnings"]).contains("counters began anew"), "{status:?}");
    assert!(there(VERSION) && !there(VERSION - 1), "{}", bench.diagnosis());

    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    let flows = sink.stop();
    assert_eq!(flows.len(), 5, "{flows:#?}");
    bench.assert_all_of("every child", &flows, &sent);
    bench.relay.terminate().unwrap();
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    let left = lab.run("relay-1", &["bpftool", "net", "show"]).unwrap();
    assert!(!left.contains("relay"), "{left}");
}

fn an_older_daemon_refuses_and_media_goes_on(mode: Mode) {
    let lab = lab_for("oldlayout", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 100);
    bench.relay.kill9().unwrap();
    let cli = bench.cli().env("MEDIA_TREE_POSE_AS_LAYOUT", &(VERSION - 1).to_string());
    let answer = cli.run(&["attach", "eth0", "--mode", &mode.to_string()]).unwrap();
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains(&format!("holds a data plane of layout v{VERSION}")), "{answer:?}");
    bench.wait_more(&sink, 200);
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the child", &sink.stop(), &sent);
}
