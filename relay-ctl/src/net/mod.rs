//! What the kernel knows about the way to a child: egress interface, next hop, MAC addresses, preferred source.
//!
//! The kernel stays the only router: this module asks it over rtnetlink, reads its neighbour table, makes it
//! resolve a neighbour, and hears of every change. It holds no state of its own, never adds a route, address
//! or permanent neighbour entry, and reads neither `/sys` nor `/proc`.
//!
//! | file | job |
//! |---|---|
//! | `requests.rs` | [`Netlink`]: the questions, each one request and its reply |
//! | `events.rs` | [`Changes`]: the kernel's notifications as a stream |
//! | `link.rs`, `address.rs`, `route.rs`, `neighbour.rs` | netlink message ↔ our types, without I/O |
//! | `features.rs` | what a driver says it can do with XDP |
//! | `error.rs` | [`NetError`] |

mod address;
mod error;
mod events;
mod features;
mod link;
mod neighbour;
mod requests;
mod route;

use std::net::IpAddr;

pub use address::{Usable, primary};
pub use error::NetError;
pub use events::Changes;
pub use features::{XdpFeatures, xdp_features};
pub use requests::Netlink;

/// A network interface as `ip -details link show` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    /// `None` when the interface has no 6-byte link-layer address (tunnels, WireGuard).
    pub mac: Option<[u8; 6]>,
    /// Administratively up, with carrier, and operational: frames can leave now.
    pub up: bool,
    pub mtu: u32,
    /// The driver's rtnetlink kind ("veth", "vlan", "bridge"…); `None` for hardware and loopback.
    pub kind: Option<String>,
    pub loopback: bool,
}

/// The first hop on the way to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The egress interface. A frame's source MAC is this interface's.
    pub interface: Interface,
    /// The router, when the destination is not on the link. Of the other family for `via inet6` routes.
    pub gateway: Option<IpAddr>,
    /// Whose MAC address counts: the gateway, or the destination itself.
    pub via: IpAddr,
    /// The source address the kernel would choose.
    pub source: IpAddr,
    /// The MAC address of `via`; `Some` exactly when `state` is [`NeighbourState::Valid`].
    pub mac: Option<[u8; 6]>,
    pub state: NeighbourState,
}

/// What the neighbour table (ARP, NDP) says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourState {
    /// The MAC address is known: reachable, stale, delay, probe, permanent or noarp.
    Valid,
    /// The kernel is asking the link (incomplete). Never in a [`Change`]: the kernel tells only the outcome.
    Resolving,
    /// Nobody answered.
    Failed,
    /// No entry, or an entry that never got a MAC address: [`Netlink::probe`] makes the kernel ask.
    Missing,
}

/// Something changed in the kernel's tables. A hint to look again: what it does not carry, ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An interface appeared, changed or went (also: to another namespace). When an interface goes down the
    /// kernel drops its IPv4 routes without any [`Change::Route`].
    Link { index: u32, name: String, up: bool, removed: bool },
    /// A neighbour entry changed; [`NeighbourState::Missing`] when it was deleted.
    Neighbour { ifindex: u32, address: IpAddr, mac: Option<[u8; 6]>, state: NeighbourState },
    /// An address was added, removed, or is now usable.
    Address { ifindex: u32 },
    /// A route or routing rule changed; every [`NextHop`] may be different.
    Route,
    /// Notifications were lost: re-read everything.
    Overrun,
}
