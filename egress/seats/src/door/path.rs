//! Ways by which viewers come in.

use std::net::{IpAddr, SocketAddr};

use crate::send::Path;

/// Tells ways apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Udp(SocketAddr),
    /// To an address of ours: what is heard of one pair says nothing of another.
    UdpFrom(SocketAddr, IpAddr),
    /// `Connection::number`
    Tcp(u64),
}

impl Path {
    pub(crate) fn way(&self) -> Way {
        match self {
            Path::Udp(from) => Way::Udp(*from),
            Path::UdpFrom(from, ours) => Way::UdpFrom(*from, *ours),
            Path::Tcp(connection) => Way::Tcp(connection.number),
        }
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Path::Tcp(_))
    }

    /// The viewer's address as it knows it: IPv4 if it is, also where our socket takes both.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = match self {
            Path::Udp(from) | Path::UdpFrom(from, _) => *from,
            Path::Tcp(connection) => connection.peer,
        };
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }
}
