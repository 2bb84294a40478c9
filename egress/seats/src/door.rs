//! Who comes in by the media port: ICE (lite), DTLS on threads of its own, and what viewers send later.

/// A viewer's TCP connection.
#[derive(Debug)]
pub struct Connection {}
