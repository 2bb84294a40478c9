//! Where no BPF filesystem is mounted, a relay mounts one. Of two that are started at once neither mounts it over the other's.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::common::eventually;
use lab::Lab;
use lab::process::Process;
use lab::relay::relay_ctl;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

const PLACE: &str = "/sys/fs/bpf";
const NONE: Option<&str> = None;

/// How many are mounted there, seen from this thread.
fn mounted() -> usize {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.split(' ').nth(4) == Some(PLACE)).count()
}

#[test]
fn two_relays_mount_one_bpffs() {
    let lab = Lab::new("t-bpffs-").unwrap();
    for ns in ["a", "b"] {
        lab.add_namespace(ns).unwrap();
    }
    lab.link("a", "eth0", "b", "eth1").unwrap();
    lab.address("a", "eth0", "10.0.1.1/24").unwrap();
    lab.address("b", "eth1", "10.0.1.2/24").unwrap();
    // In mounts of its own, which the relays that it starts share.
    std::thread::scope(|scope| scope.spawn(|| both(&lab)).join()).unwrap();
}

fn both(lab: &Lab) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
    while mounted() > 0 {
        umount2(PLACE, MntFlags::MNT_DETACH).unwrap();
    }
    let start = |ns: &str, interface: &str| {
        let mut relay = Command::new(relay_ctl());
        relay.args(["attach", interface, "--mode", "tc", "--pin-root", "/sys/fs/bpf/media-tree"]);
        lab.spawn(ns, relay).unwrap()
    };
    // As a third relay that has seen that none is there, and is about to mount it.
    let turn = File::open(PLACE).unwrap();
    turn.lock().unwrap();
    let relays = [start("a", "eth0"), start("b", "eth1")];
    let says = |relay: &Process, what: &str| {
        assert_eq!(relay.status().unwrap(), None, "{}", relay.tail());
        relay.log().contains(what)
    };
    let waits = |relay: &Process| says(relay, "waiting for another process") || says(relay, "ready: ");
    eventually("they wait", || relays.iter().all(waits));
    mount(Some("bpf"), PLACE, Some("bpf"), MsFlags::empty(), NONE).unwrap();
    drop(turn);
    eventually("they are ready", || relays.iter().all(|relay| says(relay, "ready: ")));
    assert_eq!(mounted(), 1, "{}\n{}", relays[0].tail(), relays[1].tail());
    for interface in ["eth0", "eth1"] {
        let pins = Path::new(PLACE).join("media-tree").join(interface);
        assert!(pins.is_dir(), "{} is out of sight", pins.display());
    }
    for relay in relays {
        relay.kill9().unwrap();
    }
}
