//! RTCP goes down to all children like RTP, on its own port and muxed on the RTP port (RFC 5761); a child's own reports
//! do not go down to its siblings.

use std::net::UdpSocket;

use crate::common::{Bench, any_socket, eventually, lab_for, receive, socket};
use lab::Topology;
use lab::relay::{AUDIO, Mode, VIDEO};

modes!(sender_reports_reach_every_child_at_the_right_port);
modes!(a_childs_receiver_reports_do_not_reach_its_siblings);

/// A sender report (200) or an empty receiver report (201) with a serial number in place of an SSRC.
fn report(packet_type: u8, serial: u32) -> Vec<u8> {
    let words: u16 = if packet_type == 200 { 6 } else { 1 };
    let mut packet = vec![0x80, packet_type];
    packet.extend_from_slice(&words.to_be_bytes());
    packet.extend_from_slice(&serial.to_be_bytes());
    packet.resize(4 * (usize::from(words) + 1), 0x5a);
    packet
}

fn sender_reports_reach_every_child_at_the_right_port(mode: Mode) {
    let lab = lab_for("rtcp", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 3).unwrap(), mode, 3);
    let ports = [AUDIO, AUDIO + 1, VIDEO, VIDEO + 1];
    let sockets: Vec<UdpSocket> = bench
        .topology
        .children
        .iter()
        .flat_map(|child| ports.map(|port| socket(&lab, "egress", child.endpoint.v4(port))))
        .collect();
    let sender = any_socket(&lab, "injection-1", false);
    for round in 0..20 {
        for (port, serial) in ports.into_iter().zip(4 * round..) {
            sender.send_to(&report(200, serial), bench.topology.relay.v4(port)).unwrap();
        }
        for (index, socket) in sockets.iter().enumerate() {
            let (packet, from) = receive(socket);
            let serial = 4 * round + index as u32 % 4;
            assert_eq!(packet, report(200, serial), "at {:?}", socket.local_addr());
            assert_eq!(from.ip(), bench.child(0).relay.v4, "RTCP comes from the relay");
        }
    }
    for socket in &sockets {
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 64]).is_err(), "one too many at {:?}", socket.local_addr());
    }
}

fn a_childs_receiver_reports_do_not_reach_its_siblings(mode: Mode) {
    let lab = lab_for("rr", mode);
    // One NIC for everything, as feedback comes in where media does.
    let bench = Bench::attach(&lab, Topology::bridged(&lab, 3).unwrap(), mode, 3);
    let sockets: Vec<UdpSocket> = (0..3)
        .map(|index| {
            let endpoint = &bench.child(index).endpoint;
            socket(&lab, &endpoint.namespace, endpoint.v4(VIDEO + 1))
        })
        .collect();
    let relay = bench.topology.relay.v4(VIDEO + 1);
    let before = bench.drops("rtcp-from-child");
    for serial in 0..10 {
        sockets[0].send_to(&report(201, serial), relay).unwrap();
    }
    eventually("the child's reports are counted", || bench.drops("rtcp-from-child") == before + 10);
    // Whatever the siblings had been sent would come before this.
    any_socket(&lab, "injection-1", false).send_to(&report(200, 99), relay).unwrap();
    for socket in &sockets {
        assert_eq!(receive(socket).0, report(200, 99), "at {:?}", socket.local_addr());
    }
}
