//! What an audio or video message holds, without I/O: FLV tag bodies (Adobe's FLV specification, annex E.4), H264 and AAC
//! only. Since Enhanced RTMP these can also be said by four letters: see [`super::enhanced`].

use bytes::Bytes;

use super::enhanced;

const AVC: u8 = 7;
const AAC: u8 = 10;
/// Says that a codec is named by four letters: the first bit of a video message, a sound format of an audio message.
const ENHANCED_VIDEO: u8 = 0x80;
const ENHANCED_AUDIO: u8 = 9;
/// profile_idc of H264's baseline profile (H.264 annex A.2.1).
const BASELINE: u8 = 66;
/// Tags of an aggregate message at most; encoders that send such put some ten into one.
const MOST_TAGS: usize = 1024;

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
    if first & ENHANCED_VIDEO != 0 {
        return enhanced::video(body);
    }
    let (kind, codec) = (first >> 4, first & 0x0f);
    if codec != AVC {
        return Err(format!("the video has FLV's codec number {codec}; choose H264"));
    }
    // 5: a command to players.
    let (Some(head), false) = (body.get(1..5), kind == 5) else { return Ok(Video::Nothing) };
    let data = body.slice(5..);
    match head[0] {
        0 => avc_config(data),
        1 => Ok(avc_frame(kind == 1, milliseconds(&head[1..]), data)),
        _ => Ok(Video::Nothing),
    }
}

/// Reads an audio message; an error says what the encoder should send instead.
pub fn audio(body: &Bytes) -> Result<Audio, String> {
    let Some(first) = body.first() else { return Ok(Audio::Nothing) };
    let codec = first >> 4;
    if codec == ENHANCED_AUDIO {
        return enhanced::audio(body);
    }
    if codec != AAC {
        return Err(format!("the audio has FLV's codec number {codec}; choose AAC"));
    }
    let Some(kind) = body.get(1) else { return Ok(Audio::Nothing) };
    let data = body.slice(2..);
    match kind {
        0 => aac_config(data),
        1 => Ok(aac_frame(data)),
        _ => Ok(Audio::Nothing),
    }
}

/// H264's configuration, if there is one.
pub(super) fn avc_config(data: Bytes) -> Result<Video, String> {
    match data.as_ref() {
        [] => Ok(Video::Nothing),
        [1, _, _, _, _, _, _, ..] => Ok(Video::Config(data)),
        _ => Err("the H264 configuration is none".to_owned()),
    }
}

/// A frame of H264, if there is one.
pub(super) fn avc_frame(key: bool, shown_after_ms: i32, data: Bytes) -> Video {
    match data.is_empty() {
        true => Video::Nothing,
        false => Video::Frame { key, shown_after_ms, data },
    }
}

/// AAC's configuration, if there is one.
pub(super) fn aac_config(data: Bytes) -> Result<Audio, String> {
    match data.len() {
        0 => Ok(Audio::Nothing),
        1 => Err("the AAC configuration is none".to_owned()),
        _ => Ok(Audio::Config(data)),
    }
}

/// A frame of AAC, if there is one.
pub(super) fn aac_frame(data: Bytes) -> Audio {
    if data.is_empty() { Audio::Nothing } else { Audio::Frame(data) }
}

/// 24 bits with a sign, in three bytes.
pub(super) fn milliseconds(bytes: &[u8]) -> i32 {
    match bytes {
        [a, b, c, ..] => i32::from_be_bytes([*a, *b, *c, 0]) >> 8,
        _ => 0,
    }
}

/// The messages in an aggregate message (RTMP 1.0 section 7.1.6): type, time and body of each. The first has the time of the
/// whole.
pub fn tags(aggregate: &Bytes, timestamp: u32) -> impl Iterator<Item = (u8, u32, Bytes)> {
    let mut rest = aggregate.clone();
    let mut first = None;
    let tag = move || {
        let head: [u8; 11] = *rest.first_chunk()?;
        let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let body = (rest.len() >= 11 + length).then(|| rest.slice(11..11 + length))?;
        // Behind it is how long it was, once more.
        rest = rest.slice((11 + length + 4).min(rest.len())..);
        let after = time.wrapping_sub(*first.get_or_insert(time));
        Some((head[0], timestamp.wrapping_add(after), body))
    };
    std::iter::from_fn(tag).take(MOST_TAGS)
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
        let nothing: [&[u8]; 6] = [
            &[],
            &[0x17],
            &[0x17, 2, 0, 0, 0],
            &[0x57, 1, 0, 0, 0, 9],
            &[0x27, 1, 0, 0, 0],
            &[0x17, 0, 0, 0, 0],
        ];
        for nothing in nothing {
            assert_eq!(video(&tag(nothing, &[])), Ok(Video::Nothing), "{nothing:?}");
        }
    }

    #[test]
    fn aac_is_taken_apart() {
        let config = Bytes::from_static(&[0x12, 0x10]);
        assert_eq!(audio(&tag(&[0xaf, 0], &config)), Ok(Audio::Config(config.clone())));
        assert_eq!(audio(&tag(&[0xaf, 1], b"x")), Ok(Audio::Frame(Bytes::from_static(b"x"))));
        for nothing in [&[][..], &[0xaf], &[0xaf, 1], &[0xaf, 0]] {
            assert_eq!(audio(&tag(nothing, &[])), Ok(Audio::Nothing), "{nothing:?}");
        }
    }

    #[test]
    fn other_codecs_are_refused_in_words() {
        assert!(video(&tag(&[0x12, 0], &[])).unwrap_err().contains("number 2; choose H264"));
        assert!(audio(&tag(&[0x2f, 0], &[])).unwrap_err().contains("number 2; choose AAC"));
        assert!(video(&tag(&[0x17, 0, 0, 0, 0], &[1, 2])).is_err());
        assert!(audio(&tag(&[0xaf, 0], &[1])).is_err());
    }

    #[test]
    fn an_aggregate_is_taken_apart() {
        let one = |kind, time: u8, body: &[u8]| {
            [&[kind, 0, 0, body.len() as u8, 0, 0, time, 0, 0, 0, 0][..], body, &[0, 0, 0, 11]].concat()
        };
        let whole = Bytes::from([one(8, 100, b"sound"), one(9, 123, b"picture")].concat());
        let found: Vec<_> = tags(&whole, 5000).collect();
        let wanted = [(8, 5000, Bytes::from_static(b"sound")), (9, 5023, Bytes::from_static(b"picture"))];
        assert_eq!(found, wanted);
        for length in 0..whole.len() {
            assert!(tags(&whole.slice(..length), 0).count() < 3);
        }
        let many = Bytes::from(one(8, 0, b"").repeat(MOST_TAGS + 5));
        assert_eq!(tags(&many, 0).count(), MOST_TAGS);
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
            let _ = (video(&body), audio(&body), tags(&body, 7).count());
        }
    }
}
