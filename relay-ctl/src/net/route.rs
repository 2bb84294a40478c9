//! `RTM_GETROUTE`: one question, one resolved path.

use std::{io, net::IpAddr};

use rtnetlink::packet_route::{
    AddressFamily,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};

use super::NetError;

/// The path the kernel would take now; of a multipath route, the one next hop it chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    pub egress: u32,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// What `ip route get <destination>` sends.
pub(super) fn query(destination: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
    message.attributes.push(RouteAttribute::Destination(destination.into()));
    message
}

/// Reads the kernel's positive answer.
pub(super) fn read(destination: IpAddr, message: &RouteMessage) -> Result<Path, NetError> {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local | RouteType::Anycast => return Err(NetError::Local { destination }),
        RouteType::Broadcast | RouteType::Multicast => return Err(NetError::NotUnicast(destination)),
        RouteType::BlackHole => return Err(NetError::Blackhole { destination }),
        RouteType::Unreachable => return Err(NetError::Unreachable { destination }),
        RouteType::Prohibit => return Err(NetError::Prohibited { destination }),
        _ => return Err(NetError::NoRoute { destination }),
    }
    let (mut egress, mut gateway, mut source) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => egress = Some(*index),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            // An IPv4 route `via inet6` (RFC 5549).
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            RouteAttribute::PrefSource(address) => source = ip(address),
            _ => {}
        }
    }
    let doing = || format!("asking for the route to {destination}");
    let egress = egress.ok_or_else(|| NetError::BadReply { doing: doing(), missing: "egress interface" })?;
    Ok(Path { egress, gateway, source })
}

/// Reads the kernel's refusal: it tells special route types by errno (`fib_props` in net/ipv4/fib_semantics.c,
/// `ip6_rt_type_to_error` in net/ipv6/route.c).
pub(super) fn refusal(destination: IpAddr, error: io::Error) -> NetError {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => NetError::NoRoute { destination },
        io::ErrorKind::HostUnreachable => NetError::Unreachable { destination },
        io::ErrorKind::PermissionDenied => NetError::Prohibited { destination },
        io::ErrorKind::InvalidInput => NetError::Blackhole { destination },
        _ => NetError::kernel(format!("asking for the route to {destination}"), error),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) if !v4.is_unspecified() => Some((*v4).into()),
        RouteAddress::Inet6(v6) if !v6.is_unspecified() => Some((*v6).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));

    fn answer(kind: RouteType, attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.kind = kind;
        message.attributes = attributes;
        message
    }

    fn v4(last: u8) -> std::net::Ipv4Addr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn by_gateway() {
        let message = answer(
            RouteType::Unicast,
            vec![
                RouteAttribute::Oif(3),
                RouteAttribute::Gateway(v4(1).into()),
                RouteAttribute::PrefSource(v4(2).into()),
            ],
        );
        let path = Path { egress: 3, gateway: Some(v4(1).into()), source: Some(v4(2).into()) };
        assert_eq!(read(FAR, &message).unwrap(), path);
    }

    #[test]
    fn on_the_link_there_is_no_gateway() {
        let message = answer(
            RouteType::Unicast,
            vec![RouteAttribute::Oif(3), RouteAttribute::Gateway(std::net::Ipv4Addr::UNSPECIFIED.into())],
        );
        assert_eq!(read(FAR, &message).unwrap(), Path { egress: 3, gateway: None, source: None });
    }

    #[test]
    fn an_ipv4_route_can_have_an_ipv6_gateway() {
        let router: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
        let message =
            answer(RouteType::Unicast, vec![RouteAttribute::Oif(3), RouteAttribute::Via(router.into())]);
        assert_eq!(read(FAR, &message).unwrap().gateway, Some(router.into()));
    }

    #[test]
    fn an_answer_without_interface_is_an_error() {
        let message = answer(RouteType::Unicast, vec![]);
        assert!(matches!(read(FAR, &message), Err(NetError::BadReply { .. })));
    }

    #[test]
    fn special_types_have_their_own_errors() {
        let read = |kind| read(FAR, &answer(kind, vec![RouteAttribute::Oif(1)])).unwrap_err();
        assert!(matches!(read(RouteType::Local), NetError::Local { .. }));
        assert!(matches!(read(RouteType::Broadcast), NetError::NotUnicast(_)));
        assert!(matches!(read(RouteType::BlackHole), NetError::Blackhole { .. }));
        assert!(matches!(read(RouteType::Unreachable), NetError::Unreachable { .. }));
        assert!(matches!(read(RouteType::Prohibit), NetError::Prohibited { .. }));
        assert!(matches!(read(RouteType::Throw), NetError::NoRoute { .. }));
    }

    #[test]
    fn refusals_are_told_by_errno() {
        let refuse = |errno| refusal(FAR, io::Error::from_raw_os_error(errno));
        assert!(matches!(refuse(101), NetError::NoRoute { .. }), "ENETUNREACH");
        assert!(matches!(refuse(113), NetError::Unreachable { .. }), "EHOSTUNREACH");
        assert!(matches!(refuse(13), NetError::Prohibited { .. }), "EACCES");
        assert!(matches!(refuse(22), NetError::Blackhole { .. }), "EINVAL");
        assert!(matches!(refuse(105), NetError::Kernel { .. }), "ENOBUFS");
    }
}
