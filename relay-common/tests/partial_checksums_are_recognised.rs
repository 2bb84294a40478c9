//! A local sender with checksum offload leaves the pseudo-header's folded sum in the UDP field, not complemented.

mod common;

use common::{addresses, mapped};
use etherparse::UdpHeader;
use proptest::prelude::*;
use relay_common::checksum::{full_udp, partial_udp, sum_slice};
use relay_common::rewrite::address_sum;

/// Sum of the pseudo-header in big-endian words, as the kernel's `csum_tcpudp_magic` has it before complementing.
fn pseudo_header(addresses: &[u8], udp_length: u16) -> [u8; 2] {
    let mut total: u32 =
        addresses.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>() + 17;
    total += u32::from(udp_length);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    (total as u16).to_be_bytes()
}

proptest! {
    #[test]
    fn the_field_is_the_sum_of_the_pseudo_header((from, to) in addresses(), length in 8..1_480u16) {
        let (from, to) = (mapped(from), mapped(to));
        let v4 = from[..12] == mapped([0, 0, 0, 0].into())[..12];
        let skipped = if v4 { 12 } else { 0 };
        let sum = address_sum(&from, &to, v4);
        let both = [&from[skipped..], &to[skipped..]].concat();
        prop_assert_eq!(partial_udp(sum, length), pseudo_header(&both, length));
        prop_assert_ne!(partial_udp(sum, length), [0, 0], "it can never be taken for no checksum");
    }

    /// Hardware adds the datagram to the field and complements: the full checksum.
    #[test]
    fn finishing_the_sum_gives_the_checksum_that_etherparse_computes(
        (from, to) in addresses(),
        ports in any::<(u16, u16)>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let length = payload.len() as u16 + 8;
        let header = match (from, to) {
            (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
                UdpHeader::with_ipv4_checksum(ports.0, ports.1, &etherparse::Ipv4Header::new(
                    length, 64, etherparse::IpNumber::UDP, from.octets(), to.octets(),
                ).unwrap(), &payload)
            }
            (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
                UdpHeader::with_ipv6_checksum(ports.0, ports.1, &etherparse::Ipv6Header {
                    source: from.octets(), destination: to.octets(), ..Default::default()
                }, &payload)
            }
            _ => unreachable!(),
        }.unwrap();
        let zeroed = UdpHeader { checksum: 0, ..header.clone() };
        let sum = address_sum(&mapped(from), &mapped(to), from.is_ipv4());
        let datagram = sum_slice(&zeroed.to_bytes()) + sum_slice(&payload);
        prop_assert_eq!(full_udp(sum, length, datagram), header.checksum.to_be_bytes());
    }
}
