//! What our parser finds in a frame is what an independent one finds, and what was put in.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::net::IpAddr;

use common::{Frame, damage, damaged, frame, mapped};
use etherparse::{EtherType, NetSlice, SlicedPacket, TransportSlice, UdpSlice};
use proptest::prelude::*;
use relay_common::packet::Packet;
use relay_common::parse::{self, Datagram, Family};
use relay_common::reason::Reason;

fn parsed(bytes: &[u8]) -> Result<Datagram, Reason> {
    parse::datagram(Packet::new(bytes))
}

/// What was put in.
fn expected(frame: &Frame, bytes: &[u8]) -> Datagram {
    let checksum = frame.udp_offset() + 6;
    Datagram {
        family: if frame.is_v4() { Family::V4 } else { Family::V6 },
        tagged: frame.vlan.is_some(),
        source: mapped(frame.source),
        destination: mapped(frame.destination),
        source_port: frame.source_port,
        destination_port: frame.destination_port,
        udp_length: frame.payload.len() as u16 + 8,
        checksum: [bytes[checksum], bytes[checksum + 1]],
        ttl: frame.ttl,
    }
}

/// An IPv4 address in an IPv6 header.
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// What etherparse finds, if it is a datagram that the relay would take.
fn found_by_etherparse(bytes: &[u8]) -> Option<Datagram> {
    let sliced = SlicedPacket::from_ethernet(bytes).ok()?;
    let udp: UdpSlice<'_> = match sliced.transport.as_ref()? {
        TransportSlice::Udp(udp) => udp.clone(),
        _ => return None,
    };
    let tagged = match sliced.vlan_ids()[..] {
        [] => false,
        // 0x88a8 is a service tag, which is for switches between us.
        [_] => (bytes[12..14] == EtherType::VLAN_TAGGED_FRAME.0.to_be_bytes()).then_some(true)?,
        _ => return None,
    };
    let (family, source, destination, ttl, payload, fragmented, plain) = match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let plain = header.options().is_empty() && ip.extensions().is_empty();
            let addresses = (header.source_addr().into(), header.destination_addr().into());
            let fragmented = header.is_fragmenting_payload();
            (Family::V4, addresses.0, addresses.1, header.ttl(), ip.payload().payload, fragmented, plain)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let addresses = (header.source_addr().into(), header.destination_addr().into());
            if is_mapped(addresses.0) || is_mapped(addresses.1) {
                return None;
            }
            let plain = ip.extensions().is_empty() && header.payload_length() != 0;
            (Family::V6, addresses.0, addresses.1, header.hop_limit(), ip.payload().payload, false, plain)
        }
        NetSlice::Arp(_) => return None,
    };
    // The datagram fills its IP packet: anything else the relay leaves to the stack.
    if fragmented || !plain || usize::from(udp.length()) != payload.len() {
        return None;
    }
    Some(Datagram {
        family,
        tagged,
        source: mapped(source),
        destination: mapped(destination),
        source_port: udp.source_port(),
        destination_port: udp.destination_port(),
        udp_length: udp.length(),
        checksum: udp.checksum().to_be_bytes(),
        ttl,
    })
}

proptest! {
    #[test]
    fn every_field_of_a_valid_frame(frame in frame()) {
        let bytes = frame.bytes();
        let datagram = parsed(&bytes);
        if is_mapped(frame.source) || is_mapped(frame.destination) {
            prop_assert_eq!(datagram, Err(Reason::NotLocal));
            return Ok(());
        }
        prop_assert_eq!(datagram, Ok(expected(&frame, &bytes)));
        prop_assert_eq!(datagram.ok(), found_by_etherparse(&bytes));
        let datagram = datagram.unwrap();
        prop_assert_eq!(datagram.ip_offset(), frame.ip_offset());
        prop_assert_eq!(datagram.payload_offset(), frame.payload_offset());
        prop_assert_eq!(usize::from(datagram.payload_length()), frame.payload.len());
        for rtcp_port in [false, true] {
            let payload = parse::payload(Packet::new(&bytes), &datagram, rtcp_port);
            prop_assert_eq!(payload, parse::payload_of(&frame.payload, rtcp_port));
        }
    }

    #[test]
    fn a_damaged_or_cut_frame_is_taken_by_both_or_by_neither(
        frame in frame(),
        damage in damage(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = damaged(frame.bytes(), &damage);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        prop_assert_eq!(parsed(&bytes).ok(), found_by_etherparse(&bytes));
    }
}
