//! An interface goes and another of its name comes, with a daemon or without one: the relay attaches to what is there, goes
//! on trying where it cannot, and never says meanwhile that all is well.

use std::time::{Duration, Instant};

use crate::common::{Bench, eventually, lab_for, v4_argument};
use lab::relay::{Json, Mode, RelayConfig};
use lab::{Lab, Source, SourceConfig, Topology};

modes!(with_no_daemon_running: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(with_a_daemon_that_cannot_attach_at_once: in_xdp_mode = Xdp);
modes!(by_one_that_stands_in_for_it: in_xdp_mode = Xdp, in_tc_mode = Tc);

/// The link between source and relay is made anew, under a new index; the relay's end is called so.
fn make_again(lab: &Lab, bench: &Bench<'_>, interface: &str) {
    let Topology { injection, relay, .. } = &bench.topology;
    lab.link("injection-1", "eth0", "relay-1", interface).unwrap();
    lab.address("injection-1", "eth0", &format!("{}/24", injection.v4)).unwrap();
    lab.address("relay-1", interface, &format!("{}/24", relay.v4)).unwrap();
}

fn media_flows(bench: &Bench<'_>) {
    let sink = bench.sink(&[0]);
    let source = Source::start(bench.lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 100);
    source.stop();
}

fn healthy(bench: &Bench<'_>) -> Json {
    bench.cli().json("status").unwrap()["healthy"].clone()
}

fn with_no_daemon_running(mode: Mode) {
    let lab = lab_for("madeagain", mode);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 2).unwrap(), mode, 1);
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 1)]).unwrap();
    media_flows(&bench);
    bench.relay.kill9().unwrap();
    assert_eq!(healthy(&bench), Json::Bool(true), "{}", bench.diagnosis());
    lab.run("relay-1", &["ip", "link", "del", "eth0"]).unwrap();
    assert_eq!(healthy(&bench), Json::Bool(false), "nothing is attached any more{}", bench.diagnosis());
    make_again(&lab, &bench, "eth0");
    assert_eq!(healthy(&bench), Json::Bool(false), "nor to the new one{}", bench.diagnosis());
    bench.relay.restart().unwrap();
    bench.cli().wait_forwarding(2).unwrap();
    media_flows(&bench);
    assert_eq!(healthy(&bench), Json::Bool(true), "{}", bench.diagnosis());
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    let left = lab.run("relay-1", &["bpftool", "net", "show"]).unwrap();
    assert!(!left.contains("relay") && !left.contains("eth0"), "{left}");
}

fn with_a_daemon_that_cannot_attach_at_once(mode: Mode) {
    let lab = lab_for("tries", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    media_flows(&bench);
    lab.run("relay-1", &["ip", "link", "del", "eth0"]).unwrap();
    // A bridge has no XDP of its own.
    lab.run("relay-1", &["ip", "link", "add", "eth0", "type", "bridge"]).unwrap();
    lab.address("relay-1", "eth0", &format!("{}/24", bench.topology.relay.v4)).unwrap();
    lab.set_link("relay-1", "eth0", true).unwrap();
    let problems = || format!("{:?}", bench.cli().json("status").unwrap()["problems"]);
    eventually("it says why", || problems().contains("cannot attach to eth0 again"));
    // Longer than the daemon takes to look whether it was detached.
    let deadline = Instant::now() + Duration::from_secs(7);
    while Instant::now() < deadline {
        assert_eq!(bench.relay.process().status().unwrap(), None, "{}", bench.relay.process().tail());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(healthy(&bench), Json::Bool(false), "{}", bench.diagnosis());

    lab.run("relay-1", &["ip", "link", "del", "eth0"]).unwrap();
    make_again(&lab, &bench, "eth0");
    eventually("all is well again", || healthy(&bench) == Json::Bool(true));
    media_flows(&bench);
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    eventually("detached, the daemon ends", || bench.relay.process().status().unwrap().is_some());
}

fn by_one_that_stands_in_for_it(mode: Mode) {
    let lab = lab_for("standsin", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let child = v4_argument(&topology, 0);
    let config = RelayConfig::new("relay-1", mode, vec![child]).with(&["--stand-in", "up"]);
    let mut bench = Bench::attach_with(&lab, topology, config);
    media_flows(&bench);
    lab.run("relay-1", &["ip", "link", "del", "eth0"]).unwrap();
    make_again(&lab, &bench, "up0");
    eventually("the other one stands in", || {
        let status = bench.cli().json("status").unwrap();
        status["dataplane"]["interface"].text() == "up0" && status["healthy"] == Json::Bool(true)
    });
    media_flows(&bench);
    // And with no daemon to see it.
    bench.relay.kill9().unwrap();
    lab.run("relay-1", &["ip", "link", "del", "up0"]).unwrap();
    make_again(&lab, &bench, "up1");
    bench.relay.restart().unwrap();
    bench.cli().wait_forwarding(1).unwrap();
    media_flows(&bench);
}
