//! The daemon is killed under load: forwarding goes on without it, and the next daemon takes over in place.

use std::time::Duration;

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, name, v4_argument};
use lab::relay::{Json, Mode};
use lab::{Source, SourceConfig, Topology};

const RATE: u64 = 10_000;

modes!(no_packet_is_lost: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(children_added_at_run_time_are_taken_over: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_polite_stop_does_not_stop_forwarding_either: in_xdp_mode = Xdp, in_tc_mode = Tc);

modes!(killed_in_the_middle_of_a_change_it_leaves_a_whole_set: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn no_packet_is_lost(mode: Mode) {
    let lab = lab_for("kill", mode);
    let topology = Topology::one_nic(&lab, 3).unwrap();
    let mut bench = Bench::attach(&lab, topology, mode, 2);
    let sink = bench.sink(&[0, 1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 4, 1_000);

    bench.relay.kill9().unwrap();
    bench.wait_more(&sink, RATE / 4);
    let status = bench.cli().json("status").unwrap();
    assert_eq!(status["daemon"], Json::Bool(false), "{status:?}");
    assert_eq!(status["dataplane"]["mode"].text(), mode.to_string());
    let packets = status["dataplane"]["packets"].number();
    assert!(packets > 2_000, "status reads the counters of the pinned maps: {packets}");
    assert_eq!(bench.cli().forwarding(), ["egress-1", "egress-2"]);
    assert_eq!(bench.cli().json("streams").unwrap()["streams"].list().len(), 2);

    bench.relay.restart().unwrap();
    bench.cli().wait_forwarding(2).unwrap();
    assert_eq!(bench.cli().json("status").unwrap()["daemon"], Json::Bool(true));
    bench.wait_more(&sink, RATE / 10);
    let third = bench.sink(&[2]);
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 2)]).unwrap();
    bench.wait_packets(&third, 2, 100);
    bench.wait_more(&sink, 100);

    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("a child from before", &sink.stop(), &sent);
    bench.assert_flawless("the child added after the restart", &third.stop());
    let status = bench.cli().json("status").unwrap();
    assert!(status["dataplane"]["packets"].number() >= packets, "counters go on where they were");
}

fn children_added_at_run_time_are_taken_over(mode: Mode) {
    let lab = lab_for("inherit", mode);
    let topology = Topology::one_nic(&lab, 2).unwrap();
    let mut bench = Bench::attach(&lab, topology, mode, 1);
    let sink = bench.sink(&[0, 1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 1)]).unwrap();
    bench.wait_packets(&sink, 4, 100);

    bench.relay.kill9().unwrap();
    bench.relay.restart().unwrap();
    bench.wait_more(&sink, 100);
    assert_eq!(bench.cli().forwarding(), ["egress-1", "egress-2"]);

    source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_flawless("old and new children", &sink.stop());
}

fn a_polite_stop_does_not_stop_forwarding_either(mode: Mode) {
    let lab = lab_for("stop", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let mut bench = Bench::attach(&lab, topology, mode, 1);
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 2, 100);
    assert!(bench.relay.terminate().unwrap().success(), "{}", bench.relay.process().tail());
    bench.wait_more(&sink, 500);
    bench.relay.restart().unwrap();
    bench.wait_more(&sink, 100);
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the child", &sink.stop(), &sent);
}

/// Wherever in a change of children the daemon dies, the old set or the new one is in force, and the next daemon knows
/// which.
fn killed_in_the_middle_of_a_change_it_leaves_a_whole_set(mode: Mode) {
    let lab = lab_for("midchange", mode);
    let topology = Topology::one_nic(&lab, 3).unwrap();
    let mut bench = Bench::attach(&lab, topology, mode, 2);
    let stayers = bench.sink(&[0, 1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&stayers, 4, 100);
    for round in 0..12 {
        let cli = bench.cli();
        let there = cli.forwarding().contains(&name(2));
        let child = if there { name(2) } else { v4_argument(&bench.topology, 2) };
        std::thread::scope(|scope| {
            let changing =
                scope.spawn(|| cli.run(&["child", if there { "remove" } else { "add" }, &child]).unwrap());
            // A change takes some milliseconds from the start of the command on.
            std::thread::sleep(Duration::from_millis(1 + round));
            bench.relay.kill9().unwrap();
            let answer = changing.join().unwrap();
            println!("{mode}, round {round}: child there before: {there}, exit code {:?}", answer.code);
        });
        bench.wait_more(&stayers, 50);
        bench.relay.restart().unwrap();
        bench.cli().wait_settled().unwrap();
        // Who is listed gets media, who is not does not.
        let third = bench.sink(&[2]);
        bench.wait_more(&stayers, 100);
        let expected = if bench.cli().forwarding().contains(&name(2)) { 2 } else { 0 };
        if expected > 0 {
            bench.wait_packets(&third, expected, 50);
        }
        let flows = third.stop();
        assert_eq!(flows.len(), expected, "{flows:#?}{}", bench.diagnosis());
        bench.assert_flawless("the child that comes and goes", &flows);
    }
    let sent = source.stop();
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("stayers", &stayers.stop(), &sent);
}
