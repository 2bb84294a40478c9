//! A [`Plan`] made ready for the forwarding threads: addresses as the sockets want them, nothing left to look up.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use relay_common::layout::StreamKey;
use socket2::SockAddr;

use super::lanes::Lanes;
use super::listen::{V4, V6};
use super::{Plan, Target};

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

/// What the forwarding threads go by; replaced whole, never changed.
#[derive(Default)]
pub struct Compiled {
    pub children: Vec<Destination>,
    all: Vec<usize>,
    routes: HashMap<StreamKey, Vec<usize>>,
    /// Addresses of the children.
    peers: HashSet<[u8; 16]>,
    /// Sockets for the copies to single children.
    pub lanes: Lanes,
}

impl Compiled {
    /// `mapped`: the sockets are dual stack and take IPv4 addresses as IPv4-mapped.
    pub fn new(plan: Plan, mapped: bool) -> Compiled {
        let count = plan.children.len();
        let known = |mut set: Vec<usize>| {
            set.retain(|child| *child < count);
            set
        };
        let children: Vec<_> = plan.children.iter().map(|target| destination(target, mapped)).collect();
        let peers = children.iter().map(|child| child.address).collect();
        Compiled {
            children,
            all: known(plan.all),
            routes: plan.routes.into_iter().map(|(key, set)| (key, known(set))).collect(),
            peers,
            lanes: Lanes::default(),
        }
    }

    /// Indexes of the children that get this stream.
    pub fn set(&self, key: &StreamKey) -> &[usize] {
        self.routes.get(key).unwrap_or(&self.all)
    }

    /// Is this a child's address?
    pub fn is_peer(&self, address: [u8; 16]) -> bool {
        self.peers.contains(&address)
    }
}

fn destination(target: &Target, mapped: bool) -> Destination {
    let address = target.address.to_canonical();
    // Port 65535 has no RTCP port; the kernel refuses 0, and that is counted as the child's error.
    let ports = target.ports.map(|port| [port, port.wrapping_add(1)]);
    let name = |port: u16| match address {
        IpAddr::V4(v4) if mapped => SockAddr::from(SocketAddrV6::new(v4.to_ipv6_mapped(), port, 0, 0)),
        _ => SockAddr::from(SocketAddr::new(address, port)),
    };
    Destination {
        counter: target.counter,
        address: wire(address),
        version: if address.is_ipv4() { V4 } else { V6 },
        ports,
        names: ports.map(|pair| pair.map(name)),
    }
}

/// [`wire`] read back.
pub fn address(wire: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(wire).to_canonical()
}

/// An address as the shared crate writes it, IPv4 mapped.
fn wire(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
