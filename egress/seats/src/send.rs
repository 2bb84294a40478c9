//! Many packets to many viewers with few system calls.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::door::Connection;

/// The way to a viewer.
#[derive(Clone, Debug)]
pub enum Path {
    /// From the media port.
    Udp(SocketAddr),
    /// Over a connection that the viewer made to it (RFC 6544), framed by RFC 4571.
    Tcp(Arc<Connection>),
}
