//! Tables of {description, packet in, verdict, packet out, counter} for the ingress programs, run by the kernel itself
//! (`BPF_PROG_TEST_RUN`): every header form, and every reason that a packet can bring about.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod kernel_support;

use std::collections::BTreeSet;

use kernel_support::frames::{Checksum, Datagram, SERVICE_TAG, TAG, rtcp, rtp};
use kernel_support::{
    AUDIO, Child, Ip, Kernel, MARK, RELAY_MAC, Ran, TC_NEXT, TC_REDIRECT, TC_SHOT, Tap, VIDEO, XDP_DROP,
    XDP_PASS, XDP_REDIRECT, key, media, with_kernel,
};
use relay_common::layout::{self, TOKEN_MAGIC, TOKEN_PORT_SHIFT, TOKEN_RTCP, TOKEN_V6};
use relay_common::reason::{Fate, Reason};
use relay_common::rewrite;
use relay_ctl::kernel::Mode;

/// Streams whose children are all IPv4 or all IPv6, and one that has none.
const SSRC_V4: u32 = 4;
const SSRC_V6: u32 = 6;
const SSRC_NOBODY: u32 = 9;

const V4_CHILDREN: [Child; 2] = [
    Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] },
    Child { id: 1, nic: 2, ip: Ip::V4, ports: [6102, 6104] },
];
const V6_CHILDREN: [Child; 2] = [
    Child { id: 2, nic: 1, ip: Ip::V6, ports: [5002, 5004] },
    Child { id: 3, nic: 2, ip: Ip::V6, ports: [7102, 7104] },
];

struct Row {
    what: String,
    packet: Vec<u8>,
    outcome: Outcome,
}

enum Outcome {
    /// Forwarded; this is what was in the packet.
    Copied(Datagram),
    /// To the stack or dropped, as the reason's fate says.
    Refused(Reason),
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn copied(&mut self, what: &str, datagram: Datagram) {
        let what = format!("{what}, {}", if datagram.source.is_ipv4() { "IPv4" } else { "IPv6" });
        self.0.push(Row { what, packet: datagram.bytes(), outcome: Outcome::Copied(datagram) });
    }

    fn refused(&mut self, reason: Reason, what: impl Into<String>, packet: Vec<u8>) {
        self.0.push(Row { what: what.into(), packet, outcome: Outcome::Refused(reason) });
    }
}

fn table(mode: Mode) -> Vec<Row> {
    let mut table = Table::default();
    for ip in [Ip::V4, Ip::V6] {
        copied(&mut table, ip, mode);
        runts(&mut table, ip, mode);
        wrong_lengths(&mut table, ip);
        not_for_the_relay(&mut table, ip);
        not_media(&mut table, ip);
        refused_late(&mut table, ip);
    }
    not_plain_ip(&mut table);
    tags(&mut table, mode);
    table.0
}

/// An RTP packet of the stream whose children have that IP version.
fn plain(ip: Ip) -> Datagram {
    media(ip, rtp(ssrc_of(ip), 1, 172))
}

fn ssrc_of(ip: Ip) -> u32 {
    if ip == Ip::V4 { SSRC_V4 } else { SSRC_V6 }
}

fn to_port(port: u16, mut datagram: Datagram) -> Datagram {
    datagram.destination.set_port(port);
    datagram
}

/// What is forwarded.
fn copied(table: &mut Table, ip: Ip, mode: Mode) {
    let sized = |length| media(ip, rtp(ssrc_of(ip), 2, length));
    table.copied("RTP to the video port", plain(ip));
    table.copied("RTP to the audio port", to_port(AUDIO, plain(ip)));
    table.copied("RTCP to the video RTCP port", to_port(VIDEO + 1, media(ip, rtcp(ssrc_of(ip)))));
    table.copied("RTCP to the audio RTCP port", to_port(AUDIO + 1, media(ip, rtcp(ssrc_of(ip)))));
    table.copied("RTCP to the RTP port (RFC 5761)", media(ip, rtcp(ssrc_of(ip))));
    table.copied("the shortest RTCP", to_port(VIDEO + 1, media(ip, rtcp(ssrc_of(ip))[..8].to_vec())));
    table.copied("the shortest RTP, padded to the shortest frame", Datagram { padding: 6, ..sized(12) });
    table.copied("an odd number of bytes", sized(1_001));
    table.copied("a full frame", sized(if ip == Ip::V4 { 1_472 } else { 1_452 }));
    table.copied("TTL 2", Datagram { ttl: 2, ..plain(ip) });
    table.copied("TTL 255", Datagram { ttl: 255, ..plain(ip) });
    for second in [0x00, 0x60 | 0x80, 0x3f, 191, 224, 255] {
        let mut datagram = plain(ip);
        datagram.payload[1] = second;
        table.copied(&format!("RTP whose second byte is {second}"), datagram);
    }
    for first in [0x81, 0x90, 0xa0, 0xbf] {
        let mut datagram = plain(ip);
        datagram.payload[0] = first;
        table.copied(&format!("RTP whose first byte is {first:#x}"), datagram);
    }
    if ip == Ip::V4 {
        table.copied("no UDP checksum", Datagram { checksum: Checksum::None, ..plain(ip) });
    }
    if mode == Mode::Xdp {
        // What hardware was to finish; a socket buffer's flag says it to tc, and a test run has no such flag.
        for length in [12, 13, 63, 64, 65, 120, 121, 1_001, 1_452, 3_000] {
            let datagram = Datagram { checksum: Checksum::Partial, ..sized(length) };
            table.copied(&format!("a partial checksum, {length} bytes of RTP"), datagram);
        }
        table.copied("a VLAN tag", Datagram { tags: vec![TAG], ..plain(ip) });
        table.copied("a priority tag", Datagram { tags: vec![[0x81, 0, 0xe0, 0]], ..plain(ip) });
        let partial = Datagram { checksum: Checksum::Partial, ..plain(ip) };
        table.copied("a VLAN tag and a partial checksum", Datagram { tags: vec![TAG], ..partial });
        table.copied("a VLAN tag and padding", Datagram { tags: vec![TAG], padding: 3, ..sized(12) });
    }
}

/// Cut off at every byte.
fn runts(table: &mut Table, ip: Ip, mode: Mode) {
    // The stack has taken the tag when tc sees the packet.
    let forms = if mode == Mode::Xdp { vec![vec![], vec![TAG]] } else { vec![vec![]] };
    for tags in forms {
        let datagram = Datagram { tags, ..plain(ip) };
        let headers = datagram.udp_at() + 8;
        let bytes = datagram.bytes();
        // The least that the kernel accepts for a test run: an Ethernet header, for tc an IP header as well.
        let least = if mode == Mode::Xdp { 14 } else { datagram.udp_at() };
        for length in least..bytes.len() {
            let reason = if length < headers { Reason::Runt } else { Reason::BadLength };
            let what = format!("{ip:?}, {} tags, cut to {length} bytes", datagram.tags.len());
            table.refused(reason, what, bytes[..length].to_vec());
        }
    }
}

fn wrong_lengths(table: &mut Table, ip: Ip) {
    let datagram = plain(ip);
    let (ip_at, udp_length_at) = (datagram.ip_at(), datagram.udp_at() + 4);
    let right = 8 + datagram.payload.len() as u16;
    for length in [0, 7, right - 1, right + 1, 0xffff] {
        let packet = datagram.with(udp_length_at, &length.to_be_bytes());
        table.refused(Reason::BadLength, format!("{ip:?}, UDP length {length} of {right}"), packet);
    }
    let (at, right) = if ip == Ip::V4 { (ip_at + 2, right + 20) } else { (ip_at + 4, right) };
    for length in [0, 8, right - 1, right + 1, 0xffff] {
        let packet = datagram.with(at, &length.to_be_bytes());
        table.refused(Reason::BadLength, format!("{ip:?}, IP length {length} of {right}"), packet);
    }
    // Consistent with each other, but longer than the frame.
    let mut packet = datagram.with(at, &(right + 1).to_be_bytes());
    packet[udp_length_at..][..2].copy_from_slice(&(9 + datagram.payload.len() as u16).to_be_bytes());
    table.refused(Reason::BadLength, format!("{ip:?}, one byte missing"), packet);
}

fn not_for_the_relay(table: &mut Table, ip: Ip) {
    for (what, mac) in [
        ("another station's MAC", [0x02, 0, 0, 0, 1, 9]),
        ("the broadcast MAC", [0xff; 6]),
        ("a multicast MAC", [0x01, 0, 0x5e, 0, 0, 1]),
    ] {
        let packet = Datagram { destination_mac: mac, ..plain(ip) }.bytes();
        table.refused(Reason::NotLocal, format!("{ip:?}, {what}"), packet);
    }
    let datagram = plain(ip);
    let last_byte_of_destination = datagram.udp_at() - 1;
    table.refused(
        Reason::NotLocal,
        format!("{ip:?}, another address"),
        datagram.with(last_byte_of_destination, &[99]),
    );
    for port in [1, AUDIO - 1, AUDIO + 2 + 2, 0xffff] {
        let packet = to_port(port, plain(ip)).bytes();
        table.refused(Reason::UnknownPort, format!("{ip:?}, port {port}"), packet);
    }
    table.refused(Reason::UnknownPort, format!("{ip:?}, port 0"), to_port(0, plain(ip)).bytes());
}

fn not_media(table: &mut Table, ip: Ip) {
    for (what, first) in [
        ("STUN", 0x00),
        ("ZRTP", 0x10),
        ("DTLS", 0x16),
        ("RTP version 1, or a TURN channel", 0x40),
        ("noise", 0x7f),
        ("QUIC", 0xc0),
    ] {
        let mut payload = rtp(ssrc_of(ip), 1, 40);
        payload[0] = first;
        for port in [VIDEO, AUDIO + 1] {
            let packet = to_port(port, media(ip, payload.clone())).bytes();
            table.refused(Reason::NotRtp, format!("{ip:?}, {what} to port {port}"), packet);
        }
    }
    let packet = to_port(VIDEO + 1, plain(ip)).bytes();
    table.refused(Reason::NotRtp, format!("{ip:?}, RTP to the RTCP port"), packet);
    for length in [0, 1, 7, 8, 11] {
        let packet = media(ip, rtp(ssrc_of(ip), 1, 12)[..length].to_vec()).bytes();
        table.refused(Reason::RtpRunt, format!("{ip:?}, {length} bytes of RTP"), packet);
    }
    for length in [0, 7] {
        let packet = to_port(VIDEO + 1, media(ip, rtcp(ssrc_of(ip))[..length].to_vec())).bytes();
        table.refused(Reason::RtpRunt, format!("{ip:?}, {length} bytes of RTCP"), packet);
    }
    // Ethernet padding must not be taken for RTP.
    let padded = Datagram { padding: 20, ..media(ip, rtp(ssrc_of(ip), 1, 12)[..8].to_vec()) };
    table.refused(Reason::RtpRunt, format!("{ip:?}, 8 bytes of RTP and padding"), padded.bytes());
}

/// Media, but not to be forwarded.
fn refused_late(table: &mut Table, ip: Ip) {
    for ttl in [0, 1] {
        let packet = Datagram { ttl, ..plain(ip) }.bytes();
        table.refused(Reason::TtlExpired, format!("{ip:?}, TTL {ttl}"), packet);
    }
    if ip == Ip::V6 {
        let packet = Datagram { checksum: Checksum::None, ..plain(ip) }.bytes();
        table.refused(Reason::NoChecksum6, "no UDP checksum", packet);
    }
    let child = if ip == Ip::V4 { V4_CHILDREN[1] } else { V6_CHILDREN[1] };
    for port in child.ports {
        for from in [port, port + 1] {
            let feedback = Datagram { source: (child.address(), from).into(), ..media(ip, rtcp(1)) };
            for to in [VIDEO, VIDEO + 1, AUDIO + 1] {
                let packet = to_port(to, feedback.clone()).bytes();
                table.refused(
                    Reason::RtcpFromChild,
                    format!("{ip:?}, RTCP from a child's port {from} to {to}"),
                    packet,
                );
            }
        }
    }
    let nobody = |payload| media(ip, payload).bytes();
    table.refused(Reason::NoChildren, format!("{ip:?}, RTP for nobody"), nobody(rtp(SSRC_NOBODY, 1, 50)));
    table.refused(Reason::NoChildren, format!("{ip:?}, RTCP for nobody"), nobody(rtcp(SSRC_NOBODY)));
}

/// IP that is not a plain UDP packet, and what is not IP.
fn not_plain_ip(table: &mut Table) {
    let (v4, v6) = (plain(Ip::V4), plain(Ip::V6));
    let arp = |ethertype: [u8; 2]| {
        [&RELAY_MAC[..], &[2, 0, 0, 0, 1, 2], &ethertype, &[0, 1, 8, 0, 6, 4, 0, 1], &[0; 38]].concat()
    };
    table.refused(Reason::NotIp, "ARP", arp([0x08, 0x06]));
    table.refused(Reason::NotIp, "LLDP", arp([0x88, 0xcc]));
    table.refused(Reason::NotIp, "IEEE 802.3 with a length", arp([0x00, 0x26]));
    table.refused(Reason::NotIp, "version 6 in an IPv4 frame", v4.with(14, &[0x65]));
    table.refused(Reason::NotIp, "version 4 in an IPv6 frame", v6.with(14, &[0x45]));
    for words in 0..5 {
        table.refused(
            Reason::BadLength,
            format!("an IPv4 header of {words} words"),
            v4.with(14, &[0x40 | words]),
        );
    }
    for words in 6..16 {
        table.refused(
            Reason::IpOptions,
            format!("an IPv4 header of {words} words"),
            v4.with(14, &[0x40 | words]),
        );
    }
    for (what, flags) in [
        ("the first fragment", [0x20, 0x00]),
        ("a fragment in the middle", [0x20, 0x10]),
        ("the last fragment", [0x00, 0x10]),
        ("the furthest fragment", [0x1f, 0xff]),
        ("a fragment that must not be one", [0x60, 0x00]),
    ] {
        table.refused(Reason::Fragment, what, v4.with(20, &flags));
    }
    table.refused(Reason::Fragment, "an IPv6 fragment", v6.with(20, &[44]));
    for next in [0, 43, 50, 51, 60, 135, 139, 140] {
        table.refused(Reason::ExtensionHeader, format!("IPv6 extension header {next}"), v6.with(20, &[next]));
    }
    for (what, protocol) in [("ICMP", 1), ("TCP", 6), ("SCTP", 132), ("UDP-Lite", 136)] {
        table.refused(Reason::NotUdp, format!("{what} over IPv4"), v4.with(23, &[protocol]));
    }
    for (what, protocol) in [("ICMPv6", 58), ("TCP", 6), ("nothing", 59), ("ICMP", 1)] {
        table.refused(Reason::NotUdp, format!("{what} over IPv6"), v6.with(20, &[protocol]));
    }
}

fn tags(table: &mut Table, mode: Mode) {
    for ip in [Ip::V4, Ip::V6] {
        for (what, tags) in [
            ("two VLAN tags", vec![TAG, TAG]),
            ("a service tag", vec![SERVICE_TAG]),
            ("a service tag and a VLAN tag", vec![SERVICE_TAG, TAG]),
            ("a VLAN tag and a service tag", vec![TAG, SERVICE_TAG]),
        ] {
            let packet = Datagram { tags, ..plain(ip) }.bytes();
            table.refused(Reason::StackedVlan, format!("{ip:?}, {what}"), packet);
        }
        if mode == Mode::Tc {
            // The stack has taken the outer tag: one that is still in the packet is the second.
            let packet = Datagram { tags: vec![TAG], ..plain(ip) }.bytes();
            table.refused(
                Reason::StackedVlan,
                format!("{ip:?}, a tag behind the one that was taken"),
                packet,
            );
        }
    }
    let mut arp = [&RELAY_MAC[..], &[2, 0, 0, 0, 1, 2], &TAG, &[0x08, 0x06]].concat();
    arp.resize(64, 0);
    table.refused(Reason::NotIp, "ARP with a VLAN tag", arp);
}

/// Children and routes that the tables count on.
fn populate(kernel: &mut Kernel<'_>) {
    kernel.children(
        &[V4_CHILDREN, V6_CHILDREN].concat(),
        &[(SSRC_V4, &V4_CHILDREN), (SSRC_V6, &V6_CHILDREN), (SSRC_NOBODY, &[])],
    );
}

fn children_of(datagram: &Datagram) -> [Child; 2] {
    if datagram.source.is_ipv4() { V4_CHILDREN } else { V6_CHILDREN }
}

/// A refused packet is counted once, and comes out as it went in.
fn check_refused(what: &str, packet: &[u8], reason: Reason, ran: &Ran, mode: Mode) {
    let verdict = match (mode, reason.fate()) {
        (Mode::Xdp, Fate::Stack) => XDP_PASS,
        (Mode::Xdp, _) => XDP_DROP,
        (_, Fate::Stack) => TC_NEXT,
        (_, _) => TC_SHOT,
    };
    assert_eq!(ran.counted, [(reason, 1)], "{what}");
    assert_eq!(ran.verdict, verdict, "{what}");
    assert_eq!(ran.packet, packet, "{what}: the packet was touched");
    assert!(ran.metadata.is_empty(), "{what}");
    if mode == Mode::Tc {
        assert_eq!(ran.mark, MARK, "{what}");
    }
}

/// What all copies have in common: as the XDP program leaves the packet.
fn normalised(datagram: &Datagram) -> Datagram {
    let mut source = datagram.source;
    source.set_port(datagram.destination.port());
    let checksum = match (datagram.checksum, datagram.source.is_ipv4()) {
        // Legal on IPv4; on IPv6 it must be there.
        (Checksum::Partial, true) => Checksum::None,
        (Checksum::Partial, false) => Checksum::Right,
        (checksum, _) => checksum,
    };
    Datagram { source, ttl: datagram.ttl - 1, tags: Vec::new(), checksum, ..datagram.clone() }
}

/// What the XDP program leaves is open: its checksums lack what differs between the copies. Closed for the very address
/// that it came to, it is what [`normalised`] says.
fn closed(packet: &[u8], datagram: &Datagram) -> Vec<u8> {
    let (source, destination) = (datagram.source.ip(), datagram.destination.ip());
    let (from, to) = (relay_ctl::relay::mapped(source), relay_ctl::relay::mapped(destination));
    let child = layout::Child {
        destination_mac: datagram.destination_mac,
        source_mac: datagram.source_mac,
        ethertype: if source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] },
        reserved: [0; 2],
        source: from,
        destination: to,
        ports: [0; 2],
        address_sum: rewrite::address_sum(&from, &to, source.is_ipv4()),
        ifindex: 0,
        counter: 0,
    };
    let mut packet = packet.to_vec();
    let port = datagram.destination.port();
    match source.is_ipv4() {
        true => rewrite::close_v4(packet.first_chunk_mut().unwrap(), &child, port),
        false => rewrite::close_v6(packet.first_chunk_mut().unwrap(), &child, port),
    }
    packet
}

fn check_token(what: &str, kernel: &Kernel<'_>, datagram: &Datagram, metadata: &[u8], serial: &mut u32) {
    let word = |at: usize| u32::from_ne_bytes(metadata[4 * at..4 * at + 4].try_into().unwrap());
    let port = datagram.destination.port();
    let (pair, kind) = if port < VIDEO { (AUDIO, 0) } else { (VIDEO, 1) };
    let ssrc = if datagram.source.is_ipv4() { SSRC_V4 } else { SSRC_V6 };
    let set = kernel.plane.maps().routes.get(&key(pair, ssrc), 0).unwrap();
    let instance = kernel.plane.maps().sets.get(&set, 0).unwrap();
    let mut flags = kind | u32::from(datagram.source.port()) << TOKEN_PORT_SHIFT;
    if port != pair {
        flags |= TOKEN_RTCP;
    }
    if !datagram.source.is_ipv4() {
        flags |= TOKEN_V6;
    }
    assert_eq!(metadata.len(), 16, "{what}");
    assert_eq!((word(0), word(1), word(3)), (TOKEN_MAGIC, instance, flags), "{what}");
    assert_ne!(word(2), *serial, "{what}: each packet has a serial of its own");
    *serial = word(2);
}

#[test]
fn every_packet_in_the_table_leaves_the_xdp_program_as_it_should() {
    with_kernel("table", Mode::Xdp, |kernel| {
        populate(kernel);
        let mut serial = 0;
        for Row { what, packet, outcome } in table(Mode::Xdp) {
            let ran = kernel.run(&packet);
            match outcome {
                Outcome::Refused(reason) => check_refused(&what, &packet, reason, &ran, Mode::Xdp),
                Outcome::Copied(datagram) => {
                    assert_eq!((ran.verdict, &ran.counted[..]), (XDP_REDIRECT, &[][..]), "{what}");
                    assert_eq!(closed(&ran.packet, &datagram), normalised(&datagram).bytes(), "{what}");
                    check_token(&what, kernel, &datagram, &ran.metadata, &mut serial);
                }
            }
        }
    });
}

#[test]
fn every_packet_in_the_table_leaves_the_tc_program_as_it_should() {
    with_kernel("table", Mode::Tc, |kernel| {
        populate(kernel);
        let mut tap = Tap::open(kernel.lab, 1);
        for Row { what, packet, outcome } in table(Mode::Tc) {
            let before = children_of_outcome(&outcome).map(|child| kernel.stats(&child));
            let ran = kernel.run(&packet);
            match outcome {
                Outcome::Refused(reason) => check_refused(&what, &packet, reason, &ran, Mode::Tc),
                Outcome::Copied(datagram) => {
                    let [first, last] = children_of(&datagram);
                    assert_eq!((ran.verdict, &ran.counted[..]), (TC_REDIRECT, &[][..]), "{what}");
                    assert_eq!(ran.mark, 0, "{what}: the mark must not steer the copies");
                    assert_eq!(
                        tap.take(1),
                        [first.copy_of(&datagram).bytes()],
                        "{what}: the first child's copy"
                    );
                    assert_eq!(ran.packet, last.copy_of(&datagram).bytes(), "{what}: the last child's copy");
                    for (child, before) in [first, last].into_iter().zip(before) {
                        let after = kernel.stats(&child);
                        assert_eq!(after.packets, before.packets + 1, "{what}");
                        assert_eq!(after.bytes, before.bytes + datagram.payload.len() as u64, "{what}");
                        assert_eq!(after.errors, 0, "{what}");
                    }
                }
            }
        }
        assert_eq!(tap.rest(), Vec::<Vec<u8>>::new(), "no copy that no row speaks of");
    });
}

fn children_of_outcome(outcome: &Outcome) -> [Child; 2] {
    match outcome {
        Outcome::Copied(datagram) => children_of(datagram),
        Outcome::Refused(_) => V4_CHILDREN,
    }
}

#[test]
fn streams_are_counted_by_what_the_packets_say() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("stats", mode, |kernel| {
            populate(kernel);
            let before_rtp = to_port(VIDEO + 1, media(Ip::V4, rtcp(SSRC_V4)));
            kernel.run(&before_rtp.bytes());
            assert_eq!(kernel.stream(VIDEO, SSRC_V4), None, "RTCP alone is no stream");
            for sequence in [1, 2, 3, 7, 7] {
                kernel.run(&media(Ip::V4, rtp(SSRC_V4, sequence, 100)).bytes());
            }
            kernel.run(&to_port(VIDEO + 1, media(Ip::V4, rtcp(SSRC_V4))).bytes());
            kernel.run(&media(Ip::V4, rtcp(SSRC_V4)).bytes());
            kernel.run(&to_port(AUDIO, media(Ip::V4, rtp(SSRC_V4, 1, 50))).bytes());
            // For nobody, but seen all the same.
            kernel.run(&media(Ip::V4, rtp(SSRC_NOBODY, 1, 100)).bytes());
            // Never the relay's: not counted.
            kernel.run(&Datagram { ttl: 1, ..media(Ip::V4, rtp(55, 1, 100)) }.bytes());
            assert_eq!(
                kernel.stream(VIDEO, SSRC_V4),
                Some((5, 2)),
                "the port pair's stream, RTCP on both ports"
            );
            assert_eq!(
                kernel.stream(AUDIO, SSRC_V4),
                Some((1, 0)),
                "the same SSRC on another port is another stream"
            );
            assert_eq!(kernel.stream(VIDEO, SSRC_NOBODY), Some((1, 0)));
            assert_eq!(kernel.stream(VIDEO, 55), None);
            let stream = kernel.plane.maps().streams.get(&key(VIDEO, SSRC_V4), 0).unwrap();
            assert_eq!((stream.lost(), stream.duplicates, stream.bytes), (3, 1, 500));
            let source = media(Ip::V4, vec![]).source;
            assert_eq!(stream.source[12..], [10, 0, 1, 2]);
            assert_eq!(stream.source_port, source.port());
            assert!(stream.first_seen > 0 && stream.last_seen > stream.first_seen);
        });
    }
}

/// Recycled frames and other programs' redirects come with metadata: the token takes its place, whatever its size.
#[test]
fn metadata_that_is_there_already_is_replaced() {
    with_kernel("metadata", Mode::Xdp, |kernel| {
        populate(kernel);
        let datagram = plain(Ip::V4);
        for length in (0..=32).step_by(4) {
            let ran = kernel.run_xdp(&datagram.bytes(), &vec![0xaa; length]);
            assert_eq!((ran.verdict, ran.metadata.len()), (XDP_REDIRECT, 16), "{length} bytes of metadata");
            assert_eq!(ran.metadata[..4], TOKEN_MAGIC.to_ne_bytes());
            assert_eq!(
                closed(&ran.packet, &datagram),
                normalised(&datagram).bytes(),
                "{length} bytes of metadata"
            );
            let refused = to_port(1, plain(Ip::V4)).bytes();
            let ran = kernel.run_xdp(&refused, &vec![0xaa; length]);
            assert_eq!((ran.verdict, ran.packet), (XDP_PASS, refused));
            assert_eq!(ran.metadata, vec![0xaa; length], "what is not ours stays as it is");
        }
    });
}

/// A port's listener says whether any of its streams has a route; what writes listeners must not forget it.
#[test]
fn routes_hold_while_listeners_are_written_again() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("listen", mode, |kernel| {
            let nobody = media(Ip::V4, rtp(SSRC_NOBODY, 1, 50)).bytes();
            let routed = |kernel: &mut Kernel<'_>| kernel.run(&nobody).counted == [(Reason::NoChildren, 1)];
            kernel.children(&V4_CHILDREN, &[]);
            assert!(!routed(kernel));
            kernel.plane.attach().unwrap();
            for _ in 0..2 {
                populate(kernel);
                assert!(routed(kernel));
                kernel.listen();
                assert!(routed(kernel), "after the listeners were written again");
                kernel.take_over();
                assert!(routed(kernel), "after another daemon took over");
                kernel.children(&V4_CHILDREN, &[]);
                assert!(!routed(kernel));
            }
        });
    }
}

#[test]
fn a_set_that_was_never_finished_drops_its_packets() {
    for (mode, verdict) in [(Mode::Xdp, XDP_DROP), (Mode::Tc, TC_SHOT)] {
        with_kernel("unfinished", mode, |kernel| {
            populate(kernel);
            // An instance without a devmap, and for tc one that cannot be.
            let instance = if mode == Mode::Xdp { 4_000 } else { 5_000 };
            let set = kernel.plane.maps().routes.get(&key(VIDEO, SSRC_V4), 0).unwrap();
            kernel.plane.maps_mut().sets.set(set, instance, 0).unwrap();
            let packet = plain(Ip::V4).bytes();
            let ran = kernel.run(&packet);
            assert_eq!((ran.verdict, &ran.counted[..]), (verdict, &[(Reason::NoFanoutSet, 1)][..]));
            assert_eq!(ran.packet, packet);
            // Other streams' sets are none the worse.
            assert!(kernel.run(&plain(Ip::V6).bytes()).counted.is_empty());
        });
    }
}

/// (reason, file, test): what no packet alone can bring about.
const ELSEWHERE: [(Reason, &str, &str); 8] = [
    (Reason::NoFanoutSet, "kernel_tables.rs", "a_set_that_was_never_finished_drops_its_packets"),
    (
        Reason::CopyWithoutToken,
        "kernel_copies_by_xdp.rs",
        "a_copy_that_another_program_redirected_is_dropped",
    ),
    (Reason::CopyWithoutChild, "kernel_copies_by_xdp.rs", "more_copies_than_children_are_dropped"),
    (Reason::CopyNotMade, "kernel_copies_by_xdp.rs", "copies_that_the_kernel_did_not_make_are_counted"),
    (Reason::ChildIsSender, "kernel_copies_by_xdp.rs", "the_sender_gets_no_copy_of_its_own_packet"),
    (Reason::OtherFamily, "kernel_copies_by_xdp.rs", "children_of_the_other_ip_version_are_left_out"),
    (Reason::EgressRefused, "kernel_copies_by_xdp.rs", "what_a_driver_refuses_is_counted_for_its_child"),
    (Reason::StreamTableFull, "kernel_ten_thousand_streams.rs", "a_full_table_of_streams_stops_no_media"),
];

/// What cannot be brought about here at all.
const NOWHERE: [(Reason, &str); 2] = [
    (Reason::NoMetadata, "needs a driver that leaves no headroom; a test run and veth both leave 256 bytes"),
    (
        Reason::NotWritable,
        "needs a failed allocation in the kernel, or an IPv6 frame above 3,900 bytes with a partial checksum",
    ),
];

#[test]
fn every_reason_has_a_name_of_its_own_and_a_test() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for (index, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index, "{} is its own index in DROPS", reason.name());
    }
    for mode in [Mode::Xdp, Mode::Tc] {
        let rows = table(mode);
        for reason in Reason::ALL {
            let in_table =
                rows.iter().any(|row| matches!(row.outcome, Outcome::Refused(refused) if refused == *reason));
            let elsewhere = ELSEWHERE.iter().any(|(known, ..)| known == reason);
            let nowhere = NOWHERE.iter().any(|(known, _)| known == reason);
            assert_eq!(
                [in_table, elsewhere, nowhere].iter().filter(|there| **there).count(),
                1,
                "{mode}: {} has a row in the table or a place in a list",
                reason.name()
            );
        }
    }
    for (reason, file, test) in ELSEWHERE {
        let path = format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{} has no test {test} in {file}", reason.name());
    }
}
