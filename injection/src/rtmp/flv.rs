//! What an audio or video message holds, without I/O: FLV tag bodies (Adobe's FLV specification, annex E.4), H264 and AAC
//! only.

use bytes::Bytes;

const AVC: u8 = 7;
const AAC: u8 = 10;
/// profile_idc of H264's baseline profile (H.264 annex A.2.1).
const BASELINE: u8 = 66;

/// A video message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Video {
    /// An AVCDecoderConfigurationRecord (ISO 14496-15 section 5.3.3): what a decoder needs before the first frame.
    Config(Bytes),
    /// A frame, as AVC's length-prefixed units.
    Frame { key: bool, shown_after_ms: i32, data: Bytes },
    /// Nothing for us.
    Nothing,
}

/// An audio message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audio {
    /// An AudioSpecificConfig (ISO 14496-3 section 1.6.2.1).
    Config(Bytes),
    /// An AAC frame.
    Frame(Bytes),
    /// Nothing for us.
    Nothing,
}

/// Reads a video message; an error says what the encoder should send instead.
pub fn video(body: &Bytes) -> Result<Video, String> {
    let Some(first) = body.first() else { return Ok(Video::Nothing) };
    if first & 0x80 != 0 {
        let codec = String::from_utf8_lossy(body.get(1..5).unwrap_or_default()).into_owned();
        return Err(format!("the video is {}; choose H264", codec.escape_debug()));
    }
    let (kind, codec) = (first >> 4, first & 0x0f);
    if codec != AVC {
        return Err(format!("the video has FLV's codec number {codec}; choose H264"));
    }
    // 5: a command to players.
    let (Some(head), false) = (body.get(1..5), kind == 5) else { return Ok(Video::Nothing) };
    let data = body.slice(5..);
    Ok(match head[0] {
        0 if is_config(&data) => Video::Config(data),
        0 => return Err("the H264 configuration is none".to_owned()),
        1 if !data.is_empty() => {
            // 24 bits with a sign.
            let shown_after_ms = i32::from_be_bytes([head[1], head[2], head[3], 0]) >> 8;
            Video::Frame { key: kind == 1, shown_after_ms, data }
        }
        _ => Video::Nothing,
    })
}

/// Reads an audio message; an error says what the encoder should send instead.
pub fn audio(body: &Bytes) -> Result<Audio, String> {
    let Some(first) = body.first() else { return Ok(Audio::Nothing) };
    let codec = first >> 4;
    if codec != AAC {
        return Err(format!("the audio has FLV's codec number {codec}; choose AAC"));
    }
    let Some(kind) = body.get(1) else { return Ok(Audio::Nothing) };
    let data = body.slice(2..);
    Ok(match kind {
        0 if data.len() >= 2 => Audio::Config(data),
        0 => return Err("the AAC configuration is none".to_owned()),
        1 if !data.is_empty() => Audio::Frame(data),
        _ => Audio::Nothing,
    })
}

/// Whether every viewer's decoder takes H264 of this configuration: the baseline profile, which has no B-frames either.
/// WebRTC is promised 42e01f; High or Main would have to be understood by chance.
pub fn is_baseline(config: &[u8]) -> bool {
    config.get(1) == Some(&BASELINE)
}

/// The profile, for people.
pub fn profile(config: &[u8]) -> String {
    match config.get(1) {
        Some(66) => "baseline".to_owned(),
        Some(77) => "main".to_owned(),
        Some(100) => "high".to_owned(),
        Some(other) => format!("profile {other}"),
        None => "no profile".to_owned(),
    }
}

fn is_config(data: &[u8]) -> bool {
    data.len() >= 7 && data[0] == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: [u8; 8] = [1, 66, 0xc0, 31, 0xff, 0xe1, 0, 0];

    fn tag(head: &[u8], data: &[u8]) -> Bytes {
        [head, data].concat().into()
    }

    #[test]
    fn h264_is_taken_apart() {
        let config = Bytes::from_static(&CONFIG);
        assert_eq!(video(&tag(&[0x17, 0, 0, 0, 0], &CONFIG)), Ok(Video::Config(config)));
        let data = Bytes::from_static(b"xyz");
        let frame = |key, shown_after_ms| Ok(Video::Frame { key, shown_after_ms, data: data.clone() });
        assert_eq!(video(&tag(&[0x17, 1, 0, 0, 80], &data)), frame(true, 80));
        assert_eq!(video(&tag(&[0x27, 1, 0xff, 0xff, 0xff], &data)), frame(false, -1));
        for nothing in [&[][..], &[0x17], &[0x17, 2, 0, 0, 0], &[0x57, 1, 0, 0, 0, 9], &[0x27, 1, 0, 0, 0]] {
            assert_eq!(video(&tag(nothing, &[])), Ok(Video::Nothing), "{nothing:?}");
        }
    }

    #[test]
    fn aac_is_taken_apart() {
        let config = Bytes::from_static(&[0x12, 0x10]);
        assert_eq!(audio(&tag(&[0xaf, 0], &config)), Ok(Audio::Config(config.clone())));
        assert_eq!(audio(&tag(&[0xaf, 1], b"x")), Ok(Audio::Frame(Bytes::from_static(b"x"))));
        for nothing in [&[][..], &[0xaf], &[0xaf, 1]] {
            assert_eq!(audio(&tag(nothing, &[])), Ok(Audio::Nothing), "{nothing:?}");
        }
    }

    #[test]
    fn other_codecs_are_refused_in_words() {
        assert!(video(&tag(b"\x91hvc1", &[])).unwrap_err().contains("hvc1; choose H264"));
        assert!(video(&tag(&[0x12, 0], &[])).unwrap_err().contains("number 2; choose H264"));
        assert!(audio(&tag(&[0x2f, 0], &[])).unwrap_err().contains("number 2; choose AAC"));
        assert!(video(&tag(&[0x17, 0, 0, 0, 0], &[1, 2])).is_err());
        assert!(audio(&tag(&[0xaf, 0], &[1])).is_err());
    }

    #[test]
    fn only_baseline_passes() {
        assert!(is_baseline(&CONFIG));
        for other in [77, 88, 100, 110] {
            assert!(!is_baseline(&[1, other, 0, 31]), "{other}");
        }
        assert!(!is_baseline(&[]));
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let body = Bytes::from(body);
            let _ = (video(&body), audio(&body));
        }
    }
}
