//! `doctor` on an interface that the relay itself is attached to says so, whether or not its daemon is there: the relay's own
//! program is no obstacle.

use crate::common::{Bench, lab_for};
use lab::Topology;
use lab::relay::Mode;

modes!(it_is_no_obstacle: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn it_is_no_obstacle(mode: Mode) {
    let lab = lab_for("own", mode);
    let mut bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 1).unwrap(), mode, 1);
    for running in [true, false] {
        if !running {
            bench.relay.kill9().unwrap();
        }
        // eth0 is what it is attached to, eth1 is where copies leave.
        for interface in ["eth0", "eth1"] {
            let doctor = bench.cli().run(&["doctor", interface]).unwrap().stdout;
            let line = |what: &str| {
                let found = doctor.lines().find(|line| line.contains(what));
                found.unwrap_or_else(|| panic!("no {what}: {doctor}")).to_owned()
            };
            assert!(line("XDP in:").starts_with("ok"), "{doctor}");
            if mode == Mode::Xdp {
                assert!(line("XDP in:").contains("the relay on eth0 has a program on it"), "{doctor}");
                assert!(line("XDP out:").starts_with("ok"), "{doctor}");
            }
            for wrong in ["busy", "somebody else's", "in the way"] {
                assert!(!doctor.contains(wrong), "{doctor}");
            }
        }
    }
    bench.relay.restart().unwrap();
}
