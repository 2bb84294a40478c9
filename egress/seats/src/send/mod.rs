//! Many packets to many viewers with few system calls.
//!
//! A [`Batch`] collects packets, each sealed straight into its memory, and sends them when it is full or told to: those of one viewer that
//! follow each other and fit are one message that the kernel cuts apart (UDP_SEGMENT), and all messages go by one sendmmsg.
//! Viewers behind TCP have a [`Connection`] each.

mod batch;
mod messages;

use std::net::SocketAddr;
use std::sync::Arc;

pub use batch::{Batch, Counts};

use crate::door::Connection;

/// The way to a viewer.
#[derive(Clone, Debug)]
pub enum Path {
    /// From the media port.
    Udp(SocketAddr),
    /// Over a connection that the viewer made to it (RFC 6544), framed by RFC 4571.
    Tcp(Arc<Connection>),
}
