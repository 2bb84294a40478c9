//! Does a keyframe begin in this RTP payload? VP8: RFC 7741 section 4.2; H264: RFC 6184 section 5.

use str0m::format::Codec;
use str0m::rtp::Vp8Descriptor;

/// A part of a sequence parameter set, and of a picture that needs no other.
const PARAMETERS: u8 = 7;
const PICTURE: u8 = 5;
/// Several units in one packet; one unit in several packets.
const AGGREGATE: u8 = 24;
const FRAGMENT: u8 = 28;

/// True for the first packet of a keyframe.
pub fn begins(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => {
            Vp8Descriptor::parse(payload).is_ok_and(|descriptor| descriptor.starts_keyframe(payload))
        }
        Codec::H264 => h264(payload),
        _ => false,
    }
}

fn h264(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else { return false };
    let unit = match first & 0x1f {
        // The first unit behind its length.
        AGGREGATE => payload.get(3).map(|header| header & 0x1f),
        FRAGMENT => payload.get(1).filter(|header| **header & 0x80 != 0).map(|header| header & 0x1f),
        unit => Some(unit),
    };
    matches!(unit, Some(PARAMETERS | PICTURE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_packets_of_keyframes_are_known() {
        let table: [(Codec, &[u8], bool); 10] = [
            (Codec::Vp8, &[0x10, 0x00, 0, 0], true),
            (Codec::Vp8, &[0x10, 0x01, 0, 0], false),
            (Codec::Vp8, &[0x00, 0x00, 0, 0], false),
            (Codec::H264, &[0x67, 0x42], true),
            (Codec::H264, &[0x65, 0x88], true),
            (Codec::H264, &[0x41, 0x9a], false),
            (Codec::H264, &[0x78, 0, 4, 0x67, 0x42], true),
            (Codec::H264, &[0x7c, 0x85, 0], true),
            (Codec::H264, &[0x7c, 0x05, 0], false),
            (Codec::Opus, &[0x78], false),
        ];
        for (codec, payload, wanted) in table {
            assert_eq!(begins(codec, payload), wanted, "{codec:?} {payload:02x?}");
        }
        assert!(!begins(Codec::H264, &[]) && !begins(Codec::Vp8, &[]));
    }
}
