//! Who finds an interface taken is told by whom: a second daemon, and `doctor`.

use crate::common::{Bench, lab_for};
use lab::Topology;
use lab::relay::Mode;

modes!(its_pid_is_named: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn its_pid_is_named(mode: Mode) {
    let lab = lab_for("who", mode);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let cli = bench.cli();
    let held = format!("relay-ctl (PID {}) already manages eth0", bench.relay.process().pid());
    for api in ["127.0.0.1:7071", "127.0.0.1:7099"] {
        let answer = cli.run(&["attach", "eth0", "--mode", &mode.to_string(), "--api", api]).unwrap();
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains(&held), "{answer:?}");
    }
    let doctor = cli.run(&["doctor", "eth0"]).unwrap().stdout;
    let held = format!("held by relay-ctl PID {}", bench.relay.process().pid());
    assert!(doctor.contains(&held), "{doctor}");
    bench.relay.kill9().unwrap();
    let doctor = cli.run(&["doctor", "eth0"]).unwrap().stdout;
    assert!(doctor.contains("attached, and no daemon is there"), "{doctor}");
    bench.relay.restart().unwrap();
}
