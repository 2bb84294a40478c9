//! A child whose next hop does not answer is asked again and again, and said once: with two lines a retry the log would be
//! of nothing else.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Bench, lab_for};
use lab::Topology;
use lab::relay::{AUDIO, Mode, child_argument};

/// The kernel gives up after three questions, a second each.
const PATIENCE: Duration = Duration::from_secs(30);

modes!(a_next_hop_that_stays_silent: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn a_next_hop_that_stays_silent(mode: Mode) {
    let lab = lab_for("silent", mode);
    let topology = Topology::nic_per_child(&lab, 1).unwrap();
    let SocketAddr::V4(there) = topology.children[0].endpoint.v4(AUDIO) else { panic!("an IPv4 address") };
    let [a, b, c, _] = there.ip().octets();
    let nobody = IpAddr::from([a, b, c, 77]);
    let mut command = Command::new("ip");
    command.args(["monitor", "neigh"]);
    let monitor = lab.spawn("relay-1", command).unwrap();
    let bench = Bench::attach(&lab, topology, mode, 0);
    bench.cli().ok(&["child", "add", &child_argument("nobody", (nobody, AUDIO).into())]).unwrap();

    let failed = format!("{nobody} dev eth1 FAILED");
    let deadline = Instant::now() + PATIENCE;
    for retry in 1..=3 {
        while monitor.log().matches(&failed).count() < retry {
            assert!(Instant::now() < deadline, "{}{}", monitor.log(), bench.diagnosis());
            std::thread::sleep(Duration::from_millis(20));
        }
        // Word of another neighbour, while the silent one is being asked again.
        let (other, mac) = (format!("{a}.{b}.{c}.78"), format!("02:00:00:00:00:{retry:02x}"));
        lab.run("relay-1", &["ip", "neigh", "replace", &other, "lladdr", &mac, "dev", "eth1"]).unwrap();
    }
    let log = bench.relay.process().log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("child nobody: ")).collect();
    assert_eq!(said.iter().filter(|line| line.contains("does not answer")).count(), 1, "{said:#?}");
    assert!(said.len() <= 2, "{said:#?}");
    let child = bench.cli().json("children").unwrap()["children"].list()[0].clone();
    assert_eq!(child["state"].text(), "unreachable", "{child:?}");
}
