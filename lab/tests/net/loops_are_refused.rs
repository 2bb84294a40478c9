//! A relay is never its own child, and relays that point at each other do not send media in circles.

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, v4_argument};
use lab::relay::{AUDIO, BAD_CONFIGURATION, Mode, RelayCli, RelayConfig, RelayProcess, VIDEO};
use lab::{Limit, Source, SourceConfig, Topology};

const PACKETS: u64 = 2_000;

modes!(a_relay_is_not_its_own_child);
modes!(two_relays_that_point_at_each_other_do_not_loop);
modes!(in_a_ring_of_three_relays_each_child_gets_one_copy);
modes!(a_child_that_sends_the_media_does_not_get_it_back);
modes!(where_media_comes_from_can_become_a_child);

fn a_relay_is_not_its_own_child(mode: Mode) {
    let lab = lab_for("self", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let own = [topology.relay.v4, topology.children[0].relay.v4]
        .map(|address| format!("self={address}:{AUDIO}:{VIDEO}"));

    let refused = RelayCli::new(&lab, "relay-1")
        .run(&["attach", "eth0", "--mode", &mode.to_string(), "--child", &own[0]])
        .unwrap();
    assert_eq!(refused.code, Some(BAD_CONFIGURATION), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    assert!(refused.stderr.contains(&topology.relay.v4.to_string()), "{refused:?}");

    let bench = Bench::attach(&lab, topology, mode, 1);
    for argument in own {
        let refused = bench.cli().run(&["child", "add", &argument]).unwrap();
        assert!(!matches!(refused.code, Some(0 | 137) | None), "{argument}: {refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{argument}: {refused:?}");
        let host = argument.trim_start_matches("self=").split(':').next().unwrap();
        assert!(refused.stderr.contains(host), "{argument}: {refused:?}");
    }
    assert_eq!(bench.cli().forwarding(), ["egress-1"]);
}

/// relay-1 and relay-2 (in egress-1) are each other's children; egress-2 and egress-3 hang below one of them each.
fn two_relays_that_point_at_each_other_do_not_loop(mode: Mode) {
    let lab = lab_for("loop", mode);
    let topology = Topology::bridged(&lab, 3).unwrap();
    // relay-2 transmits into this port of the bridge.
    lab.enable_gro("switch", "egress-1").unwrap();
    let relay_1 = format!("relay-1={}:{AUDIO}:{VIDEO}", topology.relay.v4);
    let below = v4_argument(&topology, 2);
    let config = RelayConfig::new("egress-1", mode, vec![relay_1, below]).with(&["--node-id", "relay-2"]);
    let relay_2 = RelayProcess::attach(&lab, config).unwrap();
    let bench = Bench::attach(&lab, topology, mode, 2);
    let sinks = [bench.sink(&[1]), bench.sink(&[2])];

    let config = SourceConfig::new(bench.flows(), 2_000).limit(Limit::Packets(PACKETS));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    for (sink, who) in sinks.into_iter().zip(["egress-2, below relay-1", "egress-3, below relay-2"]) {
        bench.wait_packets(&sink, 2, PACKETS / 2);
        assert!(sink.wait_quiet(QUIET, TIMEOUT), "{who}: media goes round and round");
        bench.assert_complete(who, &sink.stop(), PACKETS / 2);
    }
    for relay in [&bench.relay, &relay_2] {
        let packets = relay.cli().json("status").unwrap()["dataplane"]["packets"].number();
        assert_eq!(packets, PACKETS, "each relay saw each packet once");
    }
}

/// relay-1, relay-2 (in egress-1) and relay-3 (in egress-2) are each other's children in a ring; egress-3 hangs below relay-1,
/// egress-4 below relay-3.
fn in_a_ring_of_three_relays_each_child_gets_one_copy(mode: Mode) {
    let lab = lab_for("ring", mode);
    let topology = Topology::bridged(&lab, 4).unwrap();
    for relay in ["egress-1", "egress-2"] {
        lab.enable_gro("switch", relay).unwrap();
    }
    let relay_1 = format!("relay-1={}:{AUDIO}:{VIDEO}", topology.relay.v4);
    let child = |index| v4_argument(&topology, index);
    let configs = [
        RelayConfig::new("egress-1", mode, vec![child(1)]).with(&["--node-id", "relay-2"]),
        RelayConfig::new("egress-2", mode, vec![relay_1, child(3)]).with(&["--node-id", "relay-3"]),
    ];
    let others = configs.map(|config| RelayProcess::attach(&lab, config).unwrap());
    let config = RelayConfig::new("relay-1", mode, vec![child(0), child(2)]);
    let bench = Bench::attach_with(&lab, topology, config);
    let sinks = [bench.sink(&[2]), bench.sink(&[3])];

    let config = SourceConfig::new(bench.flows(), 2_000).limit(Limit::Packets(PACKETS));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    for (sink, who) in sinks.into_iter().zip(["egress-3, below relay-1", "egress-4, below relay-3"]) {
        bench.wait_packets(&sink, 2, PACKETS / 2);
        assert!(sink.wait_quiet(QUIET, TIMEOUT), "{who}: media goes round and round");
        bench.assert_complete(who, &sink.stop(), PACKETS / 2);
    }
    assert_eq!(bench.drops("ssrc-collision"), PACKETS, "what has been round{}", bench.diagnosis());
    for relay in [&bench.relay, &others[0], &others[1]] {
        let packets = relay.cli().json("status").unwrap()["dataplane"]["packets"].number();
        assert_eq!(packets, PACKETS, "each relay took each packet once");
    }
}

/// The sender is listed as a child, at the very port it sends from.
fn a_child_that_sends_the_media_does_not_get_it_back(mode: Mode) {
    let lab = lab_for("sender", mode);
    let topology = Topology::bridged(&lab, 1).unwrap();
    let children =
        vec![v4_argument(&topology, 0), format!("sender={}:{AUDIO}:{VIDEO}", topology.injection.v4)];
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, children));
    let sink = bench.sink(&[0]);
    let mut flows = bench.flows();
    for flow in &mut flows {
        flow.source_port = flow.destination.port();
    }
    let before = lab.udp_stats("injection-1").unwrap();
    let config = SourceConfig::new(flows, 1_000).limit(Limit::Packets(200));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    bench.wait_packets(&sink, 2, 100);
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_complete("the other child", &sink.stop(), 100);
    let after = lab.udp_stats("injection-1").unwrap();
    for counter in ["UdpInDatagrams", "UdpNoPorts", "UdpInErrors"] {
        assert_eq!(after[counter], before[counter], "{counter}: the sender got its own media back");
    }
    assert_eq!(bench.drops("child-is-sender"), 200);
}

/// Whoever sends media can become a child, and so can whoever is only said to send: a source address proves nothing.
fn where_media_comes_from_can_become_a_child(mode: Mode) {
    let lab = lab_for("becomes", mode);
    let topology = Topology::bridged(&lab, 1).unwrap();
    let children = vec![v4_argument(&topology, 0)];
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, children));
    let sink = bench.sink(&[0]);
    let mut flows = bench.flows();
    for flow in &mut flows {
        flow.source_port = flow.destination.port();
    }
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flows, 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 50);
    let sender = format!("sender={}:{AUDIO}:{VIDEO}", bench.topology.injection.v4);
    bench.cli().ok(&["child", "add", &sender]).unwrap();
    bench.wait_more(&sink, 50);
    source.stop();
    bench.assert_flawless("the other child", &sink.report());
}
