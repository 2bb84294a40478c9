//! Most drivers transmit XDP frames only while a program is attached to them: xdp keeps one on every interface that copies
//! leave by, and takes it off when it is not in force. Programs of somebody else's are left alone, and named.

use crate::common;
use crate::common::foreign::Foreign;
use crate::common::{Bench, eventually, lab_for, v4_argument};
use lab::relay::{Mode, RelayCli, RelayConfig};
use lab::{Lab, Limit, Source, SourceConfig, Topology};

/// The XDP program on an interface of the relay's, in words.
fn program_on(lab: &Lab, interface: &str) -> String {
    let shown = lab.run("relay-1", &["ip", "-details", "link", "show", interface]).unwrap();
    shown.lines().filter(|line| line.contains("prog/xdp")).collect::<String>()
}

fn is_held(lab: &Lab, interface: &str) -> bool {
    !program_on(lab, interface).is_empty()
}

fn media_flows(bench: &Bench<'_>, child: usize) {
    let sink = bench.sink(&[child]);
    let config = SourceConfig::new(bench.flows(), 1_000).limit(Limit::Packets(200));
    Source::start(bench.lab, "injection-1", config).unwrap().wait(common::TIMEOUT).unwrap();
    bench.wait_packets(&sink, 2, 100);
    bench.assert_complete("the child", &sink.stop(), 100);
}

#[test]
fn every_interface_that_copies_leave_by_until_detach() {
    let lab = lab_for("holds", Mode::Xdp);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), Mode::Xdp, 1);
    assert!(is_held(&lab, "eth0") && is_held(&lab, "eth1"), "{}", bench.diagnosis());
    assert!(!is_held(&lab, "eth2"), "no child is behind it");

    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 1)]).unwrap();
    assert!(is_held(&lab, "eth2"), "{}", bench.diagnosis());
    media_flows(&bench, 1);

    bench.relay.kill9().unwrap();
    assert!(is_held(&lab, "eth2"), "the data plane does not need the daemon");
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    for interface in ["eth0", "eth1", "eth2"] {
        assert!(!is_held(&lab, interface), "{}", program_on(&lab, interface));
    }
}

#[test]
fn and_none_when_auto_ends_on_tc() {
    let lab = lab_for("holdstc", Mode::Auto);
    let topology = Topology::nic_per_child(&lab, 2).unwrap();
    lab.set_feature("egress-2", "eth0", "gro", false).unwrap();
    let bench = Bench::attach(&lab, topology, Mode::Auto, 2);
    let status = bench.cli().json("status").unwrap();
    assert_eq!(status["dataplane"]["mode"].text(), "tc", "{status:?}");
    for interface in ["eth0", "eth1", "eth2"] {
        assert!(!is_held(&lab, interface), "{}", program_on(&lab, interface));
    }
    media_flows(&bench, 0);
}

#[test]
fn a_program_of_somebody_elses_is_named_on_the_main_interface() {
    let lab = lab_for("foreign", Mode::Xdp);
    let topology = Topology::nic_per_child(&lab, 1).unwrap();
    let dispatcher = Foreign::xdp(&lab, "relay-1", "eth0", "xdp_dispatcher");
    let before = program_on(&lab, "eth0");
    let child = v4_argument(&topology, 0);
    let cli = RelayCli::new(&lab, "relay-1");
    let answer = cli.run(&["attach", "eth0", "--mode", "xdp", "--child", &child]).unwrap();
    assert_eq!(answer.code, Some(1), "{answer:?}");
    for word in ["xdp_dispatcher", "libxdp", "xdp-loader unload eth0", "--mode tc"] {
        assert!(answer.stderr.contains(word), "{word}: {answer:?}");
    }
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", Mode::Auto, vec![child]));
    let plane = bench.cli().json("status").unwrap()["dataplane"].clone();
    assert_eq!(plane["mode"].text(), "tc", "{plane:?}");
    assert!(plane["modeReason"].text().contains("xdp_dispatcher"), "{plane:?}");
    assert_eq!(program_on(&lab, "eth0"), before, "it was left alone");
    media_flows(&bench, 0);
    drop(dispatcher);
}

#[test]
fn a_program_of_somebody_elses_is_good_enough_to_transmit() {
    let lab = lab_for("foreignout", Mode::Xdp);
    let topology = Topology::nic_per_child(&lab, 1).unwrap();
    let foreign = Foreign::xdp(&lab, "relay-1", "eth1", "somebody");
    let before = program_on(&lab, "eth1");
    let bench = Bench::attach(&lab, topology, Mode::Xdp, 1);
    media_flows(&bench, 0);
    bench.relay.kill9().unwrap();
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    assert_eq!(program_on(&lab, "eth1"), before, "it was left alone");
    drop(foreign);
}

#[test]
fn a_relay_that_fell_back_returns_to_xdp_when_frames_get_through_again() {
    let lab = lab_for("returns", Mode::Auto);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), Mode::Auto, 2);
    let plane = || bench.cli().json("status").unwrap()["dataplane"].clone();
    assert_eq!(plane()["mode"].text(), "xdp", "{}", bench.diagnosis());
    let other = bench.sink(&[1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 2_000)).unwrap();
    bench.wait_packets(&other, 2, 100);
    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    eventually("the relay falls back to tc", || plane()["mode"].text() == "tc");
    assert!(is_held(&lab, "eth0") && is_held(&lab, "eth1"), "it goes on looking");

    lab.set_feature("egress-1", "eth0", "gro", true).unwrap();
    // Three good looks, five seconds apart.
    for _ in 0..2 {
        let deadline = std::time::Instant::now() + common::TIMEOUT;
        while plane()["mode"].text() == "tc" && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    assert_eq!(plane()["mode"].text(), "xdp", "{}", bench.diagnosis());
    assert!(plane()["modeReason"].text().contains("again"), "{:?}", plane());
    bench.wait_more(&other, 200);
    let sent = source.stop();
    assert!(other.wait_quiet(common::QUIET, common::TIMEOUT));
    bench.assert_all_of("the other child", &other.stop(), &sent);
}
