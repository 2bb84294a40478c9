//! DTLS of somebody who has come in at the media port.

/// See `seats::door::hostile`.
pub fn viewer_dtls(data: &[u8]) {
    seats::door::hostile::dtls(data);
}
