//! The kernel's notifications as a stream of [`Change`].

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt};
use rtnetlink::{
    MulticastGroup,
    packet_core::NetlinkPayload,
    packet_route::RouteNetlinkMessage,
    proto::{NetlinkCodec, NetlinkFramed},
    sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

use super::{Change, NetError, link, neighbour};

/// Rules count as routes: they choose the table.
const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

/// Asked for; the kernel gives at most `net.core.rmem_max`.
const RECEIVE_BUFFER: i32 = 1 << 20;

/// More than fit in the receive buffer; ends the wait for an empty queue while notifications pour in.
const MAX_BACKLOG: usize = 1 << 16;

const ENOBUFS: i32 = 105;

/// A stream of [`Change`], from [`Netlink::subscribe`](super::Netlink::subscribe). Ends only when the socket
/// fails.
///
/// Polls its own socket: no task, no queue in user space. A slow reader makes the kernel drop notifications,
/// which the stream tells as [`Change::Overrun`] and goes on. Everything after an overrun is newer than it.
pub struct Changes {
    socket: NetlinkFramed<RouteNetlinkMessage, TokioSocket, NetlinkCodec>,
}

impl Changes {
    /// The next change; `None` when the socket has failed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Change> {
        StreamExt::next(self).await
    }

    /// Throws away what the kernel queued before it began to drop. Told after [`Change::Overrun`], those old
    /// notifications would undo what the reader has just re-read, and the newer ones are lost.
    fn discard_backlog(&self) {
        let socket = self.socket.get_ref().socket_ref();
        let mut scratch = [0; 16];
        for _ in 0..MAX_BACKLOG {
            match socket.recv(&mut scratch.as_mut_slice(), 0) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }

    pub(super) fn open() -> Result<Changes, NetError> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE).map_err(NetError::Socket)?;
        if let Err(error) = socket.socket_ref().set_rx_buf_sz(RECEIVE_BUFFER) {
            tracing::debug!(%error, "netlink receive buffer stays at its default");
        }
        let groups = GROUPS.iter().fold(0, |groups, group| groups | 1 << (*group as u32 - 1));
        socket.socket_mut().bind(&SocketAddr::new(0, groups)).map_err(NetError::Socket)?;
        Ok(Changes { socket: NetlinkFramed::new(socket) })
    }
}

impl Stream for Changes {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        loop {
            let Some((message, _)) = ready!(self.socket.poll_next_unpin(cx)) else {
                return Poll::Ready(None);
            };
            if let Some(change) = read(message.payload) {
                if change == Change::Overrun {
                    self.discard_backlog();
                }
                tracing::trace!(?change, "netlink");
                return Poll::Ready(Some(change));
            }
        }
    }
}

/// `None` for notifications that say nothing about the way to a child.
fn read(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    let message = match payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(Change::Overrun),
        _ => return None,
    };
    match message {
        RouteNetlinkMessage::NewLink(link) => link::change(&link, false),
        RouteNetlinkMessage::DelLink(link) => link::change(&link, true),
        RouteNetlinkMessage::NewNeighbour(entry) => neighbour::change(&entry, false),
        RouteNetlinkMessage::DelNeighbour(entry) => neighbour::change(&entry, true),
        RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => {
            Some(Change::Address { ifindex: address.header.index })
        }
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(Change::Route),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::{address::AddressMessage, route::RouteMessage, rule::RuleMessage};

    use super::*;

    #[test]
    fn lost_notifications_are_told() {
        assert_eq!(read(NetlinkPayload::Overrun(Vec::new())), Some(Change::Overrun));
    }

    #[test]
    fn addresses_routes_and_rules() {
        let mut address = AddressMessage::default();
        address.header.index = 5;
        let read = |message: RouteNetlinkMessage| read(NetlinkPayload::InnerMessage(message));
        let expected = Some(Change::Address { ifindex: 5 });
        assert_eq!(read(RouteNetlinkMessage::NewAddress(address.clone())), expected);
        assert_eq!(read(RouteNetlinkMessage::DelAddress(address)), expected);
        assert_eq!(read(RouteNetlinkMessage::DelRoute(RouteMessage::default())), Some(Change::Route));
        assert_eq!(read(RouteNetlinkMessage::NewRule(RuleMessage::default())), Some(Change::Route));
    }

    #[test]
    fn everything_else_is_silence() {
        assert_eq!(read(NetlinkPayload::Noop), None);
    }
}
