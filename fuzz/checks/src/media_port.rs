//! Packets of anybody at the media port of the egress.

/// See `seats::door::hostile`.
pub fn media_port(data: &[u8]) {
    let _ = seats::door::hostile::media_port(data);
}
