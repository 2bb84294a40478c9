//! [`Topology`]: the relay in the middle, `injection-1` on its `eth0`, receivers on the other side.
//!
//! All dual stack. GRO is on at every far end that a relay's XDP program may transmit into (see
//! [`Lab::enable_gro`]); the relay's own ends get their NAPI from the XDP program on them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, ensure};

use crate::netns::Lab;

const RELAY: &str = "relay-1";
const INJECTION: &str = "injection-1";
const SWITCH: &str = "switch";
const SECOND_RELAY: &str = "relay-2";
/// Where Redis and Prometheus run.
pub const CONTROL: &str = "control";
const CONTROL_SUBNET: usize = 201;
/// The host part of the first receiver's address: 10.0.2.11, fd00:0:0:2::11.
pub(crate) const FIRST_CHILD: usize = 11;
const MAX_CHILDREN: usize = 200;

/// An interface with one address of each family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Namespace, without the lab's prefix.
    pub namespace: String,
    /// Interface in it.
    pub interface: String,
    /// IPv4 address.
    pub v4: Ipv4Addr,
    /// IPv6 address.
    pub v6: Ipv6Addr,
}

impl Endpoint {
    /// The IPv4 address with a port.
    pub fn v4(&self, port: u16) -> SocketAddr {
        (self.v4, port).into()
    }

    /// The IPv6 address with a port.
    pub fn v6(&self, port: u16) -> SocketAddr {
        (self.v6, port).into()
    }
}

/// A receiver, and the relay's end towards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The receiver.
    pub endpoint: Endpoint,
    /// The relay's interface and addresses on the receiver's subnet.
    pub relay: Endpoint,
}

/// A relay with a source on one side and receivers on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Where sources run.
    pub injection: Endpoint,
    /// The relay's end towards `injection`: what sources send to.
    pub relay: Endpoint,
    /// The receivers.
    pub children: Vec<Child>,
}

impl Topology {
    /// All children behind one NIC, as addresses of one namespace: the leanest lossless receiver.
    ///
    /// ```text
    /// injection-1 eth0 ── eth0 relay-1 eth1 ── eth0 egress (10.0.2.11, .12, …)
    /// ```
    pub fn one_nic(lab: &Lab, children: usize) -> Result<Self> {
        let (injection, relay) = upstream(lab, children)?;
        lab.add_namespace("egress")?;
        lab.link(RELAY, "eth1", "egress", "eth0")?;
        lab.enable_gro("egress", "eth0")?;
        let near = endpoint(lab, RELAY, "eth1", 2, 1)?;
        let child =
            |index| Ok(Child { endpoint: endpoint(lab, "egress", "eth0", 2, index)?, relay: near.clone() });
        let children = (FIRST_CHILD..FIRST_CHILD + children).map(child).collect::<Result<_>>()?;
        Ok(Self { injection, relay, children })
    }

    /// Every child behind a NIC and in a subnet of its own.
    ///
    /// ```text
    /// injection-1 eth0 ── eth0 relay-1 eth1 ── eth0 egress-1 (10.0.2.11)
    ///                                  eth2 ── eth0 egress-2 (10.0.3.11) …
    /// ```
    pub fn nic_per_child(lab: &Lab, children: usize) -> Result<Self> {
        let (injection, relay) = upstream(lab, children)?;
        let child = |index: usize| {
            let (namespace, interface) = (format!("egress-{index}"), format!("eth{index}"));
            lab.add_namespace(&namespace)?;
            lab.link(RELAY, &interface, &namespace, "eth0")?;
            lab.enable_gro(&namespace, "eth0")?;
            let relay = endpoint(lab, RELAY, &interface, 1 + index, 1)?;
            Ok(Child { endpoint: endpoint(lab, &namespace, "eth0", 1 + index, FIRST_CHILD)?, relay })
        };
        let children = (1..=children).map(child).collect::<Result<_>>()?;
        Ok(Self { injection, relay, children })
    }

    /// Everything on one subnet at a bridge, the relay with a single NIC.
    ///
    /// ```text
    /// relay-1 eth0 ──┐ switch: br0 ┌── eth0 injection-1
    ///                └─────────────┼── eth0 egress-1 (10.0.1.11)
    ///                              └── eth0 egress-2 (10.0.1.12) …
    /// ```
    pub fn bridged(lab: &Lab, children: usize) -> Result<Self> {
        ensure_size(children)?;
        lab.add_namespace(SWITCH)?;
        lab.run(SWITCH, &["ip", "link", "add", "br0", "type", "bridge", "stp_state", "0"])?;
        lab.set_link(SWITCH, "br0", true)?;
        let relay = plug(lab, RELAY, 1)?;
        // The relay transmits into the bridge's port; from there on packets are ordinary ones.
        lab.enable_gro(SWITCH, RELAY)?;
        let injection = plug(lab, INJECTION, 2)?;
        let child = |index: usize| {
            let endpoint = plug(lab, &format!("egress-{index}"), FIRST_CHILD - 1 + index)?;
            Ok(Child { endpoint, relay: relay.clone() })
        };
        let children = (1..=children).map(child).collect::<Result<_>>()?;
        Ok(Self { injection, relay, children })
    }
}

/// relay-1 and relay-2 with one NIC each, and children that either can reach: what a tree is cut down to.
///
/// ```text
/// relay-1 eth0 ──┐ switch: br0 ┌── eth0 injection-1
/// relay-2 eth0 ──┴─────────────┴── eth0 egress-1 (10.0.1.11) …
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The first relay, what sends to it, and the children.
    pub topology: Topology,
    /// The second relay.
    pub second: Endpoint,
}

impl Chain {
    /// Builds it.
    pub fn bridged(lab: &Lab, children: usize) -> Result<Self> {
        let topology = Topology::bridged(lab, children)?;
        let second = plug(lab, SECOND_RELAY, 3)?;
        // The second relay transmits into the bridge's port, too.
        lab.enable_gro(SWITCH, SECOND_RELAY)?;
        Ok(Self { topology, second })
    }
}

/// A relay above others, with one NIC each: relay-1 sends to relay-2 and relay-3, these to relay-4 and the like, and the
/// last to children. Who is whose child is said elsewhere: all are at one bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The first relay, what sends to it, and the children.
    pub topology: Topology,
    /// relay-2, relay-3 …
    pub others: Vec<Endpoint>,
}

impl Levels {
    /// Builds it; of other relays at most seven.
    pub fn bridged(lab: &Lab, others: usize, children: usize) -> Result<Self> {
        ensure!(others <= FIRST_CHILD - 4, "at most {} other relays", FIRST_CHILD - 4);
        let topology = Topology::bridged(lab, children)?;
        let other = |index: usize| {
            let name = format!("relay-{}", index + 2);
            let endpoint = plug(lab, &name, index + 3)?;
            lab.enable_gro(SWITCH, &name)?;
            Ok(endpoint)
        };
        Ok(Self { topology, others: (0..others).map(other).collect::<Result<_>>()? })
    }
}

/// Adds a namespace `control` for Redis and Prometheus, with a wire of its own to each of these; gives the control
/// host's address on each wire.
///
/// ```text
/// control relay-1 (10.0.201.2) ── control (10.0.201.1) relay-1
///         relay-2 (10.0.202.2) ── control (10.0.202.1) relay-2
/// ```
pub fn control_host(lab: &Lab, namespaces: &[&str]) -> Result<Vec<Endpoint>> {
    lab.add_namespace(CONTROL)?;
    let wire = |(subnet, namespace): (usize, &&str)| {
        lab.link(CONTROL, namespace, namespace, CONTROL)?;
        endpoint(lab, namespace, CONTROL, subnet, 1)?;
        endpoint(lab, CONTROL, namespace, subnet, 2)
    };
    (CONTROL_SUBNET..).zip(namespaces).map(wire).collect()
}

/// Adds a namespace with an `eth0` at the bridge, as 10.0.1.{host}.
fn plug(lab: &Lab, namespace: &str, host: usize) -> Result<Endpoint> {
    lab.add_namespace(namespace)?;
    lab.link(namespace, "eth0", SWITCH, namespace)?;
    lab.run(SWITCH, &["ip", "link", "set", namespace, "master", "br0"])?;
    endpoint(lab, namespace, "eth0", 1, host)
}

fn upstream(lab: &Lab, children: usize) -> Result<(Endpoint, Endpoint)> {
    ensure_size(children)?;
    lab.add_namespace(INJECTION)?;
    lab.add_namespace(RELAY)?;
    lab.link(INJECTION, "eth0", RELAY, "eth0")?;
    // A relay may answer out of the interface it received on (XDP_TX, or a child on the injection's side).
    lab.enable_gro(INJECTION, "eth0")?;
    Ok((endpoint(lab, INJECTION, "eth0", 1, 2)?, endpoint(lab, RELAY, "eth0", 1, 1)?))
}

fn ensure_size(children: usize) -> Result<()> {
    ensure!(children <= MAX_CHILDREN, "at most {MAX_CHILDREN} children");
    Ok(())
}

/// Adds 10.0.{subnet}.{host} and fd00:0:0:{subnet}::{host} (the same digits) to an interface.
pub(crate) fn endpoint(
    lab: &Lab,
    namespace: &str,
    interface: &str,
    subnet: usize,
    host: usize,
) -> Result<Endpoint> {
    let (v4, v6) = (format!("10.0.{subnet}.{host}"), format!("fd00:0:0:{subnet}::{host}"));
    lab.address(namespace, interface, &format!("{v4}/24"))?;
    lab.address(namespace, interface, &format!("{v6}/64"))?;
    Ok(Endpoint {
        namespace: namespace.to_owned(),
        interface: interface.to_owned(),
        v4: v4.parse().context("an IPv4 address")?,
        v6: v6.parse().context("an IPv6 address")?,
    })
}
