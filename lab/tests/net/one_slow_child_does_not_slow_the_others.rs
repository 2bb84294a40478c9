//! The way to one child takes next to nothing: it loses copies, and says so; the other child gets everything, and in time.

use std::time::Duration;

use crate::common::{Bench, TIMEOUT, eventually, lab_for};
use lab::relay::Mode;
use lab::{Limit, Source, SourceConfig, Topology};

/// Of each of two streams: more than a socket's send buffer of 16 MiB holds, each being counted as 2 KiB and more.
const PACKETS: u64 = 12_000;
const LENGTH: usize = 1200;
/// Longer than any pause of a loaded machine, and nothing to what it takes to empty the slow child's queue.
const LATE: Duration = Duration::from_secs(1);

modes!(a_clogged_interface_harms_only_the_child_behind_it);

fn a_clogged_interface_harms_only_the_child_behind_it(mode: Mode) {
    let lab = lab_for("slow", mode);
    let bench = Bench::attach(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 2);
    let slow = &bench.child(0).relay.interface;
    // Ten packets a second, and a queue that holds all that is sent: what waits there fills the sender's buffer.
    let queue = ["rate", "100kbit", "burst", "3kb", "limit", "200mb"];
    let command = ["tc", "qdisc", "add", "dev", slow, "root", "tbf"];
    lab.run("relay-1", &[&command[..], &queue[..]].concat()).unwrap();
    let other = bench.sink(&[1]);

    let config = SourceConfig::new(bench.flows(), 8_000).limit(Limit::Packets(2 * PACKETS));
    let config = SourceConfig { packet_length: LENGTH, ..config };
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    bench.wait_packets(&other, 2, PACKETS);
    let flows = other.stop();
    bench.assert_complete("the other child", &flows, PACKETS);
    for flow in &flows {
        let latest = Duration::from_nanos(flow.sent.unwrap().max_latency_ns);
        assert!(latest < LATE, "SSRC {}: a packet came {latest:?} late{}", flow.ssrc, bench.diagnosis());
    }
    // XDP goes past the queue, and tc's copies are charged to nobody's buffer.
    if mode == Mode::Userspace {
        let child = |index: usize| bench.cli().json("children").unwrap()["children"].list()[index].clone();
        let refused = || bench.drops("egress-refused");
        eventually("what the slow child did not get is counted", || {
            refused() > 0 && child(0)["packets"].number() + refused() == 2 * PACKETS
        });
        assert_eq!(child(0)["errors"].number(), refused(), "all of it the slow child's");
        assert_eq!((child(1)["packets"].number(), child(1)["errors"].number()), (2 * PACKETS, 0));
    }
}
