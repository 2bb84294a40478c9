//! `RTM_*NEIGH` messages: the ARP and NDP tables.

use std::net::IpAddr;

use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState as Nud,
};

use super::{Change, NeighbourState, route::family};

/// One entry of the neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub ifindex: u32,
    pub address: IpAddr,
    pub mac: Option<[u8; 6]>,
    pub state: NeighbourState,
    /// Never resolved by ARP or NDP: set by hand (permanent), or on an interface without them (noarp).
    pub fixed: bool,
}

/// Reads an entry. `None` for what shares the message but is no neighbour: proxy entries (addresses *we* answer
/// for) and bridge forwarding entries (AF_BRIDGE).
pub(super) fn read(message: &NeighbourMessage) -> Option<Neighbour> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some((*v4).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some((*v6).into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let nud = message.header.state;
    let (state, mac) = settle(nud, mac);
    let fixed = matches!(nud, Nud::Permanent | Nud::Noarp);
    Some(Neighbour { ifindex: message.header.ifindex, address: address?, mac, state, fixed })
}

/// Reads a notification. `None` also for the entries the kernel keeps for multicast groups.
pub(super) fn change(message: &NeighbourMessage, removed: bool) -> Option<Change> {
    let Neighbour { ifindex, address, mac, state, .. } = read(message)?;
    if address.is_multicast() {
        return None;
    }
    let (mac, state) = if removed { (None, NeighbourState::Missing) } else { (mac, state) };
    Some(Change::Neighbour { ifindex, address, mac, state })
}

/// What `ip neighbour get <address> dev <ifindex>` sends.
pub(super) fn query(ifindex: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = ifindex;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message
}

/// What `ip neighbour replace <address> dev <ifindex> use` sends: as if the kernel had a packet for it.
pub(super) fn use_entry(ifindex: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = query(ifindex, address);
    message.header.flags = NeighbourFlags::Use;
    message
}

/// The state and MAC address together: one is never believed without the other.
fn settle(nud: Nud, mac: Option<[u8; 6]>) -> (NeighbourState, Option<[u8; 6]>) {
    match (nud, mac) {
        (Nud::Reachable | Nud::Stale | Nud::Delay | Nud::Probe | Nud::Permanent | Nud::Noarp, Some(mac)) => {
            (NeighbourState::Valid, Some(mac))
        }
        (Nud::Incomplete, _) => (NeighbourState::Resolving, None),
        (Nud::Failed, _) => (NeighbourState::Failed, None),
        _ => (NeighbourState::Missing, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn entry(nud: Nud, mac: Option<[u8; 6]>) -> NeighbourMessage {
        let mut message = query(4, PEER);
        message.header.state = nud;
        message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
        message
    }

    #[test]
    fn states() {
        use NeighbourState::{Failed, Missing, Resolving, Valid};
        for (nud, mac, state, seen) in [
            (Nud::Reachable, Some(MAC), Valid, Some(MAC)),
            (Nud::Stale, Some(MAC), Valid, Some(MAC)),
            (Nud::Delay, Some(MAC), Valid, Some(MAC)),
            (Nud::Probe, Some(MAC), Valid, Some(MAC)),
            (Nud::Permanent, Some(MAC), Valid, Some(MAC)),
            (Nud::Noarp, Some(MAC), Valid, Some(MAC)),
            (Nud::Noarp, None, Missing, None),
            (Nud::Incomplete, None, Resolving, None),
            (Nud::Failed, Some(MAC), Failed, None),
            (Nud::None, None, Missing, None),
        ] {
            let read = read(&entry(nud, mac)).unwrap();
            assert_eq!((read.state, read.mac), (state, seen), "{nud}");
            assert_eq!((read.ifindex, read.address), (4, PEER));
        }
    }

    #[test]
    fn proxy_and_forwarding_entries_are_not_neighbours() {
        let mut proxy = entry(Nud::Permanent, Some(MAC));
        proxy.header.flags = NeighbourFlags::Proxy;
        assert_eq!(read(&proxy), None);

        let mut forwarding = entry(Nud::Reachable, Some(MAC));
        forwarding.attributes.remove(0);
        assert_eq!(read(&forwarding), None);
    }

    #[test]
    fn groups_are_not_told() {
        let mut group = query(4, "ff02::16".parse().unwrap());
        group.header.state = Nud::Noarp;
        assert_eq!(change(&group, true), None);
    }

    #[test]
    fn a_deleted_entry_is_missing() {
        let expected =
            Change::Neighbour { ifindex: 4, address: PEER, mac: None, state: NeighbourState::Missing };
        assert_eq!(change(&entry(Nud::Stale, Some(MAC)), true), Some(expected));
    }
}
