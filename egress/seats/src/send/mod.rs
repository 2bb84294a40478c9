//! Many packets to many viewers with few system calls.
//!
//! A [`Batch`] collects packets, each sealed straight into its memory, and sends them when it is full or told to: those of one viewer that
//! follow each other and fit are one message that the kernel cuts apart (UDP_SEGMENT), and all messages go by one sendmmsg.
//! Viewers behind TCP have a [`Connection`] each.

mod batch;
mod messages;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

pub use batch::{Batch, Counts};

use crate::door::Connection;

/// The way to a viewer.
#[derive(Clone, Debug)]
pub enum Path {
    /// From the media port.
    Udp(SocketAddr),
    /// From the media port and this address of ours, which is the one that the viewer came to: on a machine with several the
    /// kernel might take another, and a player takes nothing from there (RFC 8445 section 7.2.5.2.1).
    UdpFrom(SocketAddr, IpAddr),
    /// Over a connection that the viewer made to it (RFC 6544), framed by RFC 4571.
    Tcp(Arc<Connection>),
}

/// Sends one datagram, without waiting. An error is the kernel's, or that the path is none of this socket's.
pub(crate) fn datagram(socket: &UdpSocket, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let v6 = socket.local_addr()?.is_ipv6();
    let to = messages::Name::of(path, v6).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut outbox = messages::Outbox::default();
    let mut message = outbox.fill(std::iter::once(messages::Datagrams { to, bytes, segment: None }));
    loop {
        match message.send(socket, 0..) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent.map(drop),
        }
    }
}
