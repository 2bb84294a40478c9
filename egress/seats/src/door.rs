//! Who comes in by the media port: ICE (lite), DTLS on threads of its own, and what viewers send later.

mod connection;
mod dtls;
mod sockets;

pub use connection::Connection;
