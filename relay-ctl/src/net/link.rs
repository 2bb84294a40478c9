//! `RTM_*LINK` messages.

use rtnetlink::packet_route::{
    AddressFamily,
    link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp},
};

use super::{Change, Interface};

/// Reads an interface. `None` for a bridge's view of its port (AF_BRIDGE): its deletion means that the port
/// left the bridge, not that the interface is gone.
pub(super) fn read(message: &LinkMessage) -> Option<Interface> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let flags = message.header.flags;
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        mac: None,
        // RUNNING alone is the operational state; LOWER_UP alone is carrier (netdevice(7)).
        up: flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
        mtu: 0,
        kind: None,
        loopback: flags.contains(LinkFlags::Loopback),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Address(bytes) => interface.mac = bytes.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                interface.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(interface)
}

/// The XDP program on an interface, whichever way it is attached.
pub(super) fn xdp_program(message: &LinkMessage) -> Option<u32> {
    let xdp = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    })?;
    xdp.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id)
            if *id != 0 =>
        {
            Some(*id)
        }
        _ => None,
    })
}

/// Reads a notification.
pub(super) fn change(message: &LinkMessage, removed: bool) -> Option<Change> {
    let Interface { index, name, up, .. } = read(message)?;
    Some(Change::Link { index, name, up: up && !removed, removed })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::link::InfoKind;

    use super::*;

    fn veth(flags: LinkFlags) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.flags = flags;
        message.attributes = vec![
            LinkAttribute::IfName("eth0".to_owned()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
        ];
        message
    }

    #[test]
    fn a_veth_is_read_whole() {
        let message = veth(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp | LinkFlags::Broadcast);
        let expected = Interface {
            index: 7,
            name: "eth0".to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            mtu: 1500,
            kind: Some("veth".to_owned()),
            loopback: false,
        };
        assert_eq!(read(&message), Some(expected));
    }

    #[test]
    fn up_needs_carrier() {
        assert!(!read(&veth(LinkFlags::Up)).unwrap().up);
        assert!(!read(&veth(LinkFlags::Up | LinkFlags::Running)).unwrap().up);
        assert!(!read(&veth(LinkFlags::Running | LinkFlags::LowerUp)).unwrap().up);
    }

    #[test]
    fn a_tunnel_has_no_mac() {
        let mut message = veth(LinkFlags::Up);
        message.attributes = vec![LinkAttribute::Address(vec![10, 0, 0, 1])];
        assert_eq!(read(&message).unwrap().mac, None);
    }

    #[test]
    fn a_removed_interface_is_not_up() {
        let message = veth(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp);
        let expected = Change::Link { index: 7, name: "eth0".to_owned(), up: false, removed: true };
        assert_eq!(change(&message, true), Some(expected));
    }

    #[test]
    fn leaving_a_bridge_is_not_a_removal() {
        let mut message = veth(LinkFlags::Up);
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(change(&message, true), None);
    }
}
