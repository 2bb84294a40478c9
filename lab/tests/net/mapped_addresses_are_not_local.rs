//! An IPv6 packet whose addresses are IPv4 ones in disguise (`::ffff:10.0.1.1`, RFC 4291 section 2.5.5.2) is nothing to an IPv4
//! listener, and comes from no IPv4 child. A child that is written so is reached by IPv4.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use crate::common::frame::{RawLink, mac, udp6};
use crate::common::{Bench, any_socket, lab_for, receive, socket};
use lab::relay::{Mode, RelayConfig, VIDEO};
use lab::{Source, SourceConfig, Topology, rtp};

modes!(neither_media_nor_feedback_is_taken_from_them);
modes!(a_child_that_is_written_so_gets_ipv4);

fn a_child_that_is_written_so_gets_ipv4(mode: Mode) {
    let lab = lab_for("mappedchild", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let child = format!("egress-1=[{}]:5002:5004", topology.children[0].endpoint.v4.to_ipv6_mapped());
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, vec![child]));
    let sink = bench.sink(&[0]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 100);
    drop(source);
}

fn at(address: Ipv6Addr, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address, port, 0, 0)
}

fn media(sequence: u16) -> Vec<u8> {
    rtp::packet(8888, sequence)
}

fn neither_media_nor_feedback_is_taken_from_them(mode: Mode) {
    let lab = lab_for("mapped", mode);
    let bench = Bench::attach(&lab, Topology::bridged(&lab, 1).unwrap(), mode, 1);
    let (injection, relay) = (&bench.topology.injection, &bench.topology.relay);
    let child = bench.child(0).endpoint.clone();
    let heard = socket(&lab, &child.namespace, child.v4(VIDEO));
    let macs = [mac(&lab, injection), mac(&lab, relay)];
    let mapped = |address: Ipv4Addr| address.to_ipv6_mapped();
    let mut link = RawLink::open(&lab, injection);
    let mut send = |from: SocketAddrV6, to: SocketAddrV6, payload: &[u8]| {
        link.send(&udp6(macs, from, to, payload));
    };
    send(at(injection.v6, 6004), at(mapped(relay.v4), VIDEO), &media(1));
    send(at(mapped(injection.v4), 6004), at(mapped(relay.v4), VIDEO), &media(2));
    send(at(mapped(injection.v4), 6004), at(relay.v6, VIDEO), &media(3));
    // Feedback of a child would be counted as one's.
    let pli = rtp::pli(8888);
    send(at(mapped(child.v4), VIDEO + 1), at(relay.v6, VIDEO + 1), &pli);

    // The same frame with real addresses arrives, so it is well made; so does what comes by IPv4.
    if mode == Mode::Userspace {
        send(at(injection.v6, 6004), at(relay.v6, VIDEO), &media(4));
        assert_eq!(receive(&heard).0, media(4), "{}", bench.diagnosis());
    }
    any_socket(&lab, "injection-1", false).send_to(&media(5), relay.v4(VIDEO)).unwrap();
    assert_eq!(receive(&heard).0, media(5), "{}", bench.diagnosis());
    assert_eq!(bench.drops("rtcp-from-child"), 0);
    let streams = bench.cli().json("streams").unwrap();
    assert_eq!(streams["streams"].list().len(), 1);
}
