//! `RTM_*ADDR` messages and the choice of a source address.

use std::net::IpAddr;

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

/// An address of an interface that can be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable {
    pub address: IpAddr,
    /// Bits of the subnet.
    pub prefix: u8,
    /// Another address of the same subnet was there first (IPv4), or it is a temporary one (IPv6).
    pub secondary: bool,
    scope: AddressScope,
    deprecated: bool,
}

/// Reads one address; `None` while duplicate address detection runs or after it failed (RFC 4862 section 5.4).
pub(super) fn read(message: &AddressMessage) -> Option<Usable> {
    let (mut local, mut address) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // An optimistic address is tentative and yet usable (RFC 4429).
    let waiting = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    if waiting || flags.contains(AddressFlags::Dadfailed) {
        return None;
    }
    Some(Usable {
        // With a peer (`ip address add A peer B`), IFA_ADDRESS is the peer's and IFA_LOCAL ours.
        address: local.or(address)?,
        prefix: message.header.prefix_len,
        // IFA_F_TEMPORARY, of IPv6, is the same bit.
        secondary: flags.contains(AddressFlags::Secondary),
        scope: message.header.scope,
        deprecated: flags.contains(AddressFlags::Deprecated),
    })
}

/// The source for packets to `destination` when the route names none: same family, a scope that reaches the
/// destination, preferably not deprecated (a short form of RFC 6724 section 5).
pub(super) fn choose_source(candidates: &[Usable], destination: IpAddr) -> Option<IpAddr> {
    candidates
        .iter()
        .filter(|candidate| candidate.address.is_ipv4() == destination.is_ipv4())
        .filter(|candidate| matches!(candidate.scope, AddressScope::Universe | AddressScope::Site))
        .min_by_key(|candidate| (candidate.deprecated, u8::from(candidate.scope)))
        .map(|candidate| candidate.address)
}

/// The address that an interface is known by, of those in the kernel's order: IPv4 before IPv6; the subnet's first before
/// what was added to it, and both before a single address (/32, /128), which as a rule is one that moves between hosts;
/// 169.254.0.0/16 only when there is nothing else. Never an IPv6 link-local one, which names no interface.
pub fn primary(addresses: &[Usable]) -> Option<IpAddr> {
    let rank = |usable: &&Usable| {
        let (whole, last_resort) = match usable.address {
            IpAddr::V4(address) => (32, address.is_link_local()),
            IpAddr::V6(_) => (128, false),
        };
        let alone = usable.prefix == whole;
        (last_resort, usable.address.is_ipv6(), usable.deprecated, alone, usable.secondary)
    };
    let usable = addresses.iter().filter(|usable| match usable.address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    usable.min_by_key(rank).map(|usable| usable.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_known_by_its_first_real_address() {
        let none = AddressFlags::Permanent;
        let secondary = AddressFlags::Permanent | AddressFlags::Secondary;
        let of = |address: &str, prefix: u8, flags: AddressFlags| {
            let mut message = message(address, AddressScope::Universe, flags);
            message.header.prefix_len = prefix;
            read(&message).unwrap()
        };
        let known = |all: &[Usable]| primary(all).map(|address| address.to_string());
        // A lower address that moves between hosts, before and behind.
        let (own, moving) = (of("10.0.0.50", 24, none), of("10.0.0.10", 32, none));
        assert_eq!(known(&[own, moving]).as_deref(), Some("10.0.0.50"));
        assert_eq!(known(&[moving, own]).as_deref(), Some("10.0.0.50"));
        // One in the same subnet; a link-local one; one of another subnet, added later.
        let added = of("10.0.0.10", 24, secondary);
        let (link_local, later) = (of("169.254.3.4", 16, none), of("10.0.0.2", 25, none));
        assert_eq!(known(&[link_local, own, added, later]).as_deref(), Some("10.0.0.50"));
        // What there is when there is nothing better.
        assert_eq!(known(&[link_local, moving]).as_deref(), Some("10.0.0.10"));
        assert_eq!(known(&[link_local]).as_deref(), Some("169.254.3.4"));
        let (six, temporary) = (of("fd00::5", 64, none), of("fd00::1", 64, secondary));
        assert_eq!(known(&[temporary, six]).as_deref(), Some("fd00::5"));
        assert_eq!(known(&[six, own]).as_deref(), Some("10.0.0.50"));
        assert_eq!(known(&[link_local, six]).as_deref(), Some("fd00::5"));
        let link = read(&message("fe80::1", AddressScope::Link, none)).unwrap();
        assert_eq!(known(&[link]), None);
    }

    fn message(address: &str, scope: AddressScope, flags: AddressFlags) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.scope = scope;
        message.attributes =
            vec![AddressAttribute::Address(address.parse().unwrap()), AddressAttribute::Flags(flags)];
        message
    }

    fn usable(address: &str, scope: AddressScope, flags: AddressFlags) -> Usable {
        read(&message(address, scope, flags)).unwrap()
    }

    #[test]
    fn duplicate_detection_hides_an_address() {
        let none = AddressFlags::empty();
        for (flags, seen) in [
            (none, true),
            (AddressFlags::Permanent, true),
            (AddressFlags::Tentative, false),
            (AddressFlags::Tentative | AddressFlags::Optimistic, true),
            (AddressFlags::Tentative | AddressFlags::Dadfailed, false),
            (AddressFlags::Dadfailed, false),
        ] {
            let message = message("fd00::1", AddressScope::Universe, flags);
            assert_eq!(read(&message).is_some(), seen, "{flags:?}");
        }
    }

    #[test]
    fn with_a_peer_the_local_address_is_ours() {
        let mut message = message("10.0.0.2", AddressScope::Universe, AddressFlags::Permanent);
        message.attributes.push(AddressAttribute::Local(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(read(&message).unwrap().address, IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn source_is_of_the_family_reaches_and_is_not_deprecated() {
        let good = AddressFlags::Permanent;
        let all = [
            usable("fe80::1", AddressScope::Link, good),
            usable("fd00::dead", AddressScope::Universe, AddressFlags::Deprecated),
            usable("10.0.0.1", AddressScope::Universe, good),
            usable("fd00::1", AddressScope::Universe, good),
        ];
        let v6: IpAddr = "fd00:1::9".parse().unwrap();
        assert_eq!(choose_source(&all, v6), Some("fd00::1".parse().unwrap()));
        assert_eq!(choose_source(&all[..2], v6), Some("fd00::dead".parse().unwrap()));
        assert_eq!(choose_source(&all[..1], v6), None);
        assert_eq!(choose_source(&all, IpAddr::from([10, 9, 9, 9])), Some(IpAddr::from([10, 0, 0, 1])));
    }
}
