//! What the streams are coded with. The payload types are those of the mountpoints: Janus sends with them, whatever came.

use serde::{Deserialize, Serialize};

/// Opus, in every mountpoint.
pub const OPUS_PT: u8 = 111;

/// How a session's video is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// VP8.
    #[default]
    Vp8,
    /// H264, constrained baseline 3.1.
    H264,
}

impl VideoCodec {
    /// Reads what a session's hash or a request says.
    pub fn parse(text: &str) -> Option<VideoCodec> {
        match text.trim().to_ascii_lowercase().as_str() {
            "vp8" => Some(VideoCodec::Vp8),
            "h264" => Some(VideoCodec::H264),
            _ => None,
        }
    }

    /// As Janus calls it.
    pub fn name(self) -> &'static str {
        match self {
            VideoCodec::Vp8 => "vp8",
            VideoCodec::H264 => "h264",
        }
    }

    /// Payload type.
    pub fn pt(self) -> u8 {
        match self {
            VideoCodec::Vp8 => 96,
            VideoCodec::H264 => 108,
        }
    }

    /// Format parameters, if any.
    pub fn fmtp(self) -> Option<&'static str> {
        match self {
            VideoCodec::Vp8 => None,
            VideoCodec::H264 => Some("profile-level-id=42e01f;packetization-mode=1"),
        }
    }
}

/// What a stream is coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Sound.
    Opus,
    /// Picture.
    Video(VideoCodec),
}

impl Coding {
    /// Payload type.
    pub fn pt(self) -> u8 {
        match self {
            Coding::Opus => OPUS_PT,
            Coding::Video(codec) => codec.pt(),
        }
    }

    /// The input that it comes by.
    pub fn kind(self) -> Kind {
        match self {
            Coding::Opus => Kind::Audio,
            Coding::Video(_) => Kind::Video,
        }
    }
}

/// One of the two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

impl Kind {
    /// Both, in the order of ports and SSRCs everywhere.
    pub const BOTH: [Kind; 2] = [Kind::Audio, Kind::Video];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        }
    }

    /// Ticks of the RTP clock in a second.
    pub fn clock(self) -> u32 {
        match self {
            Kind::Audio => 48_000,
            Kind::Video => 90_000,
        }
    }
}
