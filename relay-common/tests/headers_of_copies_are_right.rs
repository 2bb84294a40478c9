//! However many children a packet is addressed to one after the other, each copy's headers are those that building
//! them from nothing would give, checksums included, and nothing else has changed.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::{Frame, frame, mapped};
use proptest::prelude::*;
use relay_common::checksum::{fold, sum_slice};
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
            mtu: 1500,
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

/// An address whose words sum to something awkward as often as not.
fn v4() -> impl Strategy<Value = IpAddr> {
    prop::array::uniform4(awkward()).prop_map(|octets| Ipv4Addr::from(octets).into())
}

fn v6() -> impl Strategy<Value = IpAddr> {
    prop::array::uniform16(awkward()).prop_map(|octets| Ipv6Addr::from(octets).into())
}

fn awkward() -> impl Strategy<Value = u8> {
    prop_oneof![2 => any::<u8>(), 1 => Just(0), 1 => Just(0xff)]
}

fn to(address: fn() -> BoxedStrategy<IpAddr>) -> impl Strategy<Value = To> {
    (any::<[[u8; 6]; 2]>(), address(), address(), any::<u16>()).prop_map(
        |([source_mac, destination_mac], source, destination, port)| To {
            source_mac,
            destination_mac,
            source,
            destination,
            port,
        },
    )
}

/// Frames of one IP version as they are when they are rewritten: untagged, TTL not yet used up.
fn frame_to(address: fn() -> BoxedStrategy<IpAddr>) -> impl Strategy<Value = (Frame, Vec<To>)> {
    (frame(), address(), address(), 2..=255u8, prop::collection::vec(to(address), 1..6)).prop_map(
        |(frame, source, destination, ttl, children)| {
            (Frame { vlan: None, source, destination, ttl, ..frame }, children)
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

fn open_v4(packet: &mut [u8]) {
    let addresses = fold(sum_slice(&packet[26..34]));
    rewrite::open_v4(headers::<V4_HEADERS>(packet), addresses);
}

fn open_v6(packet: &mut [u8]) {
    let addresses = fold(sum_slice(&packet[22..54]));
    rewrite::open_v6(headers::<V6_HEADERS>(packet), addresses);
}

proptest! {
    #[test]
    fn of_ipv4_copies((frame, children) in frame_to(|| v4().boxed())) {
        let mut bytes = frame.bytes();
        open_v4(&mut bytes);
        for to in &children {
            let mut copy = bytes.clone();
            rewrite::close_v4(headers::<V4_HEADERS>(&mut copy), &to.child(), to.port);
            prop_assert_eq!(&copy, &to.copy_of(&frame));
        }
    }

    #[test]
    fn of_ipv6_copies((frame, children) in frame_to(|| v6().boxed())) {
        let mut bytes = frame.bytes();
        open_v6(&mut bytes);
        for to in &children {
            let mut copy = bytes.clone();
            rewrite::close_v6(headers::<V6_HEADERS>(&mut copy), &to.child(), to.port);
            prop_assert_eq!(&copy, &to.copy_of(&frame));
        }
    }

    #[test]
    fn of_ipv4_copies_without_a_udp_checksum((frame, children) in frame_to(|| v4().boxed())) {
        let mut bytes = without_checksum(&frame, frame.bytes());
        open_v4(&mut bytes);
        for to in &children {
            let mut copy = bytes.clone();
            rewrite::close_v4(headers::<V4_HEADERS>(&mut copy), &to.child(), to.port);
            prop_assert_eq!(&copy, &without_checksum(&frame, to.copy_of(&frame)));
        }
    }

    #[test]
    fn of_copies_whose_udp_checksum_the_kernel_keeps((frame, children) in frame_to(|| v4().boxed())) {
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
    fn of_ipv6_copies_whose_udp_checksum_the_kernel_keeps((frame, children) in frame_to(|| v6().boxed())) {
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

    /// The one payload word that makes a copy's checksum come out as 0, which must be sent as 0xffff (RFC 768).
    #[test]
    fn of_copies_whose_checksum_comes_out_as_zero(
        (frame, children) in prop_oneof![frame_to(|| v4().boxed()), frame_to(|| v6().boxed())],
        of_the_original in any::<bool>(),
    ) {
        let mut frame = Frame { padding: 0, ..frame };
        frame.payload.truncate(frame.payload.len() / 2 * 2);
        frame.payload.extend([0, 0]);
        let without = if of_the_original { frame.bytes() } else { children[0].copy_of(&frame) };
        let word = frame.payload.len() - 2;
        let field = frame.udp_offset() + 6;
        frame.payload[word..].copy_from_slice(&without[field..field + 2]);
        let all_ones = if of_the_original { frame.bytes() } else { children[0].copy_of(&frame) };
        prop_assert_eq!(&all_ones[field..field + 2], [0xff, 0xff]);
        for to in &children {
            let mut copy = frame.bytes();
            if frame.is_v4() {
                open_v4(&mut copy);
                rewrite::close_v4(headers::<V4_HEADERS>(&mut copy), &to.child(), to.port);
            } else {
                open_v6(&mut copy);
                rewrite::close_v6(headers::<V6_HEADERS>(&mut copy), &to.child(), to.port);
            }
            prop_assert_eq!(&copy, &to.copy_of(&frame));
        }
    }
}

/// All that copies have in common sums to 0, which in an open packet must not be taken for "no checksum".
#[test]
fn of_copies_that_have_a_sum_of_zero_in_common() {
    let mut frame = Frame {
        source_mac: [2; 6],
        destination_mac: [4; 6],
        vlan: None,
        source: Ipv4Addr::new(255, 255, 0, 0).into(),
        destination: Ipv4Addr::UNSPECIFIED.into(),
        source_port: 0xffff,
        destination_port: 5004,
        ttl: 64,
        payload: vec![0; 14],
        padding: 0,
    };
    let field = frame.udp_offset() + 6;
    let without = frame.bytes();
    frame.payload[12..].copy_from_slice(&without[field..field + 2]);
    assert_eq!(frame.bytes()[field..field + 2], [0xff, 0xff]);
    let to = To {
        source_mac: [6; 6],
        destination_mac: [8; 6],
        source: Ipv4Addr::new(10, 0, 0, 1).into(),
        destination: Ipv4Addr::new(10, 0, 0, 2).into(),
        port: 5004,
    };
    let mut copy = frame.bytes();
    open_v4(&mut copy);
    rewrite::close_v4(headers::<V4_HEADERS>(&mut copy), &to.child(), to.port);
    assert_eq!(copy, to.copy_of(&frame));
}
