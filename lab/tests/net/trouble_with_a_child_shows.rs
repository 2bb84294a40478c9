//! A child that cannot be reached shows in `children` and `status`, and no other child suffers.

use crate::common::{Bench, QUIET, TIMEOUT, eventually, lab_for};
use lab::relay::{Json, Mode};
use lab::{Source, SourceConfig, Topology};

modes!(an_interface_that_is_down_is_a_problem_until_it_is_up);

fn an_interface_that_is_down_is_a_problem_until_it_is_up(mode: Mode) {
    let lab = lab_for("trouble", mode);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 2);
    let (troubled, other) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 2_000)).unwrap();
    bench.wait_packets(&troubled, 2, 100);
    bench.wait_packets(&other, 2, 100);
    let healthy = || bench.cli().json("status").unwrap()["healthy"] == Json::Bool(true);
    let child = |index: usize| bench.cli().json("children").unwrap()["children"].list()[index].clone();
    assert!(healthy() && child(0)["errors"].number() == 0, "{}", bench.diagnosis());

    lab.set_link("relay-1", "eth1", false).unwrap();
    bench.wait_more(&other, 200);
    // Xdp counts no errors here: the kernel leaves an interface that is down out of a broadcast without a word.
    eventually("it shows where the copies went", || {
        child(0)["errors"].number() > 0 || !child(0)["problem"].text().is_empty()
    });
    assert!(!healthy(), "status says that all is well{}", bench.diagnosis());
    let problems = bench.cli().json("status").unwrap()["problems"].clone();
    assert!(problems.list().iter().any(|problem| problem.text().contains("egress-1")), "{problems:?}");
    assert_eq!(child(1)["errors"].number(), 0, "the other child has no errors{}", bench.diagnosis());

    lab.set_link("relay-1", "eth1", true).unwrap();
    bench.wait_more(&troubled, 100);
    eventually("all is well again", healthy);
    let sent = source.stop();
    assert!(other.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the other child", &other.stop(), &sent);
}
