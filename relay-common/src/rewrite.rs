//! The headers of a child's copy. Pure functions on header bytes, so that tests can hold them against recomputation.
//!
//! Both data planes do it in two steps, what all copies of a packet have in common and then what makes it one child's:
//!
//! - tc writes one child's headers over another's, and the kernel keeps the UDP checksum, since it knows what was left
//!   to hardware: [`normalise_v4`], then [`address_v4`] for each child;
//! - xdp gives each child a copy of the same packet: [`open_v4`] takes out of the checksums what will differ between
//!   the copies, and [`close_v4`] only has to add it, child by child. In between the checksum fields hold sums, not
//!   checksums: an open packet must not go anywhere but to its copies.

use crate::checksum::{add, fold, update};
use crate::layout::Child;
use crate::packet::{set_word, set_word32, set_word64, word, word32, word64};
use crate::parse::{ETHERNET, IPV4, IPV6, UDP};

/// Bytes that change in an IPv4 copy: Ethernet, IP and UDP header.
pub const V4_HEADERS: usize = ETHERNET + IPV4 + UDP;
/// Bytes that change in an IPv6 copy.
pub const V6_HEADERS: usize = ETHERNET + IPV6 + UDP;
/// Where the UDP header starts.
pub const V4_UDP: usize = ETHERNET + IPV4;
/// Where the UDP header starts.
pub const V6_UDP: usize = ETHERNET + IPV6;

/// Where both addresses start, and how many words they have.
const V4_ADDRESSES: (usize, usize) = (ETHERNET + 12, 4);
const V4_CHECKSUM: usize = ETHERNET + 10;

/// TTL down by one, and the port that the packet came to becomes its source port: RTP is symmetric (RFC 4961), so a
/// child's feedback finds the way back. The UDP checksum is left alone.
#[inline(always)]
pub fn normalise_v4(headers: &mut [u8; V4_HEADERS]) {
    let (old, new) = lower_ttl(headers);
    let field = update(word(headers, V4_CHECKSUM).to_ne_bytes(), old, new);
    set_word(headers, V4_CHECKSUM, u16::from_ne_bytes(field));
    swap_ports::<V4_HEADERS, V4_UDP>(headers);
}

/// [`normalise_v4`] for IPv6, where the header has no checksum.
#[inline(always)]
pub fn normalise_v6(headers: &mut [u8; V6_HEADERS]) {
    headers[ETHERNET + 7] = headers[ETHERNET + 7].wrapping_sub(1);
    swap_ports::<V6_HEADERS, V6_UDP>(headers);
}

/// Makes an IPv4 packet one for `child` at `port` (host order), whoever it was for before. The UDP checksum is left
/// alone.
#[inline(always)]
pub fn address_v4(headers: &mut [u8; V4_HEADERS], child: &Child, port: u16) {
    let old = sum(headers, V4_ADDRESSES);
    let field = update(word(headers, V4_CHECKSUM).to_ne_bytes(), old, child.address_sum);
    set_word(headers, V4_CHECKSUM, u16::from_ne_bytes(field));
    write_v4(headers, child, port);
}

/// [`address_v4`] for IPv6.
#[inline(always)]
pub fn address_v6(headers: &mut [u8; V6_HEADERS], child: &Child, port: u16) {
    write_v6(headers, child, port);
}

/// TTL and source port as in [`normalise_v4`]; the checksum fields become the sums of all that the copies have in
/// common. A UDP checksum of 0, "none", stays 0. `addresses`: the folded sum of both.
#[inline(always)]
pub fn open_v4(headers: &mut [u8; V4_HEADERS], addresses: u16) {
    let (old, new) = lower_ttl(headers);
    let addresses = !addresses as u32;
    let common = fold((!word(headers, V4_CHECKSUM)) as u32 + addresses + (!old as u16) as u32 + new);
    set_word(headers, V4_CHECKSUM, common);
    open_udp::<V4_HEADERS, V4_UDP>(headers, addresses);
}

/// [`open_v4`] for IPv6.
#[inline(always)]
pub fn open_v6(headers: &mut [u8; V6_HEADERS], addresses: u16) {
    headers[ETHERNET + 7] = headers[ETHERNET + 7].wrapping_sub(1);
    open_udp::<V6_HEADERS, V6_UDP>(headers, !addresses as u32);
}

/// Makes a copy of an open packet one for `child` at `port` (host order), checksums included.
#[inline(always)]
pub fn close_v4(headers: &mut [u8; V4_HEADERS], child: &Child, port: u16) {
    set_word(headers, V4_CHECKSUM, !add(word(headers, V4_CHECKSUM), child.address_sum as u16));
    write_v4(headers, child, port);
    close_udp::<V4_HEADERS, V4_UDP>(headers, child, port);
}

/// [`close_v4`] for IPv6.
#[inline(always)]
pub fn close_v6(headers: &mut [u8; V6_HEADERS], child: &Child, port: u16) {
    write_v6(headers, child, port);
    close_udp::<V6_HEADERS, V6_UDP>(headers, child, port);
}

/// The sum of a child's addresses as [`Child::address_sum`] wants it.
pub fn address_sum(source: &[u8; 16], destination: &[u8; 16], v4: bool) -> u32 {
    let from = if v4 { 12 } else { 0 };
    fold(crate::checksum::sum_slice(&source[from..]) + crate::checksum::sum_slice(&destination[from..]))
        as u32
}

/// The word with TTL and protocol, before and after.
#[inline(always)]
fn lower_ttl(headers: &mut [u8; V4_HEADERS]) -> (u32, u32) {
    let old = word(headers, ETHERNET + 8) as u32;
    headers[ETHERNET + 8] = headers[ETHERNET + 8].wrapping_sub(1);
    (old, word(headers, ETHERNET + 8) as u32)
}

#[inline(always)]
fn swap_ports<const N: usize, const L4: usize>(headers: &mut [u8; N]) {
    set_word(headers, L4, word(headers, L4 + 2));
}

/// The port that was the destination becomes the source, and another the destination: of the ports, the sum loses the
/// old source.
#[inline(always)]
fn open_udp<const N: usize, const L4: usize>(headers: &mut [u8; N], without_addresses: u32) {
    let field = word(headers, L4 + 6);
    if field != 0 {
        let common = fold((!field) as u32 + without_addresses + (!word(headers, L4)) as u32);
        // 0 and 0xffff are the same sum, but 0 would mean "none".
        set_word(headers, L4 + 6, if common == 0 { 0xffff } else { common });
    }
    swap_ports::<N, L4>(headers);
}

#[inline(always)]
fn close_udp<const N: usize, const L4: usize>(headers: &mut [u8; N], child: &Child, port: u16) {
    let common = word(headers, L4 + 6);
    if common != 0 {
        let field = !add(add(common, child.address_sum as u16), port.to_be());
        // RFC 768: a checksum that comes out as 0 is sent as 0xffff.
        set_word(headers, L4 + 6, if field == 0 { 0xffff } else { field });
    }
}

#[inline(always)]
fn write_v4(headers: &mut [u8; V4_HEADERS], child: &Child, port: u16) {
    write_ethernet(headers, child);
    set_word32::<{ ETHERNET + 12 }>(headers, word32::<12>(&child.source));
    set_word32::<{ ETHERNET + 16 }>(headers, word32::<12>(&child.destination));
    set_word(headers, V4_UDP + 2, port.to_be());
}

#[inline(always)]
fn write_v6(headers: &mut [u8; V6_HEADERS], child: &Child, port: u16) {
    write_ethernet(headers, child);
    set_word64::<{ ETHERNET + 8 }>(headers, word64::<0>(&child.source));
    set_word64::<{ ETHERNET + 16 }>(headers, word64::<8>(&child.source));
    set_word64::<{ ETHERNET + 24 }>(headers, word64::<0>(&child.destination));
    set_word64::<{ ETHERNET + 32 }>(headers, word64::<8>(&child.destination));
    set_word(headers, V6_UDP + 2, port.to_be());
}

#[inline(always)]
fn write_ethernet<const N: usize>(headers: &mut [u8; N], child: &Child) {
    set_word64::<0>(headers, word64::<0>(child.ethernet()));
    set_word32::<8>(headers, word32::<8>(child.ethernet()));
    set_word(headers, 12, word(child.ethernet(), 12));
}

#[inline(always)]
fn sum<const N: usize>(headers: &[u8; N], (at, words): (usize, usize)) -> u32 {
    let mut total = 0u32;
    let mut index = 0;
    while index < words {
        total += word(headers, at + 2 * index) as u32;
        index += 1;
    }
    total
}
