//! Children behind several NICs, two behind each, listed in turn: each gets its own copies and nobody else's.

use crate::common::{Bench, TIMEOUT, lab_for};
use lab::relay::{AUDIO, Mode, RelayConfig, VIDEO};
use lab::{Limit, Sink, Source, SourceConfig, Topology};

const PACKETS: u64 = 20_000;

modes!(every_child_on_every_interface_gets_every_packet_once);

fn every_child_on_every_interface_gets_every_packet_once(mode: Mode) {
    let lab = lab_for("nics", mode);
    let topology = Topology::nic_per_child(&lab, 2).unwrap();
    // The second address of each receiver is a child of its own, so that order on a NIC matters.
    let hosts = ["10.0.2.11", "10.0.3.11", "10.0.2.12", "10.0.3.12"];
    lab.address("egress-1", "eth0", "10.0.2.12/24").unwrap();
    lab.address("egress-2", "eth0", "10.0.3.12/24").unwrap();
    let children =
        hosts.iter().zip(["a", "b", "c", "d"]).map(|(host, name)| format!("{name}={host}:{AUDIO}:{VIDEO}"));
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, children.collect()));
    let sinks = ["egress-1", "egress-2"].map(|ns| {
        let own = hosts.iter().skip(usize::from(ns == "egress-2")).step_by(2);
        let addresses =
            own.flat_map(|host| [AUDIO, VIDEO].map(|port| format!("{host}:{port}").parse().unwrap()));
        Sink::bind(&lab, ns, addresses.collect()).unwrap()
    });

    let config = SourceConfig::new(bench.flows(), 10_000).limit(Limit::Packets(PACKETS));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    for (sink, ns) in sinks.into_iter().zip(["egress-1", "egress-2"]) {
        sink.wait_until(TIMEOUT, |flows| flows.iter().map(|flow| flow.packets).sum::<u64>() >= 2 * PACKETS);
        let flows = sink.stop();
        assert_eq!(flows.len(), 4, "two children with two streams{}", bench.diagnosis());
        bench.assert_complete(ns, &flows, PACKETS / 2);
        let stats = lab.udp_stats(ns).unwrap();
        assert_eq!((stats["UdpNoPorts"], stats["UdpInErrors"]), (0, 0), "{ns}{}", bench.diagnosis());
    }
    let children = bench.cli().json("children").unwrap();
    let interfaces: Vec<&str> =
        children["children"].list().iter().map(|child| child["interface"].text()).collect();
    assert!(mode == Mode::Userspace || interfaces == ["eth1", "eth2", "eth1", "eth2"], "{interfaces:?}");
}
