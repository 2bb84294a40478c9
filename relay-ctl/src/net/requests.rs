//! Questions to the kernel, each one request and its reply.

use std::{collections::BTreeSet, io, net::IpAddr, time::Duration};

use futures_util::StreamExt;
use node::addresses::is_no_host;
use rtnetlink::{
    Handle,
    packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        address::AddressMessage,
        link::{LinkAttribute, LinkMessage},
    },
};

use super::{
    Changes, Interface, NeighbourState, NetError, NextHop,
    address::{self, Usable},
    link,
    neighbour::{self, Neighbour},
    route::{self, Path},
};

/// The kernel answers in microseconds. Only a reply that the codec cannot decode is waited for in vain.
const PATIENCE: Duration = Duration::from_secs(5);

const ENODEV: i32 = 19;

/// A handle to one rtnetlink socket for requests; cheap to clone. The socket belongs to the network namespace
/// of the thread that called [`Netlink::connect`].
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens the socket and spawns the task that serves it; the task ends with the last clone.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect() -> Result<Netlink, NetError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetError::Socket)?;
        tokio::spawn(connection);
        Ok(Netlink { handle })
    }

    /// Opens a second socket, for notifications. Subscribe first and read the tables after, so that no change
    /// falls between.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn subscribe() -> Result<Changes, NetError> {
        Changes::open()
    }

    /// The interface of that name (or alternative name).
    pub async fn interface(&self, name: &str) -> Result<Interface, NetError> {
        let mut query = LinkMessage::default();
        query.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_interface(query, format!("`{name}`")).await
    }

    /// The interface of that index.
    pub async fn interface_by_index(&self, index: u32) -> Result<Interface, NetError> {
        let mut query = LinkMessage::default();
        query.header.index = index;
        self.one_interface(query, format!("with index {index}")).await
    }

    /// The XDP program on an interface, in its driver or in front of the stack, by the kernel's number.
    pub async fn xdp_program(&self, index: u32) -> Result<Option<u32>, NetError> {
        let mut query = LinkMessage::default();
        query.header.index = index;
        let links = self
            .ask(RouteNetlinkMessage::GetLink(query), 0)
            .await
            .map_err(|why| why.doing(format!("asking for the XDP program of interface {index}")))?;
        Ok(links.iter().find_map(|reply| match reply {
            RouteNetlinkMessage::NewLink(message) => link::xdp_program(message),
            _ => None,
        }))
    }

    /// Waits until an interface is up, which takes seconds when a card is setting up its link anew. False: it is not.
    pub async fn wait_until_up(&self, index: u32, limit: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        // Before the first look, or what changes between would be missed.
        let Ok(mut changes) = Netlink::subscribe() else { return false };
        loop {
            if self.interface_by_index(index).await.is_ok_and(|interface| interface.up) {
                return true;
            }
            if !matches!(tokio::time::timeout_at(deadline, changes.next()).await, Ok(Some(_))) {
                return false;
            }
        }
    }

    /// All interfaces of the network namespace.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, NetError> {
        let query = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let links = self.ask(query, NLM_F_DUMP).await.map_err(|why| why.doing("listing the interfaces"))?;
        Ok(links.iter().filter_map(interface).collect())
    }

    /// The usable addresses of one interface: those that passed duplicate address detection.
    pub async fn addresses(&self, index: u32) -> Result<Vec<IpAddr>, NetError> {
        Ok(self.usable(index).await?.iter().map(|usable| usable.address).collect())
    }

    /// Whether the kernel would deliver packets for `address` to this host.
    pub async fn is_local(&self, address: IpAddr) -> Result<bool, NetError> {
        if address.is_unspecified() {
            return Ok(false);
        }
        match self.path(address.to_canonical()).await {
            Err(NetError::Local { .. }) => Ok(true),
            Ok(_)
            | Err(
                NetError::NotUnicast(_)
                | NetError::NoRoute { .. }
                | NetError::Unreachable { .. }
                | NetError::Blackhole { .. }
                | NetError::Prohibited { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first hop to `destination`, from the routing table and then the neighbour table. Sends nothing on
    /// the link: follow with [`Netlink::probe`] when the state is not valid. A route outlives the carrier of
    /// its interface, and can lead to one without MAC address: look at `interface.up` and `interface.mac`.
    pub async fn next_hop(&self, destination: IpAddr) -> Result<NextHop, NetError> {
        let destination = destination.to_canonical();
        // Broadcast addresses of this host's networks are known to the routing table.
        if is_no_host(&destination, &BTreeSet::new()).is_some() {
            return Err(NetError::NotUnicast(destination));
        }
        if matches!(destination, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            return Err(NetError::LinkLocal(destination));
        }
        let Path { egress, gateway, source } = self.path(destination).await?;
        let interface = self.interface_by_index(egress).await?;
        let source = match source {
            Some(source) => source,
            None => address::choose_source(&self.usable(egress).await?, destination)
                .ok_or_else(|| NetError::NoSource { destination, interface: interface.name.clone() })?,
        };
        let via = gateway.unwrap_or(destination);
        let (mac, state) = match self.neighbour(egress, via).await? {
            Some(neighbour) => (neighbour.mac, neighbour.state),
            None => (None, NeighbourState::Missing),
        };
        Ok(NextHop { interface, gateway, via, source, mac, state })
    }

    /// Makes the kernel resolve the next hop, or confirm it when stale, as if it had a packet to send. Returns
    /// at once: the result comes as [`Change::Neighbour`](super::Change::Neighbour). Leaves entries that ARP and
    /// NDP do not maintain (permanent, noarp) alone.
    pub async fn probe(&self, hop: &NextHop) -> Result<(), NetError> {
        let (ifindex, address) = (hop.interface.index, hop.via);
        // NTF_USE takes the "permanent" off an entry that a person set (`__neigh_update` in net/core/neighbour.c).
        if self.neighbour(ifindex, address).await?.is_some_and(|neighbour| neighbour.fixed) {
            return Ok(());
        }
        let request = RouteNetlinkMessage::NewNeighbour(neighbour::use_entry(ifindex, address));
        match self.ask(request, NLM_F_ACK | NLM_F_CREATE).await {
            Ok(_) => Ok(()),
            Err(why) => Err(why.doing(format!("probing {address} on {}", hop.interface.name))),
        }
    }

    async fn one_interface(&self, query: LinkMessage, wanted: String) -> Result<Interface, NetError> {
        match self.ask(RouteNetlinkMessage::GetLink(query), 0).await {
            Ok(links) => links.iter().find_map(interface).ok_or_else(|| NetError::BadReply {
                doing: format!("asking for interface {wanted}"),
                missing: "interface",
            }),
            Err(Refusal::Errno(error)) if names_no_interface(&error) => {
                let existing = self.interfaces().await?.into_iter().map(|interface| interface.name).collect();
                Err(NetError::UnknownInterface { wanted, existing })
            }
            Err(why) => Err(why.doing(format!("asking for interface {wanted}"))),
        }
    }

    /// The same with what is known of each, in the kernel's order.
    pub async fn usable(&self, index: u32) -> Result<Vec<Usable>, NetError> {
        let query = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let replies = self
            .ask(query, NLM_F_DUMP)
            .await
            .map_err(|why| why.doing(format!("listing the addresses of interface {index}")))?;
        let of_interface = replies.iter().filter_map(|reply| match reply {
            RouteNetlinkMessage::NewAddress(message) if message.header.index == index => {
                address::read(message)
            }
            _ => None,
        });
        Ok(of_interface.collect())
    }

    async fn path(&self, destination: IpAddr) -> Result<Path, NetError> {
        let doing = || format!("asking for the route to {destination}");
        match self.ask(RouteNetlinkMessage::GetRoute(route::query(destination)), 0).await {
            Ok(replies) => match replies.first() {
                Some(RouteNetlinkMessage::NewRoute(message)) => route::read(destination, message),
                _ => Err(NetError::BadReply { doing: doing(), missing: "route" }),
            },
            Err(Refusal::Errno(error)) => Err(route::refusal(destination, error)),
            Err(why) => Err(why.doing(doing())),
        }
    }

    async fn neighbour(&self, ifindex: u32, address: IpAddr) -> Result<Option<Neighbour>, NetError> {
        let query = RouteNetlinkMessage::GetNeighbour(neighbour::query(ifindex, address));
        match self.ask(query, 0).await {
            Ok(replies) => Ok(replies.iter().find_map(|reply| match reply {
                RouteNetlinkMessage::NewNeighbour(message) => neighbour::read(message),
                _ => None,
            })),
            Err(Refusal::Errno(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why.doing(format!("asking for the neighbour {address} on interface {ifindex}"))),
        }
    }

    /// Sends one request and collects its replies.
    async fn ask(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Refusal> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let stream = self.handle.clone().request(request).map_err(|_| Refusal::Closed)?;
        tokio::time::timeout(PATIENCE, collect(stream)).await.map_err(|_| Refusal::Timeout)?
    }
}

/// Why a request brought no reply; becomes a [`NetError`] with what the caller was doing.
enum Refusal {
    Closed,
    Timeout,
    Errno(io::Error),
}

impl Refusal {
    fn doing(self, doing: impl Into<String>) -> NetError {
        match self {
            Refusal::Closed => NetError::Closed,
            Refusal::Timeout => NetError::Timeout { doing: doing.into() },
            Refusal::Errno(source) => NetError::kernel(doing, source),
        }
    }
}

async fn collect(
    stream: impl futures_util::Stream<Item = NetlinkMessage<RouteNetlinkMessage>>,
) -> Result<Vec<RouteNetlinkMessage>, Refusal> {
    let mut stream = std::pin::pin!(stream);
    let mut replies = Vec::new();
    while let Some(reply) = stream.next().await {
        match reply.payload {
            NetlinkPayload::InnerMessage(message) => replies.push(message),
            NetlinkPayload::Error(error) if error.code.is_some() => {
                return Err(Refusal::Errno(error.to_io()));
            }
            _ => {}
        }
    }
    Ok(replies)
}

fn interface(reply: &RouteNetlinkMessage) -> Option<Interface> {
    match reply {
        RouteNetlinkMessage::NewLink(message) => link::read(message),
        _ => None,
    }
}

/// ENODEV; or EINVAL and ERANGE for index 0, the empty name and names longer than IFNAMSIZ.
fn names_no_interface(error: &io::Error) -> bool {
    const ERANGE: i32 = 34;
    error.kind() == io::ErrorKind::InvalidInput || matches!(error.raw_os_error(), Some(ENODEV | ERANGE))
}
