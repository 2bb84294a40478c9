//! Many cards reset their rings when an XDP program is attached or taken off, so nothing that only looks may do that: not
//! `doctor`, not a second `attach`, not a restart of a relay whose `auto` ended on tc.

use std::process::Command;

use crate::common;
use crate::common::{Bench, lab_for};
use lab::relay::{Mode, RelayCli};
use lab::{Lab, Process, Topology};

/// A veth tells its other end whenever a program comes or goes: what that one may offload has changed.
struct Witness<'lab> {
    lab: &'lab Lab,
    monitor: Process,
}

impl<'lab> Witness<'lab> {
    fn of_the_relays_eth0(lab: &'lab Lab) -> Self {
        let mut command = Command::new("ip");
        command.args(["monitor", "link"]);
        let monitor = lab.spawn("injection-1", command).unwrap();
        let witness = Self { lab, monitor };
        // It listens once it has told of something.
        common::eventually("the witness listens", || {
            lab.run("injection-1", &["ip", "link", "set", "lo", "down"]).unwrap();
            lab.run("injection-1", &["ip", "link", "set", "lo", "up"]).unwrap();
            witness.monitor.log().contains(": lo")
        });
        witness
    }

    /// What it has seen of eth0, once it has seen all there is.
    fn has_seen(&self) -> Vec<String> {
        let marks = |witness: &Self| witness.monitor.log().matches(": lo").count();
        let before = marks(self);
        self.lab.run("injection-1", &["ip", "link", "set", "lo", "mtu", "60000"]).unwrap();
        common::eventually("the witness has seen all", || marks(self) > before);
        self.lab.run("injection-1", &["ip", "link", "set", "lo", "mtu", "65536"]).unwrap();
        let log = self.monitor.log();
        log.lines().filter(|line| line.contains(": eth0")).map(str::to_owned).collect()
    }
}

#[test]
fn a_restart_whose_auto_ended_on_tc_keeps_it_and_says_how_to_look_anew() {
    let lab = lab_for("looktc", Mode::Auto);
    let topology = Topology::nic_per_child(&lab, 1).unwrap();
    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    let mut bench = Bench::attach(&lab, topology, Mode::Auto, 1);
    let reason = |bench: &Bench<'_>| {
        let plane = bench.cli().json("status").unwrap()["dataplane"].clone();
        assert_eq!(plane["mode"].text(), "tc", "{plane:?}");
        plane["modeReason"].text().to_owned()
    };
    let first = reason(&bench);
    let witness = Witness::of_the_relays_eth0(&lab);
    // By now it would find xdp.
    lab.set_feature("egress-1", "eth0", "gro", true).unwrap();
    bench.relay.kill9().unwrap();
    bench.relay.restart().unwrap();
    assert_eq!(witness.has_seen(), Vec::<String>::new());
    let second = reason(&bench);
    assert!(second.starts_with(&first), "{second}");
    assert!(second.contains("relay-ctl detach eth0 && relay-ctl attach eth0"), "{second}");
}

#[test]
fn nor_does_doctor_or_a_second_attach() {
    let lab = lab_for("look", Mode::Tc);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 1).unwrap(), Mode::Tc, 1);
    let witness = Witness::of_the_relays_eth0(&lab);
    let doctor = bench.cli().run(&["doctor", "eth0"]).unwrap();
    assert!(doctor.stdout.contains("the driver has native XDP"), "{doctor:?}");
    let second = bench.cli().run(&["attach", "eth0", "--mode", "auto", "--api", "127.0.0.1:7999"]).unwrap();
    assert!(second.stderr.contains("already manages eth0"), "{second:?}");
    assert_eq!(witness.has_seen(), Vec::<String>::new());
    // What the witness would have seen.
    drop(common::foreign::Foreign::xdp(&lab, "relay-1", "eth0", "touch"));
    assert_ne!(witness.has_seen(), Vec::<String>::new());
}

#[test]
fn doctor_on_an_interface_that_takes_no_xdp_frames_says_what_mends_it() {
    let lab = lab_for("doctor", Mode::Xdp);
    let _topology = Topology::nic_per_child(&lab, 1).unwrap();
    let cli = RelayCli::new(&lab, "relay-1");
    let good = cli.run(&["doctor", "eth1"]).unwrap();
    assert!(good.stdout.contains("the driver transmits XDP frames"), "{good:?}");
    lab.set_feature("egress-1", "eth0", "gro", false).unwrap();
    let bad = cli.run(&["doctor", "eth1"]).unwrap();
    assert!(bad.stdout.contains("ethtool -K PEER gro on"), "{bad:?}");
}
