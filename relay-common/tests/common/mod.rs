//! Frames as etherparse builds them, and strategies for their parts.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

pub mod bounds;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use proptest::prelude::*;
use relay_common::parse::{IPV4, IPV6, UDP};

/// What a frame says. Checksums are always right.
#[derive(Clone, Debug)]
pub struct Frame {
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    /// VLAN id.
    pub vlan: Option<u16>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
    pub ttl: u8,
    pub payload: Vec<u8>,
    /// Ethernet padding after the datagram.
    pub padding: usize,
}

impl Frame {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ethernet = PacketBuilder::ethernet2(self.source_mac, self.destination_mac);
        macro_rules! finish {
            ($link:expr) => {
                match (self.source, self.destination) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => $link.ipv4(from.octets(), to.octets(), self.ttl),
                    (IpAddr::V6(from), IpAddr::V6(to)) => $link.ipv6(from.octets(), to.octets(), self.ttl),
                    _ => panic!("one IP version for both addresses"),
                }
                .udp(self.source_port, self.destination_port)
                .write(&mut bytes, &self.payload)
                .unwrap()
            };
        }
        match self.vlan {
            Some(id) => finish!(ethernet.single_vlan(id.try_into().unwrap())),
            None => finish!(ethernet),
        }
        bytes.resize(bytes.len() + self.padding, 0xee);
        bytes
    }

    pub fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }

    pub fn ip_offset(&self) -> usize {
        if self.vlan.is_some() { 18 } else { 14 }
    }

    pub fn udp_offset(&self) -> usize {
        self.ip_offset() + if self.is_v4() { IPV4 } else { IPV6 }
    }

    pub fn payload_offset(&self) -> usize {
        self.udp_offset() + UDP
    }
}

/// An address as the relay keeps it: IPv4 mapped.
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

prop_compose! {
    /// An RTP packet of any kind.
    pub fn rtp()(
        marker_and_type in any::<u8>(),
        sequence in any::<u16>(),
        timestamp in any::<u32>(),
        ssrc in any::<u32>(),
        media in prop::collection::vec(any::<u8>(), 0..64),
    ) -> Vec<u8> {
        [&[0x80, marker_and_type][..], &sequence.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes(), &media]
            .concat()
    }
}

/// Two addresses of one IP version.
pub fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(from, to)| (from.into(), to.into())),
        any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(from, to)| (from.into(), to.into())),
    ]
}

prop_compose! {
    /// A frame with RTP, or with anything else, in it.
    pub fn frame()(
        source_mac in any::<[u8; 6]>(),
        destination_mac in any::<[u8; 6]>(),
        vlan in prop::option::of(0..4096u16),
        (source, destination) in addresses(),
        (source_port, destination_port) in any::<(u16, u16)>(),
        ttl in any::<u8>(),
        payload in prop_oneof![
            3 => rtp(),
            // Around the shortest headers, with and without Ethernet padding behind them.
            1 => (rtp(), 0..14usize).prop_map(|(rtp, length)| rtp[..length.min(rtp.len())].to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ],
        padding in prop_oneof![2 => Just(0), 1 => 1..20usize],
    ) -> Frame {
        Frame {
            source_mac,
            destination_mac,
            vlan,
            source,
            destination,
            source_port,
            destination_port,
            ttl,
            payload,
            padding,
        }
    }
}

/// Overwrites some bytes, near the start more often than not: that is where the headers are.
pub fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)
}

/// Carries [`damage`] out.
pub fn damaged(mut bytes: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let headers = bytes.len().min(70);
    for (at, value) in damage {
        bytes[at.index(headers)] = *value;
    }
    bytes
}
