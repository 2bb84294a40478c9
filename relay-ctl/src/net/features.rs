//! What a driver says it can do with XDP, from the kernel's `netdev` family of generic netlink (Linux 6.3). Asking does not
//! touch the card.

use std::io;

use rtnetlink::packet_core::NlasIterator;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

/// NETDEV_XDP_ACT_BASIC and NETDEV_XDP_ACT_REDIRECT: programs run in the driver, and may redirect.
const RECEIVE: u64 = 1 | 2;
/// NETDEV_XDP_ACT_NDO_XMIT: frames redirected to it leave.
const TRANSMIT: u64 = 4;

/// The family that knows the other families, `linux/genetlink.h`.
const CONTROL: u16 = 16;
/// CTRL_CMD_GETFAMILY.
const GET_FAMILY: u8 = 3;
/// CTRL_ATTR_FAMILY_NAME.
const FAMILY_NAME: u16 = 2;
/// CTRL_ATTR_FAMILY_ID.
const FAMILY_ID: u16 = 1;
/// NETDEV_CMD_DEV_GET, `linux/netdev.h`.
const GET_DEVICE: u8 = 1;
/// NETDEV_A_DEV_IFINDEX.
const IFINDEX: u16 = 1;
/// NETDEV_A_DEV_XDP_FEATURES.
const XDP_FEATURES: u16 = 3;

const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
/// Bytes of the headers in front of the attributes: netlink's, and generic netlink's.
const HEADERS: usize = 16 + 4;

/// What a driver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures(u64);

impl XdpFeatures {
    /// Programs run in the driver and may redirect.
    pub fn receives(self) -> bool {
        self.0 & RECEIVE == RECEIVE
    }

    /// Frames that are redirected to it leave. Many drivers say so only while a program is attached.
    pub fn transmits(self) -> bool {
        self.0 & TRANSMIT != 0
    }
}

/// What the driver of an interface can do. An error also where the kernel is too old to say.
pub fn xdp_features(ifindex: u32) -> io::Result<XdpFeatures> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let family = ask(&socket, CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0")?;
    let family = attribute::<2>(&family, FAMILY_ID).map(u16::from_ne_bytes).ok_or(io::ErrorKind::NotFound)?;
    let device = ask(&socket, family, GET_DEVICE, IFINDEX, &ifindex.to_ne_bytes())?;
    let features = attribute::<8>(&device, XDP_FEATURES).ok_or(io::ErrorKind::NotFound)?;
    Ok(XdpFeatures(u64::from_ne_bytes(features)))
}

/// One request with one attribute, and its reply.
fn ask(socket: &Socket, family: u16, command: u8, kind: u16, value: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(&request(family, command, kind, value), 0)?;
    let (reply, _) = socket.recv_from_full()?;
    if reply.get(4..6) == Some(NLMSG_ERROR.to_ne_bytes().as_slice()) {
        let code = reply.get(16..20).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
        return Err(io::Error::from_raw_os_error(-code));
    }
    Ok(reply)
}

fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute = 4 + value.len();
    let length = HEADERS + attribute.next_multiple_of(4);
    let mut request = Vec::with_capacity(length);
    request.extend((length as u32).to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port: one question at a time needs neither.
    request.extend([0; 8]);
    request.extend([command, 1, 0, 0]);
    request.extend((attribute as u16).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(length, 0);
    request
}

fn attribute<const N: usize>(reply: &[u8], kind: u16) -> Option<[u8; N]> {
    let attributes = NlasIterator::new(reply.get(HEADERS..)?);
    let found = attributes.flatten().find(|attribute| attribute.kind() == kind)?;
    found.value().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_padded_and_its_attribute_can_be_read() {
        let request = request(CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0");
        assert_eq!((request.len(), request[0]), (32, 32));
        assert_eq!(attribute::<7>(&request, FAMILY_NAME), Some(*b"netdev\0"));
        assert_eq!(attribute::<7>(&request, FAMILY_ID), None);
        assert_eq!(attribute::<8>(&[], XDP_FEATURES), None);
    }

    #[test]
    fn receiving_and_transmitting_are_two_things() {
        assert!(XdpFeatures(3).receives() && !XdpFeatures(3).transmits());
        assert!(!XdpFeatures(4).receives() && XdpFeatures(7).transmits());
    }
}
