//! How a child is reached: its address, the route's next hop with its MAC, and the headers that follow from them.

use std::net::IpAddr;

use relay_common::layout::Child;
use relay_common::rewrite::address_sum;

use crate::address::{mapped, unmapped};
use crate::fanout::ChildId;
use crate::mode::Mode;
use crate::net::{Interface, NeighbourState, NetError, Netlink, NextHop};

/// Why a child cannot be sent to, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Its host name has not been looked up yet.
    #[error("resolving host '{host}'")]
    ResolvingHost { host: String },
    /// It has another address than before, whose route is not known yet.
    #[error("resolving the route to {address}")]
    ResolvingRoute { address: IpAddr },
    /// Its next hop has been asked for its MAC address.
    #[error("resolving the MAC address of {via} on {interface}")]
    ResolvingMac { via: IpAddr, interface: String },
    /// Its next hop has been asked and was silent. So it stays until it answers, however often it is asked again.
    #[error("{via} does not answer on {interface}; is it up, and is `ip neigh` right?")]
    NoAnswer { via: IpAddr, interface: String },
    /// The interface that the route names is down.
    #[error("interface {interface} is down")]
    InterfaceDown { interface: String },
    /// The interface that the route names is none that frames can be written for.
    #[error("{address} is behind {interface}, which has no Ethernet address; use --mode userspace")]
    NoEthernet { address: IpAddr, interface: String },
    /// Its host name cannot be resolved, in the words of whoever looked it up.
    #[error("{0}")]
    Host(String),
    /// The kernel has no route, or does not say.
    #[error("{0}")]
    Route(String),
}

impl Problem {
    /// True while all that is missing is a neighbour's or a name server's answer, and the first time at that.
    pub fn is_resolving(&self) -> bool {
        match self {
            Problem::ResolvingHost { .. } | Problem::ResolvingRoute { .. } | Problem::ResolvingMac { .. } => {
                true
            }
            Problem::NoAnswer { .. }
            | Problem::InterfaceDown { .. }
            | Problem::NoEthernet { .. }
            | Problem::Host(_)
            | Problem::Route(_) => false,
        }
    }

    /// What a next hop without a MAC address means, after `before`.
    fn without_mac(hop: &NextHop, before: Option<&Problem>) -> Problem {
        let (via, interface) = (hop.via, hop.interface.name.clone());
        let silent = Problem::NoAnswer { via, interface: interface.clone() };
        if hop.state == NeighbourState::Failed || before == Some(&silent) {
            return silent;
        }
        Problem::ResolvingMac { via, interface }
    }
}

/// How a child is reached, as far as that is known.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The child's address: of those that its host has, the one of the media's IP version.
    pub address: Option<IpAddr>,
    /// All that its host has, as the resolver gave them.
    pub addresses: Vec<IpAddr>,
    /// The last next hop that was whole. Kept while the kernel knows no better: media beats bookkeeping.
    pub hop: Option<NextHop>,
    /// Why the last question to the kernel, or to a name server, gave no whole next hop.
    pub problem: Option<Problem>,
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

impl Reach {
    /// Asks the kernel for the route to `address`, and makes it resolve the next hop if need be.
    pub async fn find(netlink: &Netlink, address: IpAddr, mode: Mode) -> Reach {
        let mut reach = Reach { address: Some(address), addresses: vec![address], ..Reach::default() };
        reach.refresh(netlink, mode).await;
        reach
    }

    /// Asks the kernel for the route to where a predecessor's copies go. What it does not know just now (a neighbour that
    /// does not answer, a route that is away) stays as it was: the predecessor's record works until something better
    /// is known.
    pub async fn take_over(netlink: &Netlink, record: &Child, mode: Mode) -> Reach {
        let address = unmapped(record.destination);
        let mut reach = Reach { address: Some(address), addresses: vec![address], ..Reach::default() };
        if let Ok(interface) = netlink.interface_by_index(record.ifindex).await {
            reach.hop = Some(hop_of(record, interface));
            reach.assumed = true;
        }
        reach.refresh(netlink, mode).await;
        if reach.refusal.is_some() {
            reach.hop = None;
        }
        reach
    }

    /// The child has another address now: its route is not known yet.
    pub fn readdress(&mut self, address: IpAddr) {
        self.address = Some(address);
        self.hop = None;
        self.assumed = false;
        self.mismatch = None;
        self.problem = Some(Problem::ResolvingRoute { address });
    }

    /// Asks again. True when the headers of the copies may have changed.
    pub async fn refresh(&mut self, netlink: &Netlink, mode: Mode) -> bool {
        let Some(address) = self.address else { return false };
        if mode == Mode::Userspace {
            self.check_route(netlink, address).await;
            return false;
        }
        let before = (self.hop.clone(), self.problem.clone());
        match netlink.next_hop(address).await {
            Ok(hop) if hop.interface.mac.is_none() || hop.interface.loopback => {
                self.problem = Some(Problem::NoEthernet { address, interface: hop.interface.name });
                self.hop = None;
            }
            Ok(hop) if hop.mac.is_some() => {
                self.problem = down(&hop.interface);
                self.hop = Some(hop);
                self.assumed = false;
                self.refusal = None;
            }
            Ok(hop) => {
                self.problem = Some(Problem::without_mac(&hop, self.problem.as_ref()));
                if let Err(error) = netlink.probe(&hop).await {
                    self.problem = Some(Problem::Route(error.to_string()));
                }
                self.keep_hop_only_on(&hop);
            }
            Err(error) => {
                if matches!(error, NetError::Local { .. } | NetError::NotUnicast(_) | NetError::LinkLocal(_))
                {
                    self.refusal =
                        Some(format!("{error}; xdp and tc send to other hosts only (--mode userspace can)"));
                }
                self.problem = Some(Problem::Route(error.to_string()));
                self.drop_hop_if_interface_is_gone(netlink).await;
            }
        }
        before != (self.hop.clone(), self.problem.clone())
    }

    /// Sockets are routed by the kernel; all that is asked here is whether there is a route.
    async fn check_route(&mut self, netlink: &Netlink, address: IpAddr) {
        self.problem = match netlink.next_hop(address).await {
            Ok(hop) => down(&hop.interface),
            Err(NetError::Local { .. }) => None,
            Err(error @ (NetError::NotUnicast(_) | NetError::LinkLocal(_))) => {
                self.refusal = Some(error.to_string());
                Some(Problem::Route(error.to_string()))
            }
            Err(error) => Some(Problem::Route(error.to_string())),
        };
    }

    /// A host whose name has not been looked up yet.
    pub fn unresolved(host: &str) -> Reach {
        Reach { problem: Some(Problem::ResolvingHost { host: host.to_owned() }), ..Reach::default() }
    }

    /// True while the only thing missing is a neighbour's or a name server's answer.
    pub fn is_resolving(&self) -> bool {
        self.hop.is_none()
            && self.refusal.is_none()
            && self.problem.as_ref().is_some_and(Problem::is_resolving)
    }

    /// What keeps the child from its copies, the nearest cause first.
    pub fn shown_problem(&self) -> Option<String> {
        let problem = self.problem.as_ref().map(ToString::to_string);
        self.blocked.clone().or(problem).or_else(|| self.mismatch.clone())
    }

    /// The child's record for the data plane; `None` while it cannot be sent to.
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

fn down(interface: &Interface) -> Option<Problem> {
    (!interface.up).then(|| Problem::InterfaceDown { interface: interface.name.clone() })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(via: &str, interface: &str, state: NeighbourState) -> NextHop {
        let interface = Interface {
            index: 2,
            name: interface.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            mtu: 1500,
            kind: None,
            loopback: false,
        };
        let via = via.parse().unwrap();
        NextHop { interface, gateway: None, via, source: [10, 0, 0, 1].into(), mac: None, state }
    }

    /// What is said of a next hop, one question after the other.
    fn said(hops: &[NextHop]) -> Vec<String> {
        let mut before = None;
        let mut texts = Vec::new();
        for hop in hops {
            let now = Problem::without_mac(hop, before.as_ref());
            if before.as_ref() != Some(&now) {
                texts.push(now.to_string());
            }
            before = Some(now);
        }
        texts
    }

    #[test]
    fn a_next_hop_that_is_silent_is_said_once_however_often_it_is_asked() {
        use NeighbourState::{Failed, Missing, Resolving};
        let states = [Missing, Resolving, Failed, Resolving, Failed, Missing, Resolving, Failed];
        let asked = states.map(|state| hop("10.0.0.7", "eth1", state));
        let texts = said(&asked);
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].starts_with("resolving the MAC address of 10.0.0.7"), "{texts:?}");
        assert!(texts[1].starts_with("10.0.0.7 does not answer on eth1"), "{texts:?}");
    }

    #[test]
    fn another_next_hop_is_resolved_anew() {
        use NeighbourState::{Failed, Resolving};
        let texts = said(&[
            hop("10.0.0.7", "eth1", Failed),
            hop("10.0.0.8", "eth1", Resolving),
            hop("10.0.0.8", "eth2", Resolving),
        ]);
        assert_eq!(texts.len(), 3, "{texts:?}");
    }

    #[test]
    fn only_what_an_answer_would_settle_is_resolving() {
        let reach = |problem| Reach { problem: Some(problem), ..Reach::default() };
        let host = || "relay-2".to_owned();
        assert!(reach(Problem::ResolvingHost { host: host() }).is_resolving());
        assert!(!reach(Problem::Host(host())).is_resolving());
        assert!(!reach(Problem::NoAnswer { via: [10, 0, 0, 7].into(), interface: host() }).is_resolving());
        assert!(!Reach::default().is_resolving());
    }
}
