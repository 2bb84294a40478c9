//! Eight children behind one NIC each get every packet once, in order and unharmed, at 50,000 packets a second.

use crate::common;
use crate::common::{Bench, TIMEOUT, lab_for};
use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{Limit, Source, SourceConfig, Topology};

const CHILDREN: usize = 8;
const SECONDS: u64 = 3;

modes!(every_child_gets_every_packet_once);

fn every_child_gets_every_packet_once(mode: Mode) {
    // The sockets' own limit on two cores, with the sender and eight receivers on the same machine.
    let rate = if mode == Mode::Userspace { 15_000 } else { 50_000 };
    let lab = lab_for("fan", mode);
    let topology = Topology::one_nic(&lab, CHILDREN).unwrap();
    let bench = Bench::attach(&lab, topology, mode, CHILDREN);
    let sink = bench.sink(&Vec::from_iter(0..CHILDREN));

    let config = SourceConfig::new(bench.flows(), rate).limit(Limit::Packets(rate * SECONDS));
    let sent = Source::start(&lab, "injection-1", config).unwrap().wait(2 * TIMEOUT).unwrap();
    let each = rate * SECONDS / 2;
    sink.wait_until(TIMEOUT, |flows| {
        flows.iter().map(|flow| flow.packets).sum::<u64>() >= 2 * each * CHILDREN as u64
    });
    let flows = sink.stop();
    println!("{mode}: {:.0} packets/s to {CHILDREN} children, worst lag {:?}", sent.rate(), sent.worst_lag);

    assert_eq!(flows.len(), 2 * CHILDREN, "two flows for each child{}", bench.diagnosis());
    bench.assert_complete("every child", &flows, each);
    for flow in &flows {
        // A copy comes from the port that the relay listens on, at its address towards the child.
        let port = if flow.ssrc == common::AUDIO_SSRC { AUDIO } else { VIDEO };
        assert_eq!((flow.source, flow.source_changes), (bench.child(0).relay.v4(port), 0));
        assert_eq!(flow.socket.port(), port);
    }
    let children = bench.cli().json("children").unwrap();
    for child in children["children"].list() {
        let counts = ["packets", "bytes", "errors"].map(|counter| child[counter].number());
        assert_eq!(counts, [2 * each, 2 * each * 200, 0], "{}", child["name"].text());
    }
    // The source stretches time on a busy machine and in a debug build, but the promise is about this rate.
    let fast_enough = cfg!(debug_assertions) || sent.rate() > rate as f64 * 0.6;
    assert!(fast_enough, "the machine is too busy: only {:.0} packets/s were sent", sent.rate());
}
