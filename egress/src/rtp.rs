//! The RTP packets that an egress makes itself. They carry no media.

use node::media::rtp::{HEADER, Header};
use node::media::{Codec, Ssrc};

/// A packet without media. With another SSRC than the stream's, Janus takes what follows for a new source and joins
/// the two without a seam.
pub fn dummy(codec: Codec, ssrc: Ssrc) -> [u8; HEADER] {
    Header { payload_type: codec.payload_type(), sequence: 0, timestamp: 0, ssrc }.bytes()
}

/// What tells Janus where to send its RTCP for a mountpoint.
pub const HELLO: [u8; HEADER] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dummy_is_rtp() {
        let wanted = Header { payload_type: 111, sequence: 0, timestamp: 0, ssrc: Ssrc(5) };
        assert_eq!(Header::read(&dummy(Codec::Opus, Ssrc(5))), Ok(wanted));
    }
}
