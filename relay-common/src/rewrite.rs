//! The headers of a child's copy, in two steps: what all copies of a packet have in common ([`normalise_v4`],
//! [`normalise_v6`], once a packet) and what makes it one child's ([`address_v4`], [`address_v6`], once a copy).
//! Pure functions on header bytes, so that tests can hold them against recomputation.

use crate::checksum;
use crate::layout::Child;
use crate::packet::{copy_words, set_word, word as raw_word};
use crate::parse::{ETHERNET, IPV4, IPV6, UDP};

/// Bytes that change in an IPv4 copy: Ethernet, IP and UDP header.
pub const V4_HEADERS: usize = ETHERNET + IPV4 + UDP;
/// Bytes that change in an IPv6 copy.
pub const V6_HEADERS: usize = ETHERNET + IPV6 + UDP;
/// Where the UDP header starts.
pub const V4_UDP: usize = ETHERNET + IPV4;
/// Where the UDP header starts.
pub const V6_UDP: usize = ETHERNET + IPV6;

/// Who keeps the UDP checksum right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpChecksum {
    /// These functions (xdp, tests).
    Here,
    /// The kernel's helper, which knows what was left to hardware (tc).
    Kernel,
}

/// TTL down by one, and the port that the packet came to becomes its source port: RTP is symmetric (RFC 4961), so a
/// child's feedback finds the way back.
#[inline(always)]
pub fn normalise_v4(headers: &mut [u8; V4_HEADERS], udp_checksum: UdpChecksum) {
    let old = word(headers, ETHERNET + 8);
    headers[ETHERNET + 8] = headers[ETHERNET + 8].wrapping_sub(1);
    header_checksum(headers, old, word(headers, ETHERNET + 8));
    source_port::<V4_HEADERS, V4_UDP>(headers, udp_checksum);
}

/// [`normalise_v4`] for IPv6, where the header has no checksum.
#[inline(always)]
pub fn normalise_v6(headers: &mut [u8; V6_HEADERS], udp_checksum: UdpChecksum) {
    headers[ETHERNET + 7] = headers[ETHERNET + 7].wrapping_sub(1);
    source_port::<V6_HEADERS, V6_UDP>(headers, udp_checksum);
}

/// Makes an IPv4 packet one for `child` at `port` (host order), whoever it was for before.
#[inline(always)]
pub fn address_v4(headers: &mut [u8; V4_HEADERS], child: &Child, port: u16, udp_checksum: UdpChecksum) {
    ethernet(headers, child);
    let old = words::<V4_HEADERS>(headers, ETHERNET + 12, 4);
    header_checksum(headers, old, child.address_sum);
    copy_words(headers, ETHERNET + 12, &child.source, 12, 4);
    copy_words(headers, ETHERNET + 16, &child.destination, 12, 4);
    destination_port::<V4_HEADERS, V4_UDP>(headers, port, old, child.address_sum, udp_checksum);
}

/// [`address_v4`] for IPv6.
#[inline(always)]
pub fn address_v6(headers: &mut [u8; V6_HEADERS], child: &Child, port: u16, udp_checksum: UdpChecksum) {
    ethernet(headers, child);
    let old = words::<V6_HEADERS>(headers, ETHERNET + 8, 16);
    copy_words(headers, ETHERNET + 8, &child.source, 0, 16);
    copy_words(headers, ETHERNET + 24, &child.destination, 0, 16);
    destination_port::<V6_HEADERS, V6_UDP>(headers, port, old, child.address_sum, udp_checksum);
}

/// The sum of a child's addresses as [`Child::address_sum`] wants it.
pub fn address_sum(source: &[u8; 16], destination: &[u8; 16], v4: bool) -> u32 {
    if v4 {
        let (source, destination) = (&source[12..], &destination[12..]);
        checksum::sum_slice(source) + checksum::sum_slice(destination)
    } else {
        checksum::sum(source) + checksum::sum(destination)
    }
}

#[inline(always)]
fn ethernet<const N: usize>(headers: &mut [u8; N], child: &Child) {
    copy_words(headers, 0, &child.destination_mac, 0, 6);
    copy_words(headers, 6, &child.source_mac, 0, 6);
    copy_words(headers, 12, &child.ethertype, 0, 2);
}

#[inline(always)]
fn header_checksum(headers: &mut [u8; V4_HEADERS], removed: u32, added: u32) {
    let field = checksum::update(raw_word(headers, ETHERNET + 10).to_ne_bytes(), removed, added);
    set_word(headers, ETHERNET + 10, u16::from_ne_bytes(field));
}

#[inline(always)]
fn source_port<const N: usize, const L4: usize>(headers: &mut [u8; N], udp_checksum: UdpChecksum) {
    if udp_checksum == UdpChecksum::Here {
        let (removed, added) = (word(headers, L4), word(headers, L4 + 2));
        update_udp::<N, L4>(headers, removed, added);
    }
    set_word(headers, L4, raw_word(headers, L4 + 2));
}

#[inline(always)]
fn destination_port<const N: usize, const L4: usize>(
    headers: &mut [u8; N],
    port: u16,
    old_addresses: u32,
    new_addresses: u32,
    udp_checksum: UdpChecksum,
) {
    let new = port.to_be();
    if udp_checksum == UdpChecksum::Here {
        let removed = old_addresses + word(headers, L4 + 2);
        update_udp::<N, L4>(headers, removed, new_addresses + new as u32);
    }
    set_word(headers, L4 + 2, new);
}

#[inline(always)]
fn update_udp<const N: usize, const L4: usize>(headers: &mut [u8; N], removed: u32, added: u32) {
    let field = checksum::update_udp(raw_word(headers, L4 + 6).to_ne_bytes(), removed, added);
    set_word(headers, L4 + 6, u16::from_ne_bytes(field));
}

/// One 16-bit word of a checksum.
#[inline(always)]
fn word<const N: usize>(headers: &[u8; N], at: usize) -> u32 {
    raw_word(headers, at) as u32
}

/// Sum of `count` words from `at`.
#[inline(always)]
fn words<const N: usize>(headers: &[u8; N], at: usize, count: usize) -> u32 {
    let mut total = 0u32;
    let mut index = 0;
    while index < count {
        total += word(headers, at + 2 * index);
        index += 1;
    }
    total
}
