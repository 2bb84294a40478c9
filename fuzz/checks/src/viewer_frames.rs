//! What comes to the media port by TCP (RFC 4571).

/// See `seats::door::hostile`.
pub fn viewer_frames(data: &[u8]) {
    seats::door::hostile::frames(data);
}
