//! Codecs and their payload types. These are the tree's own: Janus sends with them, and mountpoints take them, whatever a
//! publisher and a viewer have agreed on with their Janus.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;

/// What a stream is encoded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Sound (RFC 7587).
    Opus,
    /// Picture.
    Video(VideoCodec),
}

/// What a session's video is encoded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// VP8 (RFC 7741).
    #[default]
    Vp8,
    /// H264 (RFC 6184), constrained baseline 3.1.
    H264,
}

impl Codec {
    /// All that a tree carries.
    pub const ALL: [Codec; 3] = [Codec::Opus, Codec::Video(VideoCodec::Vp8), Codec::Video(VideoCodec::H264)];

    /// Reads its name, in any case, as SDP and Janus have it.
    pub fn parse(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name.trim()))
    }

    /// As Janus calls it, and Redis.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Video(codec) => codec.name(),
        }
    }

    /// As SDP calls it (the RFCs' media subtypes).
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Video(VideoCodec::Vp8) => "VP8",
            Codec::Video(VideoCodec::H264) => "H264",
        }
    }

    /// RTP payload type, everywhere in the tree.
    pub const fn payload_type(self) -> u8 {
        match self {
            Codec::Opus => 111,
            Codec::Video(codec) => codec.payload_type(),
        }
    }

    /// Format parameters in SDP, if any.
    pub const fn fmtp(self) -> Option<&'static str> {
        match self {
            // RFC 7587 section 6.1: without these a browser takes it for one channel, and plays that on both sides.
            Codec::Opus => Some("stereo=1;sprop-stereo=1"),
            Codec::Video(codec) => codec.fmtp(),
        }
    }

    /// The kind of media that it is for.
    pub const fn kind(self) -> Kind {
        match self {
            Codec::Opus => Kind::Audio,
            Codec::Video(_) => Kind::Video,
        }
    }
}

impl VideoCodec {
    /// Reads what a session's hash or a request says.
    pub fn parse(name: &str) -> Option<VideoCodec> {
        match Codec::parse(name) {
            Some(Codec::Video(codec)) => Some(codec),
            _ => None,
        }
    }

    /// As Janus calls it, and Redis.
    pub const fn name(self) -> &'static str {
        match self {
            VideoCodec::Vp8 => "vp8",
            VideoCodec::H264 => "h264",
        }
    }

    /// RTP payload type, everywhere in the tree.
    pub const fn payload_type(self) -> u8 {
        match self {
            VideoCodec::Vp8 => 96,
            VideoCodec::H264 => 108,
        }
    }

    /// Format parameters in SDP, if any.
    pub const fn fmtp(self) -> Option<&'static str> {
        match self {
            VideoCodec::Vp8 => None,
            VideoCodec::H264 => Some("profile-level-id=42e01f;packetization-mode=1"),
        }
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_known_by_its_name_in_any_case() {
        for codec in Codec::ALL {
            assert_eq!(Codec::parse(codec.name()), Some(codec));
            assert_eq!(Codec::parse(codec.encoding_name()), Some(codec));
            assert_eq!(Codec::parse(&format!(" {} ", codec.name().to_uppercase())), Some(codec));
        }
        assert_eq!((Codec::parse("vp9"), VideoCodec::parse("opus")), (None, None));
    }

    #[test]
    fn payload_types_are_dynamic_and_each_codec_has_its_own() {
        let mut types = Codec::ALL.map(Codec::payload_type);
        types.sort_unstable();
        assert!(types.windows(2).all(|pair| pair[0] < pair[1]));
        // RFC 3551 section 6.
        assert!(types.iter().all(|payload_type| (96..=127).contains(payload_type)));
    }
}
