//! A child whose name has addresses of both IP versions is sent to at the one that the media has; one that has not got it
//! says so.

use std::path::PathBuf;

use crate::common;
use crate::common::tree::Tree;
use crate::common::{AUDIO_SSRC, Bench, QUIET, TIMEOUT, VIDEO_SSRC, eventually, lab_for, v6_argument};
use lab::redis::RedisConfig;
use lab::relay::{AUDIO, Mode, RelayConfig, VIDEO};
use lab::{Endpoint, Flow, Lab, Limit, Sink, Source, SourceConfig, Topology};

const RATE: u64 = 1_000;

modes!(ipv4_media_goes_to_the_ipv4_address: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(ipv6_media_goes_to_the_ipv6_address: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(the_same_for_a_child_from_redis: in_tc_mode = Tc);
modes!(a_child_without_the_media_s_version_says_so: in_xdp_mode = Xdp, in_tc_mode = Tc);

/// Both addresses under one name. The resolver gives the IPv6 one first.
fn hosts(lab: &Lab, endpoint: &Endpoint) -> PathBuf {
    let file = lab.directory().join("hosts");
    std::fs::write(&file, format!("{} egress-1.test\n{} egress-1.test\n", endpoint.v6, endpoint.v4)).unwrap();
    file
}

/// Takes media at both addresses of the child.
fn sink(lab: &Lab, endpoint: &Endpoint) -> Sink {
    let addresses = [endpoint.v4(AUDIO), endpoint.v4(VIDEO), endpoint.v6(AUDIO), endpoint.v6(VIDEO)];
    Sink::bind(lab, &endpoint.namespace, addresses.to_vec()).unwrap()
}

fn attach(lab: &Lab, mode: Mode) -> Bench<'_> {
    let topology = Topology::one_nic(lab, 1).unwrap();
    let file = hosts(lab, &topology.children[0].endpoint);
    let child = format!("egress-1=egress-1.test:{AUDIO}:{VIDEO}");
    let config = RelayConfig::new("relay-1", mode, vec![child]).seeing(&file, "/etc/hosts");
    Bench::attach_with(lab, topology, config)
}

fn ipv4_media_goes_to_the_ipv4_address(mode: Mode) {
    let lab = lab_for("both4", mode);
    let bench = attach(&lab, mode);
    let sink = sink(&lab, &bench.child(0).endpoint);
    let config = SourceConfig::new(bench.flows(), RATE).limit(Limit::Packets(400));
    let sent = Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("by IPv4 from the first packet on", &sink.stop(), &sent);
    assert_eq!(bench.drops("other-family"), 0);
}

fn ipv6_media_goes_to_the_ipv6_address(mode: Mode) {
    let lab = lab_for("both6", mode);
    let bench = attach(&lab, mode);
    let relay = &bench.topology.relay;
    let sink = sink(&lab, &bench.child(0).endpoint);
    let flows = vec![Flow::audio(AUDIO_SSRC, relay.v6(AUDIO)), Flow::video(VIDEO_SSRC, relay.v6(VIDEO))];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flows, RATE)).unwrap();
    bench.wait_packets(&sink, 2, 200);
    source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    let flows = sink.stop();
    assert!(flows.iter().all(|flow| flow.socket.is_ipv6()), "{flows:#?}");
    bench.assert_flawless("from when the media was seen to be IPv6", &flows);
    assert_eq!(bench.cli().forwarding(), ["egress-1"]);
}

fn the_same_for_a_child_from_redis(mode: Mode) {
    let lab = lab_for("bothtree", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let endpoint = topology.children[0].endpoint.clone();
    let file = hosts(&lab, &endpoint);
    let tree = Tree::grow_with(&lab, topology, mode, 0, RedisConfig::default(), |config| {
        config.seeing(&file, "/etc/hosts")
    });
    tree.type_in("HSET node:egress-1 host egress-1.test");
    tree.type_in("SADD children:relay-1 egress-1");
    tree.wait_forwarding(&[common::name(0)]);
    let sink = sink(&lab, &endpoint);
    let config = SourceConfig::new(tree.bench.flows(), RATE).limit(Limit::Packets(400));
    let sent = Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("by IPv4", &sink.stop(), &sent);
}

fn a_child_without_the_media_s_version_says_so(mode: Mode) {
    let lab = lab_for("only6", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let config = RelayConfig::new("relay-1", mode, vec![v6_argument(&topology, 0)]);
    let bench = Bench::attach_with(&lab, topology, config);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    eventually("the child says that it gets nothing", || {
        let status = bench.cli().json("status").unwrap();
        let problems = format!("{:?}", status["problems"]);
        problems.contains("is an IPv6 address and the media is IPv4")
            && problems.contains("give it an IPv4 address")
            && status["healthy"] == lab::relay::Json::Bool(false)
    });
    assert_eq!(bench.cli().forwarding(), Vec::<String>::new());
    source.stop();
    eventually("and no longer when there is no media", || bench.cli().forwarding() == ["egress-1"]);
}
