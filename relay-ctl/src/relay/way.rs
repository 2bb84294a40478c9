//! The way to a child: its address, the next hop, and the headers that follow from them.

use std::net::IpAddr;

use relay_common::layout::Child;
use relay_common::rewrite::address_sum;

use crate::address::{mapped, unmapped};
use crate::fanout::ChildId;
use crate::mode::Mode;
use crate::net::{Interface, NeighbourState, NetError, Netlink, NextHop};

/// What is known of the way to a child.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The child's address: of those that its host has, the one of the media's IP version.
    pub address: Option<IpAddr>,
    /// All that its host has, as the resolver gave them.
    pub addresses: Vec<IpAddr>,
    /// The last next hop that was whole. Kept while the kernel knows no better: media beats bookkeeping.
    pub hop: Option<NextHop>,
    /// Why the last look-up gave no next hop.
    pub problem: Option<String>,
    /// The hop is what a predecessor sent to: right so far, but which router it goes by is not known.
    assumed: bool,
    /// Why the host name could not be looked up, while copies go on to the address that it had.
    pub unresolved: Option<String>,
    /// Why the child gets none of the media that there is: that is of the other IP version.
    pub mismatch: Option<String>,
    /// Why no copy may leave on the egress interface.
    pub blocked: Option<String>,
    /// Why this can never be a child.
    pub refusal: Option<String>,
}

impl Way {
    /// Asks the kernel for the way to `address`, and makes it resolve the next hop if need be.
    pub async fn look_up(netlink: &Netlink, address: IpAddr, mode: Mode) -> Way {
        let mut way = Way { address: Some(address), addresses: vec![address], ..Way::default() };
        way.refresh(netlink, mode).await;
        way
    }

    /// Asks the kernel for the way to where a predecessor's copies go. What it does not know just now (a neighbour that
    /// does not answer, a route that is away) stays as it was: the predecessor's record works until something better
    /// is known.
    pub async fn take_over(netlink: &Netlink, record: &Child, mode: Mode) -> Way {
        let address = unmapped(record.destination);
        let mut way = Way { address: Some(address), addresses: vec![address], ..Way::default() };
        if let Ok(interface) = netlink.interface_by_index(record.ifindex).await {
            way.hop = Some(hop_of(record, interface));
            way.assumed = true;
        }
        way.refresh(netlink, mode).await;
        if way.refusal.is_some() {
            way.hop = None;
        }
        way
    }

    /// The child has another address now: its way is not known yet.
    pub fn readdress(&mut self, address: IpAddr) {
        self.address = Some(address);
        self.hop = None;
        self.assumed = false;
        self.mismatch = None;
        self.problem = Some(format!("asking for the way to {address}"));
    }

    /// Asks again. True when the headers of the copies may have changed.
    pub async fn refresh(&mut self, netlink: &Netlink, mode: Mode) -> bool {
        let Some(address) = self.address else { return false };
        if mode == Mode::Userspace {
            self.look_for_sockets(netlink, address).await;
            return false;
        }
        let before = (self.hop.clone(), self.problem.clone());
        match netlink.next_hop(address).await {
            Ok(hop) if hop.interface.mac.is_none() || hop.interface.loopback => {
                self.problem = Some(format!(
                    "{address} is behind {}, which has no Ethernet address; use --mode userspace",
                    hop.interface.name
                ));
                self.hop = None;
            }
            Ok(hop) if hop.mac.is_some() => {
                self.problem =
                    (!hop.interface.up).then(|| format!("interface {} is down", hop.interface.name));
                self.hop = Some(hop);
                self.assumed = false;
                self.refusal = None;
            }
            Ok(hop) => {
                self.problem = Some(match hop.state {
                    NeighbourState::Failed => format!(
                        "{} does not answer on {}; is it up, and is `ip neigh` right?",
                        hop.via, hop.interface.name
                    ),
                    _ => format!("asking for the MAC address of {} on {}", hop.via, hop.interface.name),
                });
                if let Err(error) = netlink.probe(&hop).await {
                    self.problem = Some(error.to_string());
                }
                self.keep_hop_only_on(&hop);
            }
            Err(error) => {
                if matches!(error, NetError::Local { .. } | NetError::NotUnicast(_) | NetError::LinkLocal(_))
                {
                    self.refusal =
                        Some(format!("{error}; xdp and tc send to other hosts only (--mode userspace can)"));
                }
                self.problem = Some(error.to_string());
                self.drop_hop_if_interface_is_gone(netlink).await;
            }
        }
        before != (self.hop.clone(), self.problem.clone())
    }

    /// Sockets find the way by themselves; all that is asked here is whether there is one.
    async fn look_for_sockets(&mut self, netlink: &Netlink, address: IpAddr) {
        self.problem = match netlink.next_hop(address).await {
            Ok(hop) => (!hop.interface.up).then(|| format!("interface {} is down", hop.interface.name)),
            Err(NetError::Local { .. }) => None,
            Err(error @ (NetError::NotUnicast(_) | NetError::LinkLocal(_))) => {
                self.refusal = Some(error.to_string());
                Some(error.to_string())
            }
            Err(error) => Some(error.to_string()),
        };
    }

    /// The way to a host whose name has not been looked up yet.
    pub fn unnamed(host: &str) -> Way {
        Way { problem: Some(format!("looking up host '{host}'")), ..Way::default() }
    }

    /// True while the only thing missing is a neighbour's or a name server's answer.
    pub fn is_resolving(&self) -> bool {
        let waiting = |problem: &str| problem.starts_with("asking") || problem.starts_with("looking up");
        self.hop.is_none() && self.refusal.is_none() && self.problem.as_deref().is_some_and(waiting)
    }

    /// The child's record for the data plane; `None` while there is no way to it.
    pub fn headers(&self, id: ChildId, ports: [u16; 2]) -> Option<Child> {
        let hop = self.hop.as_ref().filter(|_| self.blocked.is_none())?;
        let address = self.address?;
        let (source, destination) = (mapped(hop.source), mapped(address));
        Some(Child {
            destination_mac: hop.mac?,
            source_mac: hop.interface.mac?,
            ethertype: if address.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] },
            mtu: u16::try_from(hop.interface.mtu).unwrap_or(u16::MAX),
            source,
            destination,
            ports,
            address_sum: address_sum(&source, &destination, address.is_ipv4()),
            ifindex: hop.interface.index,
            counter: id,
        })
    }

    /// A next hop elsewhere means that the old one is wrong even before the new one's MAC is known.
    fn keep_hop_only_on(&mut self, hop: &NextHop) {
        let Some(old) = &mut self.hop else { return };
        let same_interface = old.interface.index == hop.interface.index;
        if same_interface && self.assumed {
            // Whose MAC a predecessor's was is known now.
            (old.via, old.gateway) = (hop.via, hop.gateway);
            self.assumed = false;
        } else if !same_interface || old.via != hop.via {
            self.hop = None;
        }
    }

    async fn drop_hop_if_interface_is_gone(&mut self, netlink: &Netlink) {
        if let Some(hop) = &self.hop
            && netlink.interface_by_index(hop.interface.index).await.is_err()
        {
            self.hop = None;
        }
    }
}

/// The hop that a record in the kernel stands for. Of a router it knows the MAC only.
fn hop_of(record: &Child, interface: Interface) -> NextHop {
    NextHop {
        interface,
        gateway: None,
        via: unmapped(record.destination),
        source: unmapped(record.source),
        mac: Some(record.destination_mac),
        state: NeighbourState::Valid,
    }
}
