//! The addresses that this host has: media of a node may come from any of them, by whichever interface it leaves.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// All that other hosts may see, on interfaces that are up. Empty when the kernel does not say.
pub fn own() -> BTreeSet<IpAddr> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!("the host's addresses cannot be listed: {error}");
            return BTreeSet::new();
        }
    };
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.map(|address| address.to_canonical()).filter(is_seen_by_others).collect()
}

/// Why media cannot be sent to an address as to one host; `None`: it can. `broadcasts`: those of this host's networks.
pub fn is_no_host(address: &IpAddr, broadcasts: &BTreeSet<IpAddr>) -> Option<&'static str> {
    let address = address.to_canonical();
    let limited = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_unspecified() {
        Some("nobody's address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if limited || broadcasts.contains(&address) {
        Some("a broadcast address")
    } else {
        None
    }
}

/// The broadcast addresses of this host's networks.
pub fn broadcasts() -> BTreeSet<IpAddr> {
    let v4 = |address: Option<SockaddrStorage>| Some(IpAddr::V4(address?.as_sockaddr_in()?.ip()));
    let interfaces = getifaddrs().into_iter().flatten().map(|interface| {
        let has_one = interface.flags.contains(InterfaceFlags::IFF_BROADCAST);
        (v4(interface.address), v4(interface.broadcast.filter(|_| has_one)))
    });
    broadcasts_of(interfaces.collect())
}

/// From addresses and the broadcast addresses beside them, as the C library gives them. One that was added without a broadcast
/// address has itself for that, which means nothing: a host's own address is one host's.
fn broadcasts_of(interfaces: Vec<(Option<IpAddr>, Option<IpAddr>)>) -> BTreeSet<IpAddr> {
    let own: BTreeSet<IpAddr> = interfaces.iter().filter_map(|(own, _)| *own).collect();
    let broadcasts = interfaces.iter().filter_map(|(_, broadcast)| *broadcast);
    broadcasts.filter(|address| !address.is_unspecified() && !own.contains(address)).collect()
}

fn is_seen_by_others(address: &IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_addresses_are_nobody_elses_business() {
        let table = [
            ("10.0.0.1", true),
            ("192.0.2.1", true),
            ("fd00::1", true),
            ("2001:db8::1", true),
            ("127.0.0.1", false),
            ("127.1.2.3", false),
            ("169.254.1.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ];
        for (address, wanted) in table {
            assert_eq!(is_seen_by_others(&address.parse().unwrap()), wanted, "{address}");
        }
        assert!(own().iter().all(is_seen_by_others));
    }

    #[test]
    fn what_is_more_than_one_host_or_none_is_no_host() {
        let broadcasts = BTreeSet::from(["10.0.0.255".parse().unwrap()]);
        for (address, wanted) in [
            ("10.0.0.1", None),
            ("127.0.0.1", None),
            ("fd00::1", None),
            ("0.0.0.0", Some("nobody")),
            ("::", Some("nobody")),
            ("::ffff:0.0.0.0", Some("nobody")),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("ff02::1", Some("multicast")),
            ("255.255.255.255", Some("broadcast")),
            ("::ffff:255.255.255.255", Some("broadcast")),
            ("10.0.0.255", Some("broadcast")),
            ("10.0.1.255", None),
        ] {
            let found = is_no_host(&address.parse().unwrap(), &broadcasts);
            assert_eq!(found.is_some(), wanted.is_some(), "{address}");
            assert!(found.unwrap_or_default().contains(wanted.unwrap_or_default()), "{address}: {found:?}");
        }
        let own = own();
        assert!(broadcasts.is_disjoint(&own) && super::broadcasts().is_disjoint(&own));
    }
    #[test]
    fn an_address_of_this_host_is_no_broadcast_address() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        // As after `ip addr add 10.0.0.1/24 brd +` and `ip addr add 10.0.0.2/24`, and of an interface without any.
        let interfaces = vec![
            (ip("10.0.0.1"), ip("10.0.0.255")),
            (ip("10.0.0.2"), ip("10.0.0.2")),
            (ip("10.0.0.3"), ip("0.0.0.0")),
            (ip("127.0.0.1"), None),
            (None, None),
        ];
        assert_eq!(broadcasts_of(interfaces), BTreeSet::from([ip("10.0.0.255").unwrap()]));
    }
}
