//! What is not media for this relay goes on to the host's own network stack, untouched and counted by reason.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::common::{Bench, TIMEOUT, any_socket, eventually, lab_for, receive, socket, v4_argument};
use lab::relay::{Mode, RelayConfig, VIDEO};
use lab::{Flow, Limit, Source, SourceConfig, Topology};

modes!(stun_and_dtls_on_the_media_port_reach_a_socket: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(other_ports_and_protocols_work_as_before);
modes!(packets_to_another_address_are_routed_not_taken);

/// (what, packet, reason it is counted by)
const FOREIGN: [(&str, &[u8], &str); 4] = [
    ("a STUN binding request", b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes", "not-rtp"),
    ("a DTLS client hello", b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "not-rtp"),
    ("RTP version 1", b"\x40\x60\x00\x01\x00\x00\x00\x00\x00\x00\x22\xb8 payload", "not-rtp"),
    ("too short for RTP", b"\x80\x60\x00\x01\x00\x00", "rtp-runt"),
];

fn stun_and_dtls_on_the_media_port_reach_a_socket(mode: Mode) {
    let lab = lab_for("stun", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let child = socket(&lab, "egress", bench.child(0).endpoint.v4(VIDEO));
    let relay = bench.topology.relay.v4(VIDEO);
    let stack = socket(&lab, "relay-1", relay);
    let sender = any_socket(&lab, "injection-1", false);
    for (what, packet, reason) in FOREIGN {
        let before = bench.drops(reason);
        sender.send_to(packet, relay).unwrap();
        assert_eq!(receive(&stack).0, packet, "{what}");
        assert_eq!(bench.drops(reason), before + 1, "{what}");
    }
    // A good packet goes to the child, and is the first thing it sees.
    let media = [&b"\x80\x60\x00\x01\x00\x00\x00\x00\x00\x00\x22\xb8"[..], &[7; 100]].concat();
    sender.send_to(&media, relay).unwrap();
    assert_eq!(receive(&child).0, media);
    stack.set_nonblocking(true).unwrap();
    assert!(stack.recv(&mut [0; 64]).is_err(), "media does not reach the stack");
}

fn other_ports_and_protocols_work_as_before(mode: Mode) {
    let lab = lab_for("stack", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let children = vec![v4_argument(&topology, 0)];
    let config = RelayConfig::new("relay-1", mode, children).with(&["--api", "0.0.0.0:7071"]);
    let bench = Bench::attach_with(&lab, topology, config);
    let relay = &bench.topology.relay;
    let other_port = socket(&lab, "relay-1", relay.v4(9_999));
    any_socket(&lab, "injection-1", false).send_to(b"\x80hello, other port", relay.v4(9_999)).unwrap();
    assert_eq!(receive(&other_port).0, b"\x80hello, other port");
    lab.run("injection-1", &["ping", "-c", "2", "-i", "0.05", "-W", "2", &relay.v4.to_string()]).unwrap();
    lab.run("injection-1", &["ping", "-c", "2", "-i", "0.05", "-W", "2", &relay.v6.to_string()]).unwrap();

    let mut api = lab
        .in_namespace("injection-1", || TcpStream::connect_timeout(&relay.v4(7_071), TIMEOUT))
        .unwrap()
        .unwrap();
    api.set_read_timeout(Some(TIMEOUT)).unwrap();
    api.write_all(b"GET /status HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    api.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"nodeType\":\"relay\""), "{answer}");
    if mode != Mode::Userspace {
        assert!(bench.drops("unknown-port") >= 1);
        assert!(bench.drops("not-udp") >= 4, "two pings and a TCP connection");
    }
}

fn packets_to_another_address_are_routed_not_taken(mode: Mode) {
    let lab = lab_for("transit", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 2).unwrap(), mode, 2);
    // The relay's host is the router between injection-1 and the children, too.
    lab.sysctl("relay-1", "ipv4/ip_forward", "1").unwrap();
    lab.route("injection-1", "10.0.2.0/24", &bench.topology.relay.v4.to_string()).unwrap();
    lab.route("egress", "10.0.1.0/24", &bench.child(0).relay.v4.to_string()).unwrap();
    let sink = bench.sink(&[0, 1]);
    let flows = vec![Flow::video(5, bench.child(0).endpoint.v4(VIDEO))];
    let config = SourceConfig::new(flows, 1_000).limit(Limit::Packets(200));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    eventually("the routed packets arrive", || {
        sink.report().iter().map(|flow| flow.packets).sum::<u64>() >= 200
    });
    let flows = sink.stop();
    let [flow] = &flows[..] else { panic!("only the child they were sent to: {flows:#?}") };
    assert_eq!(flow.source.ip(), bench.topology.injection.v4, "routed, not relayed");
    bench.assert_complete("the child they were sent to", &flows, 200);
    if mode != Mode::Userspace {
        assert!(bench.drops("not-local") >= 200);
        assert_eq!(bench.cli().json("status").unwrap()["dataplane"]["packets"].number(), 0);
    }
}
