//! In each topology the relay reaches every child over both families at once after building it.

use std::time::Duration;

use lab::{Chain, Flow, Lab, Limit, Sink, Source, SourceConfig, Topology};

const CHILDREN: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn every_child_is_reached_from_the_relay() {
    let chain = |lab: &Lab, children: usize| Chain::bridged(lab, children).map(|chain| chain.topology);
    for build in [Topology::one_nic, Topology::nic_per_child, Topology::bridged, chain] {
        let lab = Lab::new("t-topo-").unwrap();
        let topology = build(&lab, CHILDREN).unwrap();
        assert_eq!(topology.children.len(), CHILDREN);
        let mut sinks = Vec::new();
        let mut flows = Vec::new();
        for child in &topology.children {
            let addresses = vec![child.endpoint.v4(5004), child.endpoint.v6(5004)];
            flows.extend(addresses.iter().zip(0..).map(|(a, f)| Flow::video(2 * sinks.len() as u32 + f, *a)));
            sinks.push(Sink::bind(&lab, &child.endpoint.namespace, addresses).unwrap());
        }
        let up = Sink::bind(&lab, "relay-1", vec![topology.relay.v4(5004), topology.relay.v6(5004)]).unwrap();
        let upstream =
            [topology.relay.v4(5004), topology.relay.v6(5004)].map(|a| Flow::audio(a.is_ipv6().into(), a));
        let ten_each = |flows: Vec<Flow>| {
            let packets = 10 * flows.len() as u64;
            SourceConfig::new(flows, 1_000).limit(Limit::Packets(packets))
        };
        for (ns, config) in [("relay-1", ten_each(flows)), ("injection-1", ten_each(upstream.to_vec()))] {
            Source::start(&lab, ns, config).unwrap().wait(TIMEOUT).unwrap();
        }
        for sink in sinks.iter().chain([&up]) {
            let complete = sink.wait_until(TIMEOUT, |flows| {
                flows.len() == 2 && flows.iter().all(|flow| (flow.packets, flow.lost) == (10, 0))
            });
            assert!(complete, "{:#?}", sink.report());
        }
    }
}
