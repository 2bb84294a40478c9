//! RFC 1624: changing a checksum by what changed gives what summing everything again would give.

use proptest::prelude::*;
use relay_common::checksum::{fold, full_udp, sum, sum_slice, update, update_udp};

/// RFC 1071, as it is written there: big-endian words, end-around carry.
fn reference(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut total = 0u64;
    for pair in bytes.chunks(2) {
        total += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// The UDP checksum over both addresses and a datagram whose field is zero (RFC 768).
fn udp_reference(addresses: &[u8], datagram: &[u8]) -> [u8; 2] {
    let length = (datagram.len() as u32).to_be_bytes();
    match reference(&[addresses, &length, &[0, 0, 0, 17], datagram]) {
        0 => [0xff, 0xff],
        field => field.to_be_bytes(),
    }
}

/// Bytes that sum to awkward values as often as not.
fn awkward(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![2 => any::<u8>(), 1 => Just(0), 1 => Just(0xff)], length)
}

/// An IPv4 header with a checksum that is right.
fn ipv4_header() -> impl Strategy<Value = [u8; 20]> {
    awkward(18).prop_map(|bytes| {
        let mut header = [0; 20];
        header[0] = 0x45;
        header[1..10].copy_from_slice(&bytes[1..10]);
        header[12..].copy_from_slice(&bytes[10..]);
        let field = reference(&[&header]);
        header[10..12].copy_from_slice(&field.to_be_bytes());
        header
    })
}

fn a_datagram() -> impl Strategy<Value = Vec<u8>> {
    awkward(8..90).prop_map(|mut bytes| {
        let length = bytes.len() as u16;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes[6..8].copy_from_slice(&[0, 0]);
        bytes
    })
}

/// Changes addresses and both ports of a datagram, and holds the updated field against the recomputed one.
fn check_udp(old: &[u8], new: &[u8], mut datagram: Vec<u8>, ports: [u8; 4]) -> Result<(), TestCaseError> {
    let before = udp_reference(old, &datagram);
    prop_assert_eq!(full_udp(sum_slice(old), datagram.len() as u16, sum_slice(&datagram)), before);
    let removed = sum_slice(old) + sum_slice(&datagram[..4]);
    let added = sum_slice(new) + sum(&ports);
    let updated = update_udp(before, removed, added);
    datagram[..4].copy_from_slice(&ports);
    prop_assert_eq!(updated, udp_reference(new, &datagram));
    prop_assert_ne!(updated, [0, 0], "0 would mean that there is none");
    Ok(())
}

proptest! {
    #[test]
    fn for_an_ipv4_header(mut header in ipv4_header(), ttl in any::<u8>(), addresses in any::<[u8; 8]>()) {
        let removed = sum_slice(&header[8..10]) + sum_slice(&header[12..]);
        header[8] = ttl;
        header[12..].copy_from_slice(&addresses);
        let added = sum_slice(&header[8..10]) + sum(&addresses);
        let updated = update([header[10], header[11]], removed, added);
        header[10..12].copy_from_slice(&[0, 0]);
        prop_assert_eq!(updated, reference(&[&header]).to_be_bytes());
    }

    #[test]
    fn for_udp_over_ipv4(
        old in awkward(8), new in awkward(8), datagram in a_datagram(), ports in any::<[u8; 4]>(),
    ) {
        check_udp(&old, &new, datagram, ports)?;
    }

    #[test]
    fn for_udp_over_ipv6(
        old in awkward(32), new in awkward(32), datagram in a_datagram(), ports in any::<[u8; 4]>(),
    ) {
        check_udp(&old, &new, datagram, ports)?;
    }

    /// The last word is chosen so that the sum is all ones and its complement 0.
    #[test]
    fn for_udp_whose_checksum_comes_out_as_zero(addresses in awkward(8), datagram in a_datagram()) {
        let mut datagram = datagram;
        datagram.truncate(datagram.len() / 2 * 2);
        datagram.extend([0, 0]);
        let length = datagram.len();
        datagram[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        let without = udp_reference(&addresses, &datagram);
        datagram[length - 2..].copy_from_slice(&without);
        prop_assert_eq!(full_udp(sum_slice(&addresses), length as u16, sum_slice(&datagram)), [0xff, 0xff]);
        let updated = update_udp(without, 0, sum_slice(&without));
        prop_assert_eq!(updated, [0xff, 0xff]);
    }

    #[test]
    fn no_udp_checksum_stays_none(removed in any::<u32>(), added in any::<u32>()) {
        prop_assert_eq!(update_udp([0, 0], removed, added), [0, 0]);
    }

    #[test]
    fn a_udp_checksum_never_becomes_none(
        field in any::<[u8; 2]>().prop_filter("none", |field| *field != [0, 0]),
        removed in any::<u32>(),
        added in any::<u32>(),
    ) {
        prop_assert_ne!(update_udp(field, removed, added), [0, 0]);
    }

    /// Many copies, each updated from the one before, do not drift.
    #[test]
    fn a_thousand_updates_in_a_row(
        addresses in prop::collection::vec(awkward(8), 2..20), datagram in a_datagram(),
    ) {
        let mut field = udp_reference(&addresses[0], &datagram);
        for round in 0..1_000 {
            let (from, to) = (&addresses[round % addresses.len()], &addresses[(round + 1) % addresses.len()]);
            field = update_udp(field, sum_slice(from), sum_slice(to));
            prop_assert_eq!(field, udp_reference(to, &datagram));
        }
    }

    #[test]
    fn a_sum_is_that_of_rfc_1071_for_any_number_of_bytes(bytes in awkward(0..100)) {
        let field = !fold(sum_slice(&bytes));
        prop_assert_eq!(field.to_ne_bytes(), reference(&[&bytes]).to_be_bytes());
    }

    #[test]
    fn folding_keeps_the_ones_complement_value(value in any::<u32>()) {
        prop_assert_eq!(u32::from(fold(value)) % 0xffff, value % 0xffff);
        prop_assert_eq!(fold(value) == 0, value == 0);
    }
}

/// The checksum that goes through zero: RFC 1624 section 4 gives it as the case that older equations got wrong.
#[test]
fn the_example_of_rfc_1624() {
    let removed = u32::from(u16::from_ne_bytes([0x55, 0x55]));
    let added = u32::from(u16::from_ne_bytes([0x32, 0x85]));
    assert_eq!(update([0xdd, 0x2f], removed, added), [0x00, 0x00]);
    assert_eq!(update_udp([0xdd, 0x2f], removed, added), [0xff, 0xff]);
}
