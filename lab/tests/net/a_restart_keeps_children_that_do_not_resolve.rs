//! A daemon that takes over goes on forwarding to children whose name or neighbour is not to be had just now: the
//! record in the kernel works until something better is known.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common;
use crate::common::tree::Tree;
use crate::common::{Bench, QUIET, TIMEOUT, eventually, lab_for, socket};
use lab::redis::RedisConfig;
use lab::relay::{Mode, RelayConfig, VIDEO};
use lab::{Lab, Source, SourceConfig, Topology};

const RATE: u64 = 4_000;
const HOSTS: &str = "/etc/hosts";

modes!(a_name_that_does_not_resolve: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_name_in_redis_that_does_not_resolve: in_tc_mode = Tc);
modes!(a_neighbour_that_does_not_answer: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_router_that_does_not_answer: in_tc_mode = Tc);
modes!(a_name_server_that_is_silent_holds_nothing_up: in_tc_mode = Tc);

/// The daemon's own `/etc/hosts`, with these lines.
fn hosts(lab: &Lab, lines: &str) -> PathBuf {
    let file = lab.directory().join("hosts");
    std::fs::write(&file, lines).unwrap();
    file
}

fn named(name: &str) -> String {
    format!("{name}={name}.test:{}:{VIDEO}", lab::relay::AUDIO)
}

fn a_name_that_does_not_resolve(mode: Mode) {
    let lab = lab_for("dnsaway", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let line = format!("{} egress-1.test\n", topology.children[0].endpoint.v4);
    let file = hosts(&lab, &line);
    let config = RelayConfig::new("relay-1", mode, vec![named("egress-1")]).seeing(&file, HOSTS);
    let mut bench = Bench::attach_with(&lab, topology, config);
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 2, 100);

    bench.relay.kill9().unwrap();
    std::fs::write(&file, "").unwrap();
    bench.relay.restart().unwrap();
    bench.wait_more(&sink, RATE / 2);
    assert_eq!(bench.cli().forwarding(), ["egress-1"], "{}", bench.diagnosis());
    let status = bench.cli().json("status").unwrap();
    let warnings = format!("{:?}", status["warnings"]);
    for part in ["child egress-1: host 'egress-1.test' cannot be resolved", "copies go on to 10.0.2.11"] {
        assert!(warnings.contains(part), "{warnings}");
    }

    std::fs::write(&file, line).unwrap();
    bench.relay.kill9().unwrap();
    bench.relay.restart().unwrap();
    bench.wait_more(&sink, RATE / 2);
    assert!(bench.cli().json("status").unwrap()["warnings"].list().is_empty(), "{}", bench.diagnosis());
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the child", &sink.stop(), &sent);
}

fn a_name_in_redis_that_does_not_resolve(mode: Mode) {
    let lab = lab_for("dnsredis", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let file = hosts(&lab, &format!("{} egress-1.test\n", topology.children[0].endpoint.v4));
    let mut tree = Tree::grow_with(&lab, topology, mode, 0, RedisConfig::default(), |config| {
        config.seeing(&file, HOSTS)
    });
    tree.type_in("HSET node:egress-1 host egress-1.test");
    tree.type_in("SADD children:relay-1 egress-1");
    tree.wait_forwarding(&[common::name(0)]);
    let sink = tree.bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(tree.bench.flows(), RATE)).unwrap();
    tree.bench.wait_packets(&sink, 2, 100);

    tree.bench.relay.kill9().unwrap();
    std::fs::write(&file, "").unwrap();
    tree.bench.relay.restart().unwrap();
    tree.wait_mended();
    tree.bench.wait_more(&sink, RATE / 2);
    assert_eq!(tree.forwarding(), [common::name(0)], "{}", tree.bench.diagnosis());
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("the child", &sink.stop(), &sent);
}

/// The daemon is killed and started again while egress answers no ARP request; the kernel gives its address up.
fn restart_in_silence(bench: &mut Bench<'_>) {
    bench.relay.kill9().unwrap();
    bench.lab.sysctl("egress", "ipv4/conf/all/arp_ignore", "8").unwrap();
    bench.lab.run("relay-1", &["ip", "neigh", "flush", "dev", "eth1"]).unwrap();
    bench.relay.restart_on_pins().unwrap();
    eventually("the kernel gives the neighbour up", || {
        bench.cli().json("status").unwrap()["problems"]
            .list()
            .iter()
            .any(|problem| problem.text().contains("10.0.2.11 does not answer on eth1"))
    });
}

fn a_neighbour_that_does_not_answer(mode: Mode) {
    let lab = lab_for("noarp", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let mut bench = Bench::attach(&lab, topology, mode, 1);
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 2, 100);

    restart_in_silence(&mut bench);
    bench.wait_more(&sink, RATE / 2);

    lab.sysctl("egress", "ipv4/conf/all/arp_ignore", "0").unwrap();
    bench.cli().wait_forwarding(1).unwrap();
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the child", &sink.stop(), &sent);
}

/// Of a router the record has the MAC only; whose it is has to be found out again.
fn a_router_that_does_not_answer(mode: Mode) {
    let lab = lab_for("noarprouter", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    lab.address("egress", "lo", "10.9.0.1/32").unwrap();
    lab.route("relay-1", "10.9.0.0/24", "10.0.2.11").unwrap();
    let config = RelayConfig::new("relay-1", mode, vec!["far=10.9.0.1:5002:5004".to_owned()]);
    let mut bench = Bench::attach_with(&lab, topology, config);
    let far = ["10.9.0.1:5002", "10.9.0.1:5004"].map(|address| address.parse().unwrap());
    let sink = lab::Sink::bind(&lab, "egress", far.to_vec()).unwrap();
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 2, 100);

    restart_in_silence(&mut bench);
    bench.wait_more(&sink, RATE / 2);
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the child", &sink.stop(), &sent);
}

fn a_name_server_that_is_silent_holds_nothing_up(mode: Mode) {
    let lab = lab_for("dnssilent", mode);
    let topology = Topology::one_nic(&lab, 3).unwrap();
    let names = ["egress-1", "egress-2", "egress-3"];
    let lines: String = names
        .iter()
        .zip(&topology.children)
        .map(|(name, child)| format!("{} {name}.test\n", child.endpoint.v4))
        .collect();
    let file = hosts(&lab, &lines);
    // It takes every question and answers none.
    let _name_server = socket(&lab, "injection-1", topology.injection.v4(53));
    let resolver = lab.directory().join("resolv.conf");
    std::fs::write(&resolver, format!("nameserver {}\n", topology.injection.v4)).unwrap();
    let config = RelayConfig::new("relay-1", mode, names.map(named).to_vec())
        .seeing(&file, HOSTS)
        .seeing(&resolver, "/etc/resolv.conf");
    let mut bench = Bench::attach_with(&lab, topology, config);
    bench.relay.kill9().unwrap();
    std::fs::write(&file, "").unwrap();
    let began = Instant::now();
    bench.relay.restart().unwrap();
    let took = began.elapsed();
    println!("{mode}: ready after {took:?}");
    // All together may take 5 s, one after the other would take 15 s; the rest is for loading on a busy machine.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(bench.cli().forwarding(), names, "{}", bench.diagnosis());
}
