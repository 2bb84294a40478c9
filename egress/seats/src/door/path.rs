//! Ways by which viewers come in.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use crate::send::Path;

/// Tells ways apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// The viewer's address.
    Udp(SocketAddr),
    /// The connection's descriptor: no two have the same while both are there.
    Tcp(RawFd),
}

impl Path {
    pub(crate) fn way(&self) -> Way {
        match self {
            Path::Udp(from) | Path::UdpFrom(from, _) => Way::Udp(*from),
            Path::Tcp(connection) => Way::Tcp(connection.stream().as_raw_fd()),
        }
    }

    /// The viewer's address as it knows it: IPv4 if it is, also where our socket takes both. None: it has hung up.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address = match self {
            Path::Udp(from) | Path::UdpFrom(from, _) => *from,
            Path::Tcp(connection) => connection.stream().peer_addr().ok()?,
        };
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}
