//! A child gets another MAC address: the relay follows, and the other child notices nothing.

use std::time::{Duration, Instant};

use crate::common::{Bench, QUIET, TIMEOUT, lab_for};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology};

/// An announcement is followed in no more than this.
const ANNOUNCED: Duration = Duration::from_secs(1);
const NEW_MAC: &str = "02:00:00:00:be:ef";

modes!(an_announced_change_is_followed_at_once);
modes!(a_silent_change_is_found_out);

fn an_announced_change_is_followed_at_once(mode: Mode) {
    let took = change("mac", mode, true);
    assert!(took < ANNOUNCED, "media stopped for {took:?}");
}

/// Nobody says a word; the relay has to ask now and then.
fn a_silent_change_is_found_out(mode: Mode) {
    change("macsilent", mode, false);
}

/// Gives the longest time for which media did not reach the child.
fn change(test: &str, mode: Mode, announced: bool) -> Duration {
    let lab = lab_for(test, mode);
    let topology = Topology::nic_per_child(&lab, 2).unwrap();
    lab.sysctl("egress-1", "ipv4/conf/eth0/arp_notify", if announced { "1" } else { "0" }).unwrap();
    // Half a minute by default; the relay's questions follow the kernel's idea of how long an answer holds.
    lab.sysctl("relay-1", "ipv4/neigh/eth1/base_reachable_time_ms", "1000").unwrap();
    lab.sysctl("relay-1", "ipv4/neigh/eth1/delay_first_probe_time", "1").unwrap();
    let bench = Bench::attach(&lab, topology, mode, 2);
    let (mover, stayer) = (bench.sink(&[0]), bench.sink(&[1]));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 2_000)).unwrap();
    bench.wait_packets(&mover, 2, 100);
    bench.wait_packets(&stayer, 2, 100);

    let changed = Instant::now();
    lab.set_mac("egress-1", "eth0", NEW_MAC).unwrap();
    // What was on its way when the address changed may still come.
    std::thread::sleep(Duration::from_millis(20));
    let limit = if announced { TIMEOUT } else { 3 * TIMEOUT };
    let before = mover.report()[0].packets;
    let back = mover.wait_until(limit, |flows| flows[0].packets > before + 100);
    assert!(back, "no media for {:?} after the change{}", changed.elapsed(), bench.diagnosis());
    let took = Duration::from_nanos(mover.report().iter().map(|flow| flow.longest_gap_ns).max().unwrap());
    println!("{mode}, announced: {announced}: media stopped for {took:?}");
    if mode != Mode::Userspace {
        let children = bench.cli().json("children").unwrap();
        assert_eq!(children["children"].list()[0]["mac"].text(), NEW_MAC);
    }

    // From here on nothing is lost either.
    let after = bench.sink_again(mover, &[0]);
    bench.wait_packets(&after, 2, 500);
    let sent = source.stop();
    assert!(stayer.wait_quiet(QUIET, TIMEOUT));
    bench.assert_flawless("the child that moved, afterwards", &after.stop());
    bench.assert_all_of("the other child", &stayer.stop(), &sent);
    took
}
