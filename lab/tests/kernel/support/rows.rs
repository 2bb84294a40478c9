//! The rows of `kernel/tables.rs`: what goes in, and what must become of it.

use std::net::IpAddr;

use relay_common::reason::Reason;
use relay_ctl::kernel::Mode;

use super::frames::{Checksum, Datagram, SERVICE_TAG, TAG, rtcp, rtp};
use super::{AUDIO, Child, Ip, RELAY_MAC, RELAY_V4, RELAY_V6, VIDEO, media};

/// Streams whose children are all IPv4 or all IPv6, and one that has none.
pub const SSRC_V4: u32 = 4;
pub const SSRC_V6: u32 = 6;
pub const SSRC_NOBODY: u32 = 9;

pub const V4_CHILDREN: [Child; 2] = [
    Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] },
    Child { id: 1, nic: 2, ip: Ip::V4, ports: [6102, 6104] },
];
pub const V6_CHILDREN: [Child; 2] = [
    Child { id: 2, nic: 1, ip: Ip::V6, ports: [5002, 5004] },
    Child { id: 3, nic: 2, ip: Ip::V6, ports: [7102, 7104] },
];

pub struct Row {
    pub what: String,
    pub packet: Vec<u8>,
    pub outcome: Outcome,
}

pub enum Outcome {
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
        let datagram = datagram.numbered(self.0.len() as u16);
        self.0.push(Row { what, packet: datagram.bytes(), outcome: Outcome::Copied(datagram) });
    }

    fn refused(&mut self, reason: Reason, what: impl Into<String>, packet: Vec<u8>) {
        self.0.push(Row { what: what.into(), packet, outcome: Outcome::Refused(reason) });
    }
}

/// Every header form, and every reason that a packet alone can bring about.
pub fn table(mode: Mode) -> Vec<Row> {
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
pub fn plain(ip: Ip) -> Datagram {
    media(ip, rtp(ssrc_of(ip), 1, 172))
}

fn ssrc_of(ip: Ip) -> u32 {
    if ip == Ip::V4 { SSRC_V4 } else { SSRC_V6 }
}

pub fn to_port(port: u16, mut datagram: Datagram) -> Datagram {
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
    // Receiver report, generic NACK, PLI, extended report; FIR and NACK of RFC 2032.
    for packet_type in [201, 205, 206, 207, 192, 193] {
        let mut feedback = rtcp(ssrc_of(ip));
        feedback[1] = packet_type;
        let packet = to_port(VIDEO + 1, media(ip, feedback)).bytes();
        table.refused(Reason::RtcpFeedback, format!("{ip:?}, RTCP type {packet_type} from no child"), packet);
    }
    for source in martians(ip) {
        let packet = Datagram { source: (source, 40_000).into(), ..media(ip, rtp(77, 1, 50)) }.bytes();
        table.refused(Reason::MartianSource, format!("from {source}"), packet);
    }
    let (datagram, at) = (plain(ip), plain(ip).ip_at());
    if ip == Ip::V4 {
        for (what, at) in [("checksum", at + 10), ("identification", at + 4)] {
            let mut packet = datagram.bytes();
            packet[at] ^= 0x40;
            table.refused(Reason::BadChecksum, format!("a header whose {what} was damaged"), packet);
        }
    } else {
        for (what, at) in [("source", at + 8), ("destination", at + 24)] {
            let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 1, 1];
            table.refused(Reason::NotLocal, format!("an IPv4-mapped {what}"), datagram.with(at, &mapped));
        }
    }
    let nobody = |payload| media(ip, payload).bytes();
    table.refused(
        Reason::NoChildren,
        format!("{ip:?}, RTP for nobody"),
        nobody(rtp(SSRC_NOBODY, if ip == Ip::V4 { 1 } else { 2 }, 50)),
    );
    table.refused(Reason::NoChildren, format!("{ip:?}, RTCP for nobody"), nobody(rtcp(SSRC_NOBODY)));
}

/// Addresses that no other host has.
fn martians(ip: Ip) -> Vec<IpAddr> {
    let all: [&str; 10] = [
        "127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
        "ff0e::1",
    ];
    let own: IpAddr = if ip == Ip::V4 { RELAY_V4.into() } else { RELAY_V6.into() };
    let parsed = all.iter().map(|address| address.parse::<IpAddr>().unwrap());
    parsed.filter(|address| address.is_ipv4() == (ip == Ip::V4)).chain([own]).collect()
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
