//! `--mode auto` chooses what has been seen to work on that interface and says why; a mode asked for by name that cannot
//! work is refused.

use crate::common::{Bench, TIMEOUT, v4_argument};
use lab::relay::{Mode, RelayCli, RelayConfig};
use lab::{Lab, Limit, Source, SourceConfig, Topology};

fn forwards(bench: &Bench) {
    let sink = bench.sink(&[0]);
    let config = SourceConfig::new(bench.flows(), 1_000).limit(Limit::Packets(200));
    Source::start(bench.lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    bench.wait_packets(&sink, 2, 100);
    bench.assert_complete("the child", &sink.stop(), 100);
}

fn chosen(bench: &Bench) -> (String, String) {
    let status = bench.cli().json("status").unwrap();
    (status["dataplane"]["mode"].text().to_owned(), status["dataplane"]["modeReason"].text().to_owned())
}

#[test]
fn a_frame_that_got_through_means_xdp() {
    let lab = Lab::new("t-auto-").unwrap();
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), Mode::Auto, 1);
    let (mode, reason) = chosen(&bench);
    assert_eq!(mode, "xdp", "{reason}");
    assert!(reason.contains("eth1"), "the reason names the interface that was tried: {reason}");
    forwards(&bench);
}

#[test]
fn a_peer_that_takes_no_xdp_frames_means_tc() {
    let lab = Lab::new("t-autotc-").unwrap();
    let topology = Topology::one_nic(&lab, 1).unwrap();
    lab.set_feature("egress", "eth0", "gro", false).unwrap();
    let bench = Bench::attach(&lab, topology, Mode::Auto, 1);
    let (mode, reason) = chosen(&bench);
    assert_eq!(mode, "tc", "{reason}");
    assert!(reason.contains("eth1"), "{reason}");
    forwards(&bench);
}

#[test]
fn without_any_rights_it_means_userspace() {
    let lab = Lab::new("t-autouser-").unwrap();
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let child = v4_argument(&topology, 0);
    let config = RelayConfig::new("relay-1", Mode::Auto, vec![child]).unprivileged();
    let bench = Bench::attach_with(&lab, topology, config);
    let (mode, reason) = chosen(&bench);
    assert_eq!(mode, "userspace", "{reason}");
    assert!(reason.contains("Operation not permitted"), "{reason}");
    forwards(&bench);
}

#[test]
fn xdp_that_cannot_work_is_refused_with_the_cure() {
    let lab = Lab::new("t-noxdp-").unwrap();
    let topology = Topology::one_nic(&lab, 1).unwrap();
    lab.set_feature("egress", "eth0", "gro", false).unwrap();
    let child = v4_argument(&topology, 0);
    let cli = RelayCli::new(&lab, "relay-1");
    let answer = cli.run(&["attach", "eth0", "--mode", "xdp", "--child", &child]).unwrap();
    assert!(!matches!(answer.code, Some(0 | 137) | None), "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
    assert!(answer.stderr.contains("--mode tc") && answer.stderr.contains("gro on"), "{answer:?}");
    assert!(!cli.pin_root().join("eth0").exists(), "a refused attach leaves nothing");
    let link = lab.run("relay-1", &["ip", "link", "show", "eth0"]).unwrap();
    assert!(!link.contains("prog/xdp"), "{link}");
    // The relay can still be started in the mode that it named.
    forwards(&Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", Mode::Tc, vec![child])));
}
