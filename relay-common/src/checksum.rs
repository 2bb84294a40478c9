//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! Sums are ones' complement and so independent of byte order as long as all words are read the same way
//! (RFC 1071 section 2 B): everything here reads in host order and never swaps.

use crate::packet::word32;

/// Folds a 32-bit sum of 16-bit words to 16 bits.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// The ones' complement sum of two words.
#[inline(always)]
pub const fn add(one: u16, other: u16) -> u16 {
    let sum = one as u32 + other as u32;
    // The carry makes no second one: at most 0x1fffe becomes 0xffff.
    (sum + (sum >> 16)) as u16
}

/// The ones' complement sum of `N` bytes, `N` even.
#[inline(always)]
pub const fn sum<const N: usize>(bytes: &[u8; N]) -> u32 {
    let mut total = 0u32;
    let mut at = 0;
    while at < N {
        total += u16::from_ne_bytes([bytes[at], bytes[at + 1]]) as u32;
        at += 2;
    }
    total
}

/// True when an IPv4 header without options sums up to all ones, as a right one does (RFC 1071 section 1).
#[inline(always)]
pub fn is_right(header: &[u8; 20]) -> bool {
    let sum = word32::<0>(header) as u64
        + word32::<4>(header) as u64
        + word32::<8>(header) as u64
        + word32::<12>(header) as u64
        + word32::<16>(header) as u64;
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    // At most 0x1_fffe and a carry are left.
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// RFC 1624 equation 3: the checksum `old` after words summing to `removed` became words summing to `added`.
/// Takes and gives the field as it stands in the header.
#[inline(always)]
pub const fn update(old: [u8; 2], removed: u32, added: u32) -> [u8; 2] {
    let start = !u16::from_ne_bytes(old);
    let sum = start as u32 + (!fold(removed)) as u32 + fold(added) as u32;
    (!fold(sum)).to_ne_bytes()
}

/// [`update`] for UDP: a field of 0 means "no checksum" and stays, a result of 0 is sent as 0xffff (RFC 768).
#[inline(always)]
pub const fn update_udp(old: [u8; 2], removed: u32, added: u32) -> [u8; 2] {
    if old[0] == 0 && old[1] == 0 {
        return old;
    }
    let new = update(old, removed, added);
    if new[0] == 0 && new[1] == 0 { [0xff, 0xff] } else { new }
}

/// What a sender with checksum offload leaves in the UDP field: the folded sum of the pseudo-header, not
/// complemented. `addresses` is the sum of both addresses.
#[inline(always)]
pub const fn partial_udp(addresses: u32, udp_length: u16) -> [u8; 2] {
    fold(addresses + UDP_PROTOCOL as u32 + udp_length.to_be() as u32).to_ne_bytes()
}

/// Protocol number 17 as a 16-bit word of the pseudo-header.
const UDP_PROTOCOL: u16 = 17u16.to_be();

/// The checksum field of a UDP datagram whose bytes (header with a zero field, payload) sum to `datagram`.
#[inline(always)]
pub const fn full_udp(addresses: u32, udp_length: u16, datagram: u32) -> [u8; 2] {
    let pseudo = addresses + UDP_PROTOCOL as u32 + udp_length.to_be() as u32;
    let field = (!fold(fold(pseudo) as u32 + fold(datagram) as u32)).to_ne_bytes();
    if field[0] == 0 && field[1] == 0 { [0xff, 0xff] } else { field }
}

/// The sum of any number of bytes; an odd last byte counts as the first of a word (RFC 1071 section 4.1).
pub fn sum_slice(bytes: &[u8]) -> u32 {
    let mut total = 0u64;
    let mut words = bytes.chunks_exact(2);
    for word in &mut words {
        total += u64::from(u16::from_ne_bytes([word[0], word[1]]));
    }
    if let [last] = words.remainder() {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}
