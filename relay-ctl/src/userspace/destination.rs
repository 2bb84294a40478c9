//! A child as the sockets send to it.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use socket2::SockAddr;

use super::Target;
use super::listen::{V4, V6};
use crate::address;

/// One child.
pub struct Destination {
    pub counter: u32,
    /// IPv4 mapped.
    pub address: [u8; 16],
    /// [`V4`] or [`V6`].
    pub version: usize,
    /// RTP and RTCP port, by kind.
    pub ports: [[u16; 2]; 2],
    /// Address and port, in the same order.
    pub names: [[SockAddr; 2]; 2],
}

impl Destination {
    /// `mapped`: the sockets are dual stack and take IPv4 addresses as IPv4-mapped.
    pub fn new(target: &Target, mapped: bool) -> Destination {
        let address = target.address.to_canonical();
        // Port 65535 has no RTCP port; the kernel refuses 0, and that is counted as the child's error.
        let ports = target.ports.map(|port| [port, port.wrapping_add(1)]);
        let name = |port: u16| match address {
            IpAddr::V4(v4) if mapped => SockAddr::from(SocketAddrV6::new(v4.to_ipv6_mapped(), port, 0, 0)),
            _ => SockAddr::from(SocketAddr::new(address, port)),
        };
        Destination {
            counter: target.counter,
            address: address::mapped(address),
            version: if address.is_ipv4() { V4 } else { V6 },
            ports,
            names: ports.map(|pair| pair.map(name)),
        }
    }
}
