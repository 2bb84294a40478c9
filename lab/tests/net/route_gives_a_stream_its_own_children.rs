//! `relay-ctl route` gives one stream its own children and back, under load: nobody else notices.

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, name, v4_argument};
use lab::relay::{Json, Mode, VIDEO};
use lab::{Flow, FlowReport, Source, SourceConfig, Topology, monotonic_ns};

/// The stream that is routed, and another one on the same port that is not.
const ROUTED: u32 = 0x0000_1e61;
const OTHER: u32 = 0xfeed_0001;
const RATE: u64 = 6_000;

modes!(a_stream_is_taken_from_a_child_and_given_back);
modes!(a_new_child_joins_the_set_of_all_only);

fn flow(flows: &[FlowReport], ssrc: u32) -> FlowReport {
    flows
        .iter()
        .find(|flow| flow.ssrc == ssrc)
        .unwrap_or_else(|| panic!("no SSRC {ssrc} in {flows:#?}"))
        .clone()
}

fn video(bench: &Bench, ssrc: u32) -> Flow {
    Flow::video(ssrc, bench.topology.relay.v4(VIDEO))
}

fn own_children(bench: &Bench, ssrc: u32) -> Option<Vec<String>> {
    let streams = bench.cli().json("streams").unwrap();
    let stream =
        streams["streams"].list().iter().find(|stream| stream["ssrc"].number() == u64::from(ssrc)).unwrap();
    let Json::List(children) = &stream["children"] else { return None };
    Some(children.iter().map(|child| child.text().to_owned()).collect())
}

fn a_stream_is_taken_from_a_child_and_given_back(mode: Mode) {
    let lab = lab_for("route", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 3).unwrap(), mode, 3);
    let kept = bench.sink(&[0, 1]);
    let third = bench.sink(&[2]);
    let flows = vec![video(&bench, ROUTED), video(&bench, OTHER)];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flows, RATE)).unwrap();
    bench.wait_packets(&kept, 4, 100);
    bench.wait_packets(&third, 2, 100);
    assert_eq!(own_children(&bench, ROUTED), None);

    let route = ["route", &ROUTED.to_string(), "--port", "5004"].map(str::to_owned);
    let route = |rest: &[&str]| {
        let arguments: Vec<&str> = route.iter().map(String::as_str).chain(rest.iter().copied()).collect();
        bench.cli().ok(&arguments).unwrap();
        monotonic_ns()
    };
    let away_ns = route(&["--children", "egress-1,egress-2"]);
    assert_eq!(own_children(&bench, ROUTED), Some(vec![name(0), name(1)]));
    assert_eq!(own_children(&bench, OTHER), None);
    let other = flow(&third.report(), OTHER).packets;
    assert!(third.wait_until(TIMEOUT, |flows| flow(flows, OTHER).packets > other + 300));
    let flows = third.stop();
    bench.assert_flawless("the third child, before", &flows);
    assert!(flow(&flows, ROUTED).sent.unwrap().last_ns <= away_ns, "the stream ends when `route` returns");

    let third = bench.sink(&[2]);
    bench.wait_packets(&third, 1, 300);
    assert_eq!(third.report()[0].ssrc, OTHER);
    let before_ns = monotonic_ns();
    let back_ns = route(&["--all"]);
    assert_eq!(own_children(&bench, ROUTED), None);
    bench.wait_packets(&third, 2, 300);
    let sent = source.stop();
    assert!(third.wait_quiet(QUIET, TIMEOUT) && kept.wait_quiet(QUIET, TIMEOUT));
    let flows = third.stop();
    bench.assert_flawless("the third child, afterwards", &flows);
    let first_ns = flow(&flows, ROUTED).sent.unwrap().first_ns;
    assert!(
        first_ns + 20_000_000 > before_ns && first_ns < back_ns + 20_000_000,
        "the stream is back with `route`"
    );
    bench.assert_all_of("a child that has both streams", &kept.stop(), &sent);
}

fn a_new_child_joins_the_set_of_all_only(mode: Mode) {
    let lab = lab_for("routejoin", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 3).unwrap(), mode, 2);
    // A stream may be routed before its first packet.
    bench.cli().ok(&["route", &ROUTED.to_string(), "--port", "5004", "--children", "egress-1"]).unwrap();
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 2)]).unwrap();
    let sinks = [0, 1, 2].map(|index| bench.sink(&[index]));
    let flows = vec![video(&bench, ROUTED), video(&bench, OTHER)];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flows, RATE)).unwrap();
    bench.wait_packets(&sinks[0], 2, 100);
    // The only child of the routed stream goes: nobody else gets it in its place.
    bench.cli().ok(&["child", "remove", "egress-1"]).unwrap();
    bench.wait_more(&sinks[1], 300);
    let sent = source.stop();
    for (index, sink) in sinks.into_iter().enumerate() {
        assert!(sink.wait_quiet(QUIET, TIMEOUT));
        let flows = sink.stop();
        if index == 0 {
            bench.assert_flawless("egress-1, until it left", &flows);
        } else {
            assert_eq!(flows.len(), 1, "{flows:#?}");
            bench.assert_complete(&name(index), &flows, sent.packets[&OTHER]);
        }
    }
}
