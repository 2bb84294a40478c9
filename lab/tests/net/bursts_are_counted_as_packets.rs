//! injection-1 -> relay-1 (sockets) -> relay-2 (in the kernel) -> egress-1. Packets that came together leave relay-1 together,
//! and on a virtual network reach relay-2 as one socket buffer: every packet arrives, and every book says how many.

use crate::common::{Bench, TIMEOUT, eventually, lab_for, name};
use lab::relay::{AUDIO, Mode, RelayConfig, RelayProcess, VIDEO, child_argument};
use lab::{Chain, Flow, Lab, Limit, Sink, Source, SourceConfig};
use nix::sys::signal::Signal;

/// Packets of each flow: more than the kernel takes in a message, and both flows of a burst fit a veth ring.
const BURST: u64 = 100;
const BURSTS: u64 = 5;
const SECOND_MAC: &str = "02:00:00:00:02:01";

modes!(every_packet_arrives_and_is_counted: in_tc_mode = Tc, in_xdp_mode = Xdp);

fn every_packet_arrives_and_is_counted(mode: Mode) {
    let lab = lab_for("bursts", mode);
    let Chain { topology, second } = Chain::bridged(&lab, 1).unwrap();
    let egress = topology.children[0].endpoint.clone();
    // While the kernel asks for a MAC, what waits for the answer may be overtaken by what comes after it.
    lab.set_mac("relay-2", "eth0", SECOND_MAC).unwrap();
    let neighbour = ["ip", "neigh", "replace", &second.v4.to_string(), "lladdr", SECOND_MAC, "dev", "eth0"];
    lab.run("relay-1", &neighbour).unwrap();
    let second_config = RelayConfig::new("relay-2", mode, vec![child_argument(&name(0), egress.v4(0))]);
    let second_relay = RelayProcess::attach(&lab, second_config).unwrap();
    let to_second = vec![child_argument("relay-2", second.v4(0))];
    let config = RelayConfig::new("relay-1", Mode::Userspace, to_second);
    let bench = Bench::attach_with(&lab, topology, config);
    let sink = Sink::bind(&lab, "egress-1", vec![egress.v4(AUDIO), egress.v4(VIDEO)]).unwrap();

    let before = buffers(&lab);
    for burst in 1..=BURSTS {
        // Stopped, relay-1 finds all of a burst at once.
        bench.relay.process().signal(Signal::SIGSTOP).unwrap();
        let (to, ssrc) = (&bench.topology.relay, burst as u32);
        let flows = vec![Flow::audio(ssrc, to.v4(AUDIO)), Flow::video(100 + ssrc, to.v4(VIDEO))];
        let config = SourceConfig::new(flows, 20_000).limit(Limit::Packets(2 * BURST));
        Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
        bench.relay.process().signal(Signal::SIGCONT).unwrap();
        let come = sink.wait_until(TIMEOUT, |flows| {
            flows.iter().map(|flow| flow.packets).sum::<u64>() >= burst * 2 * BURST
        });
        assert!(come, "burst {burst}: {:#?}{}", sink.report(), bench.diagnosis());
    }
    let (sent, buffers) = (2 * BURST * BURSTS, buffers(&lab) - before);
    println!("{mode}: {sent} packets came to relay-2 in {buffers} socket buffers");
    match mode {
        Mode::Tc => assert!(buffers < sent / 4, "the test is for packets that come together: {buffers}"),
        // The kernel cuts what goes to an XDP program.
        _ => assert!(buffers >= sent, "{buffers}"),
    }
    let flows = sink.stop();
    assert_eq!(flows.len() as u64, 2 * BURSTS);
    bench.assert_complete("egress-1", &flows, BURST);
    for relay in [&bench.relay, &second_relay] {
        let cli = relay.cli();
        let packets = || cli.json("children").unwrap()["children"].list()[0]["packets"].number();
        eventually("all are counted", || packets() >= sent);
        let children = cli.json("children").unwrap();
        let counts =
            ["packets", "bytes", "errors"].map(|counter| children["children"].list()[0][counter].number());
        assert_eq!(counts, [sent, sent * 200, 0]);
        let streams = cli.json("streams").unwrap();
        assert_eq!(streams["streams"].list().len() as u64, 2 * BURSTS);
        for stream in streams["streams"].list() {
            let counts = ["packets", "bytes", "lost"].map(|counter| stream[counter].number());
            assert_eq!(counts, [BURST, BURST * 200, 0], "{stream:?}");
        }
    }
}

/// Socket buffers that have come to relay-2.
fn buffers(lab: &Lab) -> u64 {
    let text = lab.run("relay-2", &["ip", "-s", "-s", "-json", "link", "show", "eth0"]).unwrap();
    let (_, received) = text.split_once("\"rx\":").unwrap();
    let (_, packets) = received.split_once("\"packets\":").unwrap();
    packets.split(|end: char| !end.is_ascii_digit()).next().unwrap().parse().unwrap()
}
