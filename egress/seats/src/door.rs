//! Who comes in by the media port: ICE (lite), DTLS on threads of its own, and what viewers send later.

pub use crate::send::Connection;
