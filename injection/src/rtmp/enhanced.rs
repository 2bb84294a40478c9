//! Enhanced RTMP (Veovera's specification, v1 and v2), without I/O: audio and video messages that name their codec by four
//! letters. Of several tracks the first is taken, number 0; the others are quality levels or languages.

use bytes::{Buf, Bytes};

use super::flv::{Audio, Video, aac_config, aac_frame, avc_config, avc_frame, milliseconds};

/// Packet types. Those that are not here say nothing that is needed: the end, metadata, how loudspeakers stand.
const CONFIG: u8 = 0;
const FRAMES: u8 = 1;
/// Video only: shown when it is decoded.
const FRAMES_AT_ONCE: u8 = 3;
const MULTITRACK: [u8; 2] = [5, 6];
/// More about the packet in front of it.
const MODIFIED: u8 = 7;
/// What a multitrack message has: one track, several of one codec, or several of several.
const ONE: u8 = 0;
const SEVERAL_CODECS: u8 = 2;

/// A packet: its type, and the first track's codec and content.
struct Packet {
    kind: u8,
    codec: [u8; 4],
    data: Bytes,
}

/// Reads a video message whose first bit is set.
pub(super) fn video(body: &Bytes) -> Result<Video, String> {
    let Some(first) = body.first() else { return Ok(Video::Nothing) };
    let frame = first >> 4 & 0x07;
    // 5: a command to players.
    let packet = match frame == 5 {
        true => None,
        false => packet(body, MULTITRACK[1]),
    };
    let Some(Packet { kind, codec, mut data }) = packet else { return Ok(Video::Nothing) };
    if &codec != b"avc1" {
        return Err(format!("the video is {}; choose H264", name(codec)));
    }
    Ok(match kind {
        CONFIG => return avc_config(data),
        FRAMES if data.len() > 3 => {
            let after = milliseconds(&data);
            data.advance(3);
            avc_frame(frame == 1, after, data)
        }
        FRAMES_AT_ONCE => avc_frame(frame == 1, 0, data),
        _ => Video::Nothing,
    })
}

/// Reads an audio message whose sound format is 9.
pub(super) fn audio(body: &Bytes) -> Result<Audio, String> {
    let Some(Packet { kind, codec, data }) = packet(body, MULTITRACK[0]) else { return Ok(Audio::Nothing) };
    if &codec != b"mp4a" {
        return Err(format!("the audio is {}; choose AAC", name(codec)));
    }
    match kind {
        CONFIG => aac_config(data),
        FRAMES => Ok(aac_frame(data)),
        _ => Ok(Audio::Nothing),
    }
}

/// `None`: it is cut off, or about another track.
fn packet(body: &Bytes, multitrack: u8) -> Option<Packet> {
    let mut rest = body.clone();
    let mut kind = rest.try_get_u8().ok()? & 0x0f;
    while kind == MODIFIED {
        let length = match rest.try_get_u8().ok()? {
            255 => usize::from(rest.try_get_u16().ok()?) + 1,
            length => usize::from(length) + 1,
        };
        rest = rest.get(length..).map(|_| rest.slice(length..))?;
        kind = rest.try_get_u8().ok()? & 0x0f;
    }
    if kind != multitrack {
        let codec = letters(&mut rest)?;
        return Some(Packet { kind, codec, data: rest });
    }
    let both = rest.try_get_u8().ok()?;
    let (tracks, kind) = (both >> 4, both & 0x0f);
    let shared = if tracks == SEVERAL_CODECS { None } else { Some(letters(&mut rest)?) };
    while !rest.is_empty() {
        let codec = match shared {
            Some(codec) => codec,
            None => letters(&mut rest)?,
        };
        let track = rest.try_get_u8().ok()?;
        let length = match tracks {
            ONE => rest.len(),
            _ => usize::try_from(rest.try_get_uint(3).ok()?).ok()?,
        };
        let data = (rest.len() >= length).then(|| rest.split_to(length))?;
        if track == 0 {
            return Some(Packet { kind, codec, data });
        }
    }
    None
}

fn letters(rest: &mut Bytes) -> Option<[u8; 4]> {
    let letters = *rest.first_chunk()?;
    rest.advance(4);
    Some(letters)
}

/// Four letters, for people.
fn name(codec: [u8; 4]) -> String {
    String::from_utf8_lossy(&codec).escape_debug().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtmp::flv;

    const CONFIG: &[u8] = &[1, 66, 0xc0, 31, 0xff, 0xe1, 0, 0];

    fn of(parts: &[&[u8]]) -> Bytes {
        parts.concat().into()
    }

    fn frame(key: bool, shown_after_ms: i32) -> Result<Video, String> {
        Ok(Video::Frame { key, shown_after_ms, data: Bytes::from_static(b"xyz") })
    }

    /// Case A4 of the field.
    #[test]
    fn h264_by_its_letters_is_taken_apart() {
        let config = Ok(Video::Config(Bytes::from_static(CONFIG)));
        assert_eq!(flv::video(&of(&[b"\x90avc1", CONFIG])), config);
        assert_eq!(flv::video(&of(&[b"\x91avc1\0\0\x50xyz"])), frame(true, 80));
        assert_eq!(flv::video(&of(&[b"\xa1avc1\xff\xff\xffxyz"])), frame(false, -1));
        assert_eq!(flv::video(&of(&[b"\x93avc1xyz"])), frame(true, 0));
        assert_eq!(flv::video(&of(&[b"\xa3avc1xyz"])), frame(false, 0));
        let nothing: [&[u8]; 7] = [
            b"\x80",
            b"\x91avc",
            b"\x92avc1",
            b"\x94avc1xyz",
            b"\x91avc1\0\0\0",
            b"\xd1avc1\0\0\0x",
            b"\x90avc1",
        ];
        for nothing in nothing {
            assert_eq!(flv::video(&of(&[nothing])), Ok(Video::Nothing), "{nothing:x?}");
        }
    }

    #[test]
    fn aac_by_its_letters_is_taken_apart() {
        assert_eq!(
            flv::audio(&of(&[b"\x90mp4a\x12\x10"])),
            Ok(Audio::Config(Bytes::from_static(b"\x12\x10")))
        );
        assert_eq!(flv::audio(&of(&[b"\x91mp4ax"])), Ok(Audio::Frame(Bytes::from_static(b"x"))));
        for nothing in [&b"\x90"[..], b"\x91mp4", b"\x92mp4a", b"\x94mp4a\x01\x02", b"\x91mp4a"] {
            assert_eq!(flv::audio(&of(&[nothing])), Ok(Audio::Nothing), "{nothing:x?}");
        }
    }

    #[test]
    fn what_modifies_a_packet_is_passed_over() {
        // A timestamp of nanoseconds, twice; and one of 300 bytes.
        let nano: &[u8] = b"\x02\0\0\x07";
        assert_eq!(flv::video(&of(&[b"\x97", nano, b"\x03avc1xyz"])), frame(true, 0));
        assert_eq!(flv::video(&of(&[b"\x97", nano, b"\x07", nano, b"\x01avc1\0\0\x01xyz"])), frame(true, 1));
        let long = [&b"\x97\xff\x01\x2b"[..], &[9; 300], b"\x03avc1xyz"];
        assert_eq!(flv::video(&of(&long)), frame(true, 0));
        assert_eq!(flv::video(&of(&[b"\x97\xff\xff\xff"])), Ok(Video::Nothing));
    }

    #[test]
    fn of_several_tracks_the_first_is_taken() {
        let table: [(&[u8], _); 6] = [
            (b"\x96\x03avc1\0xyz", frame(true, 0)),
            (b"\x96\x03avc1\x01xyz", Ok(Video::Nothing)),
            (b"\x96\x13avc1\x01\0\0\x01a\0\0\0\x03xyz", frame(true, 0)),
            (b"\x96\x23hvc1\x01\0\0\x01aavc1\0\0\0\x03xyz", frame(true, 0)),
            (b"\x96\x13avc1\x01\xff\xff\xffa", Ok(Video::Nothing)),
            (b"\x96", Ok(Video::Nothing)),
        ];
        for (body, wanted) in table {
            assert_eq!(flv::video(&of(&[body])), wanted, "{body:x?}");
        }
        assert_eq!(flv::audio(&of(&[b"\x95\x01mp4a\0x"])), Ok(Audio::Frame(Bytes::from_static(b"x"))));
        assert_eq!(flv::audio(&of(&[b"\x95\x01Opus\x01x"])), Ok(Audio::Nothing), "another track's codec");
    }

    #[test]
    fn other_codecs_are_refused_in_words() {
        assert!(flv::video(&of(&[b"\x91hvc1\0\0\0x"])).unwrap_err().contains("hvc1; choose H264"));
        assert!(flv::video(&of(&[b"\x90av01"])).unwrap_err().contains("av01; choose H264"));
        assert!(flv::audio(&of(&[b"\x90Opus"])).unwrap_err().contains("Opus; choose AAC"));
        assert!(flv::video(&of(&[b"\x91\n\0\0\0\0\0\0x"])).unwrap_err().contains("\\n"));
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(first in 0x80_u8.., body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let body = of(&[&[first], &body]);
            let _ = (flv::video(&body), audio(&body));
        }
    }
}
