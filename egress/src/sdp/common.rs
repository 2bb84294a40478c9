//! What a player's offer and a mountpoint have in common.

use node::media::{Codec, VideoCodec};
use sdp_types::{Media, Session};

use super::lines::{formats, has, parameter, payload_types, value, values_of};
use super::{SdpError, check_peer};

/// Whose payload types media is sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// The tree's: Janus sends what it gets, and players that have others cannot be served.
    Trees,
    /// The player's own.
    Players,
}

/// What a player and a mountpoint have in common, by the player's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    pub(super) chosen: Vec<Chosen>,
}

/// A medium that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Which of the player's.
    pub index: usize,
    /// By what.
    pub codec: Codec,
    /// As what.
    pub pt: u8,
}

/// What of a player's offer can be served. Video is what it is about; sound alone will do for who wants no video.
pub fn common(player: &Session, codec: VideoCodec, numbers: Numbers) -> Result<Common, SdpError> {
    check_peer(player)?;
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut wrong = Vec::new();
    let mut wanted = false;
    for codec in [Codec::Opus, Codec::Video(codec)] {
        let kind = codec.kind().name();
        let media = || player.medias.iter().enumerate().filter(|(_, media)| receives(media, kind));
        let pick = media()
            .find_map(|(index, media)| Some(Chosen { index, codec, pt: choose(media, codec, numbers)? }));
        wanted |= media().next().is_some();
        match pick {
            Some(pick) => chosen.push(pick),
            None if media().next().is_none() => {}
            None => {
                let number =
                    media().find_map(|(_, media)| payload_types(media, codec.name()).first().copied());
                wrong.push(mismatch(codec, number, numbers));
            }
        }
    }
    if !wanted {
        return Err(SdpError::Bad("the offer has no audio or video to receive (a=recvonly)".to_owned()));
    }
    if !wrong.is_empty() {
        return Err(SdpError::NoCodec(format!("no codec in common: {}", wrong.join("; "))));
    }
    chosen.sort_by_key(|chosen| chosen.index);
    one_transport(player, &chosen)?;
    Ok(Common { chosen })
}

/// The payload type to send by, of those that a medium has for a codec.
fn choose(media: &Media, codec: Codec, numbers: Numbers) -> Option<u8> {
    let offered = payload_types(media, codec.name());
    match numbers {
        Numbers::Trees => offered.into_iter().find(|pt| {
            *pt == codec.payload_type()
                && (codec != Codec::Video(VideoCodec::H264) || is_in_pieces(media, *pt))
        }),
        // The first of the best: min_by_key keeps the player's order.
        Numbers::Players => {
            let usable = formats(media).filter(|pt| offered.contains(pt) && is_rtp_beside_rtcp(*pt));
            usable
                .filter_map(|pt| Some((pt, distance(media, pt, codec)?)))
                .min_by_key(|(_, far)| *far)
                .map(|(pt, _)| pt)
        }
    }
}

/// RFC 5761 section 4: where RTCP is on the same port, these numbers are its.
fn is_rtp_beside_rtcp(pt: u8) -> bool {
    matches!(pt, 0..=63 | 96..=127)
}

/// How far what is sent is from what a player says to decode by a payload type; `None`: it cannot. H264 is sent as constrained
/// baseline, which decoders of the profiles above it take as well (H.264 annex A.2).
fn distance(media: &Media, pt: u8, codec: Codec) -> Option<u8> {
    if codec != Codec::Video(VideoCodec::H264) {
        return Some(0);
    }
    // GStreamer's players say nothing of it, and take it nevertheless.
    let unsaid = match parameter(media, pt, "packetization-mode") {
        Some("1") => 0,
        None => 10,
        Some(_) => return None,
    };
    // RFC 6184 section 8.1: without it baseline is meant.
    let profile = parameter(media, pt, "profile-level-id").unwrap_or("42000a");
    let byte = |at| profile.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let (idc, iop) = (byte(0)?, byte(2)?);
    let profile = match (idc, iop) {
        // RFC 6184 section 8.1, table 5: constrained baseline.
        (0x42, iop) if iop & 0x40 != 0 => 0,
        (0x4d, iop) if iop & 0x80 != 0 => 0,
        (0x58, iop) if iop & 0xc0 == 0xc0 => 0,
        (0x42, _) => 1,
        (0x4d, _) => 2,
        (0x64, _) => 3,
        _ => return None,
    };
    Some(unsaid + profile)
}

/// Pictures larger than a packet are sent in fragments (RFC 6184 section 6.3).
fn is_in_pieces(media: &Media, pt: u8) -> bool {
    parameter(media, pt, "packetization-mode") == Some("1")
}

/// Why a medium cannot be served. `number`: what the offer calls the codec, if it has it.
fn mismatch(codec: Codec, number: Option<u8>, numbers: Numbers) -> String {
    let name = codec.name();
    match number {
        None => format!("the offer has no {name} for {}", codec.kind()),
        Some(number) if numbers == Numbers::Trees && number != codec.payload_type() => {
            format!(
                "the offer has {name} as payload type {number}, and it is sent as {}",
                codec.payload_type()
            )
        }
        Some(number) if codec == Codec::Video(VideoCodec::H264) => {
            format!(
                "the offer has {name} as payload type {number}, and not of packetization-mode=1 and the baseline profile"
            )
        }
        Some(number) => format!("the offer has {name} as payload type {number}, which is none"),
    }
}

/// All media goes over one transport, which an answer cannot ask for if the offer does not (RFC 9143 section 7.3, RFC
/// 5761 section 5.1.1).
fn one_transport(player: &Session, chosen: &[Chosen]) -> Result<(), SdpError> {
    let media = || chosen.iter().filter_map(|chosen| player.medias.get(chosen.index));
    if !media().all(|media| has(media, "rtcp-mux")) {
        let why = "the offer keeps RTCP on a port of its own, and it is sent with RTP (a=rtcp-mux)";
        return Err(SdpError::NoCodec(why.to_owned()));
    }
    let mids: Vec<&str> = media().filter_map(|media| value(media, "mid")).collect();
    let bundled = chosen.len() < 2
        || values_of(player, "group").filter_map(|group| group.strip_prefix("BUNDLE")).any(|group| {
            let group: Vec<&str> = group.split_whitespace().collect();
            mids.len() == chosen.len() && mids.iter().all(|mid| group.contains(mid))
        });
    if !bundled {
        let why = "the offer has a transport for each medium, and all is sent by one (a=group:BUNDLE)";
        return Err(SdpError::NoCodec(why.to_owned()));
    }
    Ok(())
}

/// A medium that somebody wants to receive.
fn receives(media: &Media, kind: &str) -> bool {
    // In an offer, port 0 is a refusal only without bundle-only (RFC 8843 section 6), which GStreamer offers.
    let open = media.port != 0 || has(media, "bundle-only");
    media.media == kind && open && !has(media, "sendonly") && !has(media, "inactive")
}
