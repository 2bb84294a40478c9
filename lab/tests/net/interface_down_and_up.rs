//! An interface goes down and comes up again: forwarding resumes by itself, and children elsewhere lose nothing.

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, v6_argument};
use lab::relay::{AUDIO, Mode, RelayConfig, VIDEO};
use lab::{Flow, Limit, Sink, Source, SourceConfig, Topology};

const RATE: u64 = 2_000;

modes!(an_egress_interface_down_and_up_is_a_gap_for_its_own_children_only);
modes!(an_egress_peer_down_and_up_is_a_gap_for_its_own_children_only);
modes!(after_the_ingress_was_down_media_flows_again);
modes!(ipv6_flows_again_too);

fn an_egress_interface_down_and_up_is_a_gap_for_its_own_children_only(mode: Mode) {
    egress_gap("egressdown", mode, ("relay-1", "eth1"));
}

/// The receiver's end goes down: the relay sees its carrier go.
fn an_egress_peer_down_and_up_is_a_gap_for_its_own_children_only(mode: Mode) {
    egress_gap("peerdown", mode, ("egress-1", "eth0"));
}

fn egress_gap(test: &str, mode: Mode, (ns, interface): (&str, &str)) {
    let lab = lab_for(test, mode);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 2);
    let (cut, other) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&cut, 2, 100);
    bench.wait_packets(&other, 2, 100);

    for _ in 0..2 {
        lab.set_link(ns, interface, false).unwrap();
        bench.wait_more(&other, 200);
        lab.set_link(ns, interface, true).unwrap();
        bench.wait_more(&cut, 100);
    }
    bench.cli().wait_forwarding(2).unwrap();
    let after = bench.sink_again(cut, &[0]);
    bench.wait_packets(&after, 2, 500);

    let sent = source.stop();
    assert!(other.wait_quiet(QUIET, TIMEOUT));
    bench.assert_flawless("the child that was cut off, afterwards", &after.stop());
    bench.assert_all_of("the other child", &other.stop(), &sent);
}

modes!(what_an_interface_that_is_down_loses_is_counted);

/// Whatever is sent to a child is in its books, or counted by a reason: nothing is lost without a word.
fn what_an_interface_that_is_down_loses_is_counted(mode: Mode) {
    let lab = lab_for("downbooks", mode);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 2);
    let (cut, other) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&cut, 2, 100);
    lab.set_link("relay-1", "eth1", false).unwrap();
    bench.wait_more(&other, 1_000);
    let sent = source.stop().total();
    assert!(other.wait_quiet(QUIET, TIMEOUT));
    let came: u64 = cut.stop().iter().map(|flow| flow.packets).sum();
    let lost: u64 = ["copy-not-made", "egress-refused"].iter().map(|reason| bench.drops(reason)).sum();
    assert!(lost >= 1_000, "{lost} counted{}", bench.diagnosis());
    assert_eq!(came + lost, sent, "came + counted as lost{}", bench.diagnosis());
}

/// The receiver's end stops taking XDP frames, as when somebody turns GRO off there.
#[test]
fn what_an_interface_loses_that_cannot_transmit_any_more_is_counted() {
    let lab = lab_for("nogro", Mode::Xdp);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), Mode::Xdp, 2);
    let (cut, other) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&cut, 2, 100);
    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    bench.wait_more(&other, 1_000);
    let sent = source.stop().total();
    assert!(other.wait_quiet(QUIET, TIMEOUT));
    let came: u64 = cut.stop().iter().map(|flow| flow.packets).sum();
    let lost: u64 = ["copy-not-made", "egress-refused"].iter().map(|reason| bench.drops(reason)).sum();
    assert!(lost > 0, "{}", bench.diagnosis());
    assert_eq!(came + lost, sent, "came + counted as lost{}", bench.diagnosis());
}

fn after_the_ingress_was_down_media_flows_again(mode: Mode) {
    let lab = lab_for("ingressdown", mode);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 2);
    let sinks = [bench.sink(&[0]), bench.sink(&[1])];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    sinks.iter().for_each(|sink| bench.wait_packets(sink, 2, 100));
    for (ns, interface) in [("relay-1", "eth0"), ("injection-1", "eth0")] {
        lab.set_link(ns, interface, false).unwrap();
        assert!(sinks[0].wait_quiet(QUIET, TIMEOUT));
        lab.set_link(ns, interface, true).unwrap();
        sinks.iter().for_each(|sink| bench.wait_more(sink, 100));
    }
    source.stop();
    // What is sent from now on is complete.
    let fresh: Vec<Flow> =
        bench.flows().into_iter().map(|flow| Flow { ssrc: flow.ssrc + 1, ..flow }).collect();
    let ssrcs: Vec<u32> = fresh.iter().map(|flow| flow.ssrc).collect();
    let config = SourceConfig::new(fresh, RATE).limit(Limit::Packets(1_000));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    for sink in sinks {
        bench.wait_packets(&sink, 4, 100);
        assert!(sink.wait_quiet(QUIET, TIMEOUT));
        let fresh: Vec<_> = sink.stop().into_iter().filter(|flow| ssrcs.contains(&flow.ssrc)).collect();
        assert_eq!(fresh.len(), 2);
        bench.assert_complete("after the outage", &fresh, 500);
    }
}

/// The kernel drops IPv6 addresses and routes of an interface that goes down unless it is told to keep them.
fn ipv6_flows_again_too(mode: Mode) {
    let lab = lab_for("v6down", mode);
    let topology = Topology::nic_per_child(&lab, 1).unwrap();
    let child = v6_argument(&topology, 0);
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, vec![child]));
    let endpoint = &bench.child(0).endpoint;
    let sink = Sink::bind(&lab, "egress-1", vec![endpoint.v6(AUDIO), endpoint.v6(VIDEO)]).unwrap();
    let flows = vec![Flow::video(1, bench.topology.relay.v6(VIDEO))];
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(flows, RATE)).unwrap();
    bench.wait_packets(&sink, 1, 100);
    for (ns, interface) in [("relay-1", "eth1"), ("relay-1", "eth0")] {
        lab.set_link(ns, interface, false).unwrap();
        assert!(sink.wait_quiet(QUIET, TIMEOUT));
        lab.set_link(ns, interface, true).unwrap();
        bench.wait_more(&sink, 100);
    }
}
