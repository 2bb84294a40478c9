//! Whether a packet begins a keyframe: a picture that a decoder can begin with. Pure.

use super::{VideoCodec, rtp};

/// NAL units (H264 table 7-1, RFC 6184 table 1): a slice of an IDR picture, a sequence parameter set, several in one packet,
/// one in several packets.
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// True for the first packet of a keyframe; for some more of it, maybe.
pub fn begins_keyframe(codec: VideoCodec, packet: &[u8]) -> bool {
    let Some(payload) = rtp::payload(packet) else { return false };
    match codec {
        VideoCodec::Vp8 => vp8(payload),
        VideoCodec::H264 => h264(payload),
    }
    .unwrap_or(false)
}

/// RFC 7741 section 4.2 (descriptor), RFC 6386 section 9.1 (frame header).
fn vp8(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    let mut at = 1;
    if first & 0x80 != 0 {
        let has = *payload.get(at)?;
        at += 1;
        if has & 0x80 != 0 {
            at += if *payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(has & 0x40 != 0) + usize::from(has & 0x30 != 0);
    }
    let frame = payload.get(at..at + 6)?;
    Some(begins && frame[0] & 1 == 0 && frame[3..] == [0x9d, 0x01, 0x2a])
}

/// RFC 6184 sections 5.6 to 5.8.
fn h264(payload: &[u8]) -> Option<bool> {
    let kind = |byte: u8| byte & 0x1f;
    let wanted = |byte: u8| matches!(kind(byte), IDR | SPS);
    match kind(*payload.first()?) {
        STAP_A => {
            let mut rest = payload.get(1..)?;
            while let [high, low, unit @ ..] = rest {
                if wanted(*unit.first()?) {
                    return Some(true);
                }
                rest = unit.get(usize::from(u16::from_be_bytes([*high, *low]))..)?;
            }
            Some(false)
        }
        FU_A => {
            let header = *payload.get(1)?;
            Some(header & 0x80 != 0 && wanted(header))
        }
        _ => Some(wanted(payload[0])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        [&[0x80, 96][..], &[0; 10], payload].concat()
    }

    #[test]
    fn keyframes_are_known_by_their_first_packet() {
        const KEY: [u8; 6] = [0x10, 2, 0, 0x9d, 0x01, 0x2a];
        let vp8 = |descriptor: &[u8], frame: [u8; 6]| [descriptor, &frame].concat();
        let table: [(VideoCodec, Vec<u8>, bool); 15] = [
            (VideoCodec::Vp8, vp8(&[0x10], KEY), true),
            (VideoCodec::Vp8, vp8(&[0x90, 0x80, 0x05], KEY), true),
            (VideoCodec::Vp8, vp8(&[0x90, 0xf0, 0x85, 0x05, 1, 2], KEY), true),
            // In the middle of a frame, another partition, a frame that needs others, something else.
            (VideoCodec::Vp8, vp8(&[0x00], KEY), false),
            (VideoCodec::Vp8, vp8(&[0x11], KEY), false),
            (VideoCodec::Vp8, vp8(&[0x10], [0x11, 2, 0, 0x9d, 0x01, 0x2a]), false),
            (VideoCodec::Vp8, vp8(&[0x10], [0x10, 2, 0, 0, 0, 0]), false),
            (VideoCodec::Vp8, vec![0x10, 0, 0, 0], false),
            (VideoCodec::H264, vec![0x65, 1], true),
            (VideoCodec::H264, vec![0x67, 1], true),
            (VideoCodec::H264, vec![0x41, 1], false),
            (VideoCodec::H264, vec![24, 0, 2, 0x09, 0x10, 0, 2, 0x67, 1], true),
            (VideoCodec::H264, vec![24, 0, 2, 0x09, 0x10, 0, 2, 0x41, 1], false),
            (VideoCodec::H264, vec![0x7c, 0x85, 1], true),
            (VideoCodec::H264, vec![0x7c, 0x05, 1], false),
        ];
        for (codec, payload, wanted) in table {
            assert_eq!(begins_keyframe(codec, &packet(&payload)), wanted, "{codec:?} {payload:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet: Vec<u8>) {
            for codec in [VideoCodec::Vp8, VideoCodec::H264] {
                let _ = begins_keyframe(codec, &packet);
            }
        }
    }
}
