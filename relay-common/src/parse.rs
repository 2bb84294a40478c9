//! From a frame to "RTP or RTCP of this stream, for this port", or the reason why not. Reads only.

use crate::checksum;
use crate::packet::{Packet, be16, be32, word32, word64};
use crate::reason::Reason;
use crate::rtp;

/// Length of an Ethernet header without VLAN tag.
pub const ETHERNET: usize = 14;
/// Length of a VLAN tag (IEEE 802.1Q).
pub const VLAN_TAG: usize = 4;
/// Length of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Length of an IPv6 header without extensions.
pub const IPV6: usize = 40;
/// Length of a UDP header.
pub const UDP: usize = 8;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
/// EtherType of a VLAN tag (IEEE 802.1Q).
pub const TYPE_VLAN: u16 = 0x8100;
const TYPE_QINQ: u16 = 0x88a8;
const PROTOCOL_UDP: u8 = 17;
const NEXT_FRAGMENT: u8 = 44;
/// Hop-by-hop, routing, ESP, AH, destination options, mobility, HIP, shim6 (IANA "IPv6 Extension Header Types").
const EXTENSIONS: [u8; 8] = [0, 43, 50, 51, 60, 135, 139, 140];

/// IP version of a packet or a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Length of the IP header as the relay takes it: no options, no extensions.
    #[inline(always)]
    pub const fn header(self) -> usize {
        match self {
            Family::V4 => IPV4,
            Family::V6 => IPV6,
        }
    }
}

/// A UDP datagram found in a frame.
///
/// The addresses come first and aligned, so that a BPF program moves them in words instead of byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Datagram {
    /// Source address; IPv4 as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
    pub source: [u8; 16],
    /// Destination address, in the same form.
    pub destination: [u8; 16],
    /// IP version.
    pub family: Family,
    /// True when one VLAN tag sits between the Ethernet and the IP header.
    pub tagged: bool,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
    /// UDP length: header and payload.
    pub udp_length: u16,
    /// The UDP checksum field as it stands.
    pub checksum: [u8; 2],
    /// TTL or hop limit.
    pub ttl: u8,
}

impl Datagram {
    /// Where the IP header starts.
    #[inline(always)]
    pub const fn ip_offset(&self) -> usize {
        if self.tagged { ETHERNET + VLAN_TAG } else { ETHERNET }
    }

    /// Where the UDP payload starts.
    #[inline(always)]
    pub const fn payload_offset(&self) -> usize {
        self.ip_offset() + self.family.header() + UDP
    }

    /// Where the IP packet ends. A frame may be longer: padding of short ones, or a trailer.
    #[inline(always)]
    pub const fn end(&self) -> usize {
        self.ip_offset() + self.ip_length()
    }

    /// Length of the IP packet, headers included.
    #[inline(always)]
    pub const fn ip_length(&self) -> usize {
        self.family.header() + self.udp_length as usize
    }

    /// Bytes of RTP or RTCP.
    #[inline(always)]
    pub const fn payload_length(&self) -> u16 {
        self.udp_length - UDP as u16
    }
}

/// Finds the UDP datagram in an Ethernet frame.
#[inline(always)]
pub fn datagram(packet: Packet<'_>) -> Result<Datagram, Reason> {
    let ethernet = packet.bytes::<ETHERNET>(0).ok_or(Reason::Runt)?;
    match be16(ethernet, 12) {
        TYPE_IPV4 => ipv4::<ETHERNET>(packet),
        TYPE_IPV6 => ipv6::<ETHERNET>(packet),
        TYPE_QINQ => Err(Reason::StackedVlan),
        TYPE_VLAN => {
            let tag = packet.bytes::<VLAN_TAG>(ETHERNET).ok_or(Reason::Runt)?;
            match be16(tag, 2) {
                TYPE_IPV4 => ipv4::<{ ETHERNET + VLAN_TAG }>(packet),
                TYPE_IPV6 => ipv6::<{ ETHERNET + VLAN_TAG }>(packet),
                TYPE_VLAN | TYPE_QINQ => Err(Reason::StackedVlan),
                _ => Err(Reason::NotIp),
            }
        }
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
fn ipv4<const AT: usize>(packet: Packet<'_>) -> Result<Datagram, Reason> {
    let ip = packet.bytes::<IPV4>(AT).ok_or(Reason::Runt)?;
    if ip[0] >> 4 != 4 {
        return Err(Reason::NotIp);
    }
    if ip[0] & 0x0f != 5 {
        return Err(if ip[0] & 0x0f < 5 { Reason::BadLength } else { Reason::IpOptions });
    }
    // More-fragments flag or an offset (RFC 791 section 3.1).
    if be16(ip, 6) & 0x3fff != 0 {
        return Err(Reason::Fragment);
    }
    if ip[9] != PROTOCOL_UDP {
        return Err(Reason::NotUdp);
    }
    let udp = packet.bytes::<UDP>(AT + IPV4).ok_or(Reason::Runt)?;
    let total = be16(ip, 2) as usize;
    check_lengths(packet, AT, total, IPV4, udp)?;
    let mut datagram = Datagram {
        source: MAPPED,
        destination: MAPPED,
        family: Family::V4,
        tagged: AT != ETHERNET,
        source_port: be16(udp, 0),
        destination_port: be16(udp, 2),
        udp_length: be16(udp, 4),
        checksum: [udp[6], udp[7]],
        ttl: ip[8],
    };
    datagram.source[12..].copy_from_slice(&word32::<12>(ip).to_ne_bytes());
    datagram.destination[12..].copy_from_slice(&word32::<16>(ip).to_ne_bytes());
    Ok(datagram)
}

/// The prefix of an IPv4-mapped IPv6 address.
pub const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];

/// True when the IPv6 address from `AT` on has the prefix [`MAPPED`]; `AT` is a constant, and two words are all there is to it.
#[inline(always)]
fn is_mapped<const AT: usize>(ip: &[u8; IPV6]) -> bool {
    // The offsets of the two words cannot be computed from AT in a const argument.
    let (first, second) =
        if AT == 8 { (word64::<8>(ip), word32::<16>(ip)) } else { (word64::<24>(ip), word32::<32>(ip)) };
    first == 0 && second == u32::from_ne_bytes([0, 0, 0xff, 0xff])
}

/// True for a source address that no other host can have (RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5 and 2.7):
/// unspecified, loopback, multicast, broadcast.
#[inline(always)]
pub fn is_martian(source: &[u8; 16]) -> bool {
    if word64::<0>(source) == 0 {
        if word32::<8>(source) == u32::from_ne_bytes([0, 0, 0xff, 0xff]) {
            return matches!(source[12], 0 | 127 | 224..);
        }
        let low = be32::<12>(source);
        return word32::<8>(source) == 0 && low <= 1;
    }
    source[0] == 0xff
}

#[inline(always)]
fn ipv6<const AT: usize>(packet: Packet<'_>) -> Result<Datagram, Reason> {
    let ip = packet.bytes::<IPV6>(AT).ok_or(Reason::Runt)?;
    if ip[0] >> 4 != 6 {
        return Err(Reason::NotIp);
    }
    // IPv4 addresses in disguise (RFC 4291 section 2.5.5.2) are on no wire, and would be taken for IPv4's.
    if is_mapped::<8>(ip) || is_mapped::<24>(ip) {
        return Err(Reason::NotLocal);
    }
    match ip[6] {
        PROTOCOL_UDP => {}
        NEXT_FRAGMENT => return Err(Reason::Fragment),
        next if is_extension(next) => return Err(Reason::ExtensionHeader),
        _ => return Err(Reason::NotUdp),
    }
    let udp = packet.bytes::<UDP>(AT + IPV6).ok_or(Reason::Runt)?;
    let total = IPV6 + be16(ip, 4) as usize;
    check_lengths(packet, AT, total, IPV6, udp)?;
    let mut datagram = Datagram {
        source: [0; 16],
        destination: [0; 16],
        family: Family::V6,
        tagged: AT != ETHERNET,
        source_port: be16(udp, 0),
        destination_port: be16(udp, 2),
        udp_length: be16(udp, 4),
        checksum: [udp[6], udp[7]],
        ttl: ip[7],
    };
    datagram.source[..8].copy_from_slice(&word64::<8>(ip).to_ne_bytes());
    datagram.source[8..].copy_from_slice(&word64::<16>(ip).to_ne_bytes());
    datagram.destination[..8].copy_from_slice(&word64::<24>(ip).to_ne_bytes());
    datagram.destination[8..].copy_from_slice(&word64::<32>(ip).to_ne_bytes());
    Ok(datagram)
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    let mut found = false;
    let mut at = 0;
    while at < EXTENSIONS.len() {
        found |= EXTENSIONS[at] == next;
        at += 1;
    }
    found
}

/// The UDP datagram fills its IP packet exactly, and the IP packet is whole; Ethernet padding may follow.
#[inline(always)]
fn check_lengths(
    packet: Packet<'_>,
    at: usize,
    total: usize,
    header: usize,
    udp: &[u8; UDP],
) -> Result<(), Reason> {
    let udp_length = be16(udp, 4) as usize;
    if udp_length < UDP || header + udp_length != total || at + total > packet.len() {
        return Err(Reason::BadLength);
    }
    Ok(())
}

/// What a datagram's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An RTP packet (RFC 3550 section 5.1).
    Rtp {
        /// Synchronization source.
        ssrc: u32,
        /// Sequence number.
        sequence: u16,
        /// RTP timestamp.
        timestamp: u32,
    },
    /// An RTCP packet (RFC 3550 section 6.4).
    Rtcp {
        /// SSRC of the packet's sender.
        ssrc: u32,
        /// True for what a receiver tells (report, NACK, PLI …), false for what a sender does.
        feedback: bool,
    },
}

/// Tells RTP and RTCP apart from each other (RFC 5761 section 4) and from everything else that may share a port
/// (RFC 7983 section 7). `rtcp_port`: the datagram came to the port for RTCP only.
#[inline(always)]
pub fn payload(packet: Packet<'_>, datagram: &Datagram, rtcp_port: bool) -> Result<Payload, Reason> {
    // Constant offsets keep the verifier's work small: four header forms, four reads.
    match (datagram.family, datagram.tagged) {
        (Family::V4, false) => {
            check_header::<ETHERNET>(packet)?;
            payload_at::<{ ETHERNET + IPV4 + UDP }>(packet, datagram, rtcp_port)
        }
        (Family::V4, true) => {
            check_header::<{ ETHERNET + VLAN_TAG }>(packet)?;
            payload_at::<{ ETHERNET + VLAN_TAG + IPV4 + UDP }>(packet, datagram, rtcp_port)
        }
        (Family::V6, false) => payload_at::<{ ETHERNET + IPV6 + UDP }>(packet, datagram, rtcp_port),
        (Family::V6, true) => payload_at::<{ ETHERNET + VLAN_TAG + IPV6 + UDP }>(packet, datagram, rtcp_port),
    }
}

/// The IPv4 header's checksum is right. (That of UDP is the receiver's to check: copies keep a right one right and a wrong
/// one wrong.)
#[inline(always)]
fn check_header<const AT: usize>(packet: Packet<'_>) -> Result<(), Reason> {
    let ip = packet.bytes::<IPV4>(AT).ok_or(Reason::Runt)?;
    if checksum::is_right(ip) { Ok(()) } else { Err(Reason::BadChecksum) }
}

#[inline(always)]
fn payload_at<const AT: usize>(
    packet: Packet<'_>,
    datagram: &Datagram,
    rtcp_port: bool,
) -> Result<Payload, Reason> {
    let head = if datagram.payload_length() < 8 { None } else { packet.bytes::<8>(AT) };
    let tail = if datagram.payload_length() < 12 { None } else { packet.bytes::<4>(AT + 8) };
    classify(head, tail, rtcp_port)
}

/// [`payload`] for a datagram that a socket delivered: no headers in front.
pub fn payload_of(bytes: &[u8], rtcp_port: bool) -> Result<Payload, Reason> {
    classify(bytes.first_chunk(), bytes.get(8..).and_then(|tail| tail.first_chunk()), rtcp_port)
}

/// Types of RTCP that go from receivers to senders: FIR and NACK (RFC 2032), RR, RTPFB, PSFB, XR. A compound packet begins
/// with SR, then it is its sender's, or with one of these.
#[inline(always)]
const fn is_feedback(packet_type: u8) -> bool {
    matches!(packet_type, 192 | 193 | 201 | 205 | 206 | 207)
}

/// `head`: bytes 0..8, `tail`: bytes 8..12, where the payload has them.
#[inline(always)]
fn classify(head: Option<&[u8; 8]>, tail: Option<&[u8; 4]>, rtcp_port: bool) -> Result<Payload, Reason> {
    let head = head.ok_or(Reason::RtpRunt)?;
    if head[0] & 0xc0 != 0x80 {
        return Err(Reason::NotRtp);
    }
    if rtp::is_rtcp(head[1]) {
        return Ok(Payload::Rtcp { ssrc: be32::<4>(head), feedback: is_feedback(head[1]) });
    }
    if rtcp_port {
        return Err(Reason::NotRtp);
    }
    let tail = tail.ok_or(Reason::RtpRunt)?;
    Ok(Payload::Rtp { ssrc: be32::<0>(tail), sequence: be16(head, 2), timestamp: be32::<4>(head) })
}
