//! However many children a packet is addressed to one after the other, each copy's headers are those that building
//! them from nothing would give, checksums included, and nothing else has changed.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::{Frame, frame, mapped};
use proptest::prelude::*;
use relay_common::layout::Child;
use relay_common::rewrite::{self, V4_HEADERS, V6_HEADERS, address_sum};

/// A child and the port that the copy goes to.
#[derive(Clone, Debug)]
struct To {
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    source: IpAddr,
    destination: IpAddr,
    port: u16,
}

impl To {
    fn child(&self) -> Child {
        let (source, destination) = (mapped(self.source), mapped(self.destination));
        let v4 = self.source.is_ipv4();
        Child {
            destination_mac: self.destination_mac,
            source_mac: self.source_mac,
            ethertype: if v4 { [0x08, 0x00] } else { [0x86, 0xdd] },
            reserved: [0; 2],
            source,
            destination,
            ports: [self.port; 2],
            address_sum: address_sum(&source, &destination, v4),
            ifindex: 1,
            counter: 0,
        }
    }

    /// The copy, built from nothing.
    fn copy_of(&self, frame: &Frame) -> Vec<u8> {
        Frame {
            source_mac: self.source_mac,
            destination_mac: self.destination_mac,
            source: self.source,
            destination: self.destination,
            source_port: frame.destination_port,
            destination_port: self.port,
            ttl: frame.ttl - 1,
            ..frame.clone()
        }
        .bytes()
    }
}

fn to<A: Arbitrary + Into<IpAddr> + std::fmt::Debug + 'static>() -> impl Strategy<Value = To> {
    (any::<[[u8; 6]; 2]>(), any::<(A, A)>(), any::<u16>()).prop_map(|(macs, (source, destination), port)| {
        To {
            source_mac: macs[0],
            destination_mac: macs[1],
            source: source.into(),
            destination: destination.into(),
            port,
        }
    })
}

/// Frames of one IP version as they are when they are rewritten: untagged, TTL not yet used up.
fn frame_to<A: Arbitrary + Into<IpAddr> + std::fmt::Debug + 'static>()
-> impl Strategy<Value = (Frame, Vec<To>)> {
    (frame(), any::<(A, A)>(), 2..=255u8, prop::collection::vec(to::<A>(), 1..6)).prop_map(
        |(frame, (source, destination), ttl, children)| {
            let frame =
                Frame { vlan: None, source: source.into(), destination: destination.into(), ttl, ..frame };
            (frame, children)
        },
    )
}

fn headers<const N: usize>(bytes: &mut [u8]) -> &mut [u8; N] {
    bytes.first_chunk_mut().unwrap()
}

/// Takes the UDP checksum out of a frame.
fn without_checksum(frame: &Frame, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[frame.udp_offset() + 6..][..2].fill(0);
    bytes
}

proptest! {
    #[test]
    fn of_ipv4_copies((frame, children) in frame_to::<Ipv4Addr>()) {
        let mut bytes = frame.bytes();
        rewrite::open_v4(headers::<V4_HEADERS>(&mut bytes));
        for to in &children {
            let mut copy = bytes.clone();
            rewrite::close_v4(headers::<V4_HEADERS>(&mut copy), &to.child(), to.port);
            prop_assert_eq!(&copy, &to.copy_of(&frame));
        }
    }

    #[test]
    fn of_ipv6_copies((frame, children) in frame_to::<Ipv6Addr>()) {
        let mut bytes = frame.bytes();
        rewrite::open_v6(headers::<V6_HEADERS>(&mut bytes));
        for to in &children {
            let mut copy = bytes.clone();
            rewrite::close_v6(headers::<V6_HEADERS>(&mut copy), &to.child(), to.port);
            prop_assert_eq!(&copy, &to.copy_of(&frame));
        }
    }

    #[test]
    fn of_ipv4_copies_without_a_udp_checksum((frame, children) in frame_to::<Ipv4Addr>()) {
        let mut bytes = without_checksum(&frame, frame.bytes());
        rewrite::open_v4(headers::<V4_HEADERS>(&mut bytes));
        for to in &children {
            let mut copy = bytes.clone();
            rewrite::close_v4(headers::<V4_HEADERS>(&mut copy), &to.child(), to.port);
            prop_assert_eq!(&copy, &without_checksum(&frame, to.copy_of(&frame)));
        }
    }

    #[test]
    fn of_copies_whose_udp_checksum_the_kernel_keeps((frame, children) in frame_to::<Ipv4Addr>()) {
        let mut bytes = frame.bytes();
        let at = frame.udp_offset() + 6;
        let field = bytes[at..at + 2].to_vec();
        rewrite::normalise_v4(headers::<V4_HEADERS>(&mut bytes));
        for to in &children {
            rewrite::address_v4(headers::<V4_HEADERS>(&mut bytes), &to.child(), to.port);
            prop_assert_eq!(&bytes[at..at + 2], &field[..], "the field is not touched");
            let all_else = without_checksum(&frame, bytes.clone());
            prop_assert_eq!(all_else, without_checksum(&frame, to.copy_of(&frame)));
        }
    }

    #[test]
    fn of_ipv6_copies_whose_udp_checksum_the_kernel_keeps((frame, children) in frame_to::<Ipv6Addr>()) {
        let mut bytes = frame.bytes();
        let at = frame.udp_offset() + 6;
        let field = bytes[at..at + 2].to_vec();
        rewrite::normalise_v6(headers::<V6_HEADERS>(&mut bytes));
        for to in &children {
            rewrite::address_v6(headers::<V6_HEADERS>(&mut bytes), &to.child(), to.port);
            prop_assert_eq!(&bytes[at..at + 2], &field[..], "the field is not touched");
            let all_else = without_checksum(&frame, bytes.clone());
            prop_assert_eq!(all_else, without_checksum(&frame, to.copy_of(&frame)));
        }
    }
}
