//! The interface that the relay is attached to, the addresses and ports that media is taken on there, and holding an
//! interface for xdp.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use relay_common::layout::{AUDIO, Listener, ListenerKey, VIDEO};

use super::StartError;
use crate::address::mapped;
use crate::config::{Config, ConfigError};
use crate::kernel::{self, DataPlane, probe};
use crate::net::{Interface, NetError, Netlink};

/// Some cards set up their link anew when a program is attached, which takes them seconds.
const LINK_SETUP: Duration = Duration::from_secs(8);

/// The interface to attach to or, when there is none of that name, the one that may stand in for it.
pub async fn interface_of(netlink: &Netlink, config: &Config) -> Result<Interface, NetError> {
    let gone = match netlink.interface(&config.interface).await {
        Err(error @ NetError::UnknownInterface { .. }) => error,
        found => return found,
    };
    let Some(prefix) = &config.stand_in else { return Err(gone) };
    stand_in(netlink.interfaces().await?, prefix).ok_or(gone)
}

/// Of several the one that is up, and of those the one that came last.
fn stand_in(interfaces: Vec<Interface>, prefix: &str) -> Option<Interface> {
    let like = |interface: &Interface| {
        interface.name.starts_with(prefix) && !interface.loopback && interface.mac.is_some()
    };
    interfaces.into_iter().filter(like).max_by_key(|interface| (interface.up, interface.index))
}

/// The local addresses that media is taken on.
pub async fn listen_addresses(
    netlink: &Netlink,
    interface: &Interface,
    config: &Config,
) -> Result<Vec<IpAddr>, StartError> {
    let mut all = netlink.addresses(interface.index).await?;
    all.sort();
    match config.listen.address {
        None => Ok(all),
        Some(address) if all.contains(&address) => Ok(vec![address]),
        Some(address) => Err(ConfigError(format!(
            "{} {address} is not an address of {}; it has: {}",
            config.address_setting,
            interface.name,
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))
        .into()),
    }
}

/// The `LISTENERS` map: per address the four ports, and port 0 that only says "ours".
pub fn listeners(addresses: &[IpAddr], mac: [u8; 6], ports: [u16; 2]) -> HashMap<ListenerKey, Listener> {
    let mut map = HashMap::new();
    for address in addresses {
        let key = |port| ListenerKey { address: mapped(*address), port, reserved: [0; 2] };
        let entry = |kind, port, rtcp| Listener { mac, port, kind, rtcp, routed: 0, reserved: [0; 5] };
        map.insert(key(0), entry(0, 0, 0));
        for (kind, port) in [(AUDIO, ports[0]), (VIDEO, ports[1])] {
            map.insert(key(port), entry(kind, port, 0));
            map.insert(key(port + 1), entry(kind, port, 1));
        }
    }
    map
}

/// Holds an interface for xdp. True when a program was attached to it now, which makes some cards set up their link anew:
/// [`wait_for_link`]. The error says whose program is in the way, or why there can be none.
pub async fn hold(netlink: &Netlink, plane: &mut DataPlane, interface: &Interface) -> Result<bool, String> {
    let (index, name) = (interface.index, &interface.name);
    if plane.holds(index) {
        return Ok(false);
    }
    if let Ok(Some(foreign)) = netlink.xdp_program(index).await {
        return Err(probe::in_the_way(name, &kernel::program(foreign)));
    }
    plane.hold(index).map_err(|error| {
        format!("{name} cannot run an XDP program in its driver: {}", probe::root_cause(&error))
    })
}

/// The same, and waits for the link. Before there is a state to be locked.
pub async fn hold_at_rest(
    netlink: &Netlink,
    plane: &mut DataPlane,
    interface: &Interface,
) -> Result<bool, String> {
    let now = hold(netlink, plane, interface).await?;
    if now {
        wait_for_link(netlink, interface).await;
    }
    Ok(now)
}

/// Waits until an interface that was up is up again, if its card sets up the link anew. Not with the lock of the state:
/// that takes seconds.
pub async fn wait_for_link(netlink: &Netlink, interface: &Interface) {
    if interface.up && !netlink.wait_until_up(interface.index, LINK_SETUP).await {
        tracing::warn!("{} is down since an XDP program was attached to it", interface.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, up: bool) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            mac: (name != "tun0").then_some([2, 0, 0, 0, 0, 1]),
            up,
            mtu: 1500,
            kind: None,
            loopback: name == "lo",
        }
    }

    #[test]
    fn the_newest_that_is_up_stands_in() {
        let all = || vec![interface(1, "lo", true), interface(5, "eth1", true), interface(9, "eth2", false)];
        let name = |prefix: &str| stand_in(all(), prefix).map(|interface| interface.name);
        assert_eq!(name("eth").as_deref(), Some("eth1"));
        assert_eq!(name("eth2").as_deref(), Some("eth2"));
        assert_eq!((name("wlan"), name("lo")), (None, None));
        let newer = all().into_iter().chain([interface(12, "eth3", true)]).collect();
        assert_eq!(stand_in(newer, "eth").unwrap().name, "eth3");
        assert!(stand_in(vec![interface(3, "tun0", true)], "tun").is_none());
    }
}
