//! Packets longer than the MTU towards a child leave a userspace relay as fragments. The kernel does not take several of them
//! in one message: then they go one by one, and nothing is missing, double or counted as failed.

use crate::common::{Bench, TIMEOUT, lab_for};
use lab::relay::Mode;
use lab::{Limit, Source, SourceConfig, Topology};
use nix::sys::signal::Signal;

const CHILDREN: usize = 2;
const BURST: u64 = 100;
const LENGTH: usize = 1200;

#[test]
fn every_packet_arrives_once_and_in_order() {
    let lab = lab_for("small-mtu", Mode::Userspace);
    let topology = Topology::nic_per_child(&lab, CHILDREN).unwrap();
    // While the kernel asks for a MAC, what waits for the answer may be overtaken by what comes after it.
    for (child, mac) in topology.children.iter().zip(["02:00:00:00:03:01", "02:00:00:00:03:02"]) {
        let (to, from) = (&child.endpoint, &child.relay);
        lab.set_mac(&to.namespace, &to.interface, mac).unwrap();
        let neighbour = ["ip", "neigh", "replace", &to.v4.to_string(), "lladdr", mac, "dev", &from.interface];
        lab.run("relay-1", &neighbour).unwrap();
    }
    let narrow = &topology.children[1].relay;
    lab.run("relay-1", &["ip", "link", "set", &narrow.interface, "mtu", "1000"]).unwrap();
    let bench = Bench::attach(&lab, topology, Mode::Userspace, CHILDREN);
    let sinks = [0, 1].map(|child| bench.sink(&[child]));
    bench.relay.process().signal(Signal::SIGSTOP).unwrap();
    let config = SourceConfig::new(bench.flows(), 20_000).limit(Limit::Packets(2 * BURST));
    let config = SourceConfig { packet_length: LENGTH, ..config };
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    bench.relay.process().signal(Signal::SIGCONT).unwrap();
    for (child, sink) in sinks.into_iter().enumerate() {
        bench.wait_packets(&sink, 2, BURST);
        bench.assert_complete(&format!("child {child}"), &sink.stop(), BURST);
    }
    let children = bench.cli().json("children").unwrap();
    for child in children["children"].list() {
        let counts = ["packets", "bytes", "errors"].map(|counter| child[counter].number());
        assert_eq!(counts, [2 * BURST, 2 * BURST * LENGTH as u64, 0], "{}", child["name"].text());
    }
    assert_eq!(bench.drops("egress-refused"), 0);
}
