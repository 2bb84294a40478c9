//! What a player's offer and a mountpoint have in common.

use node::media::{Codec, VideoCodec};
use sdp_types::{Media, Session};

use super::lines::{has, is_about, payload_types, value, values, values_of};
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
    /// Index of the player's media, kind, payload type.
    pub(super) chosen: Vec<(usize, &'static str, u8)>,
}

/// What of a player's offer can be served. Video is what it is about; sound alone will do for who wants no video.
pub fn common(player: &Session, codec: VideoCodec) -> Result<Common, SdpError> {
    check_peer(player)?;
    let mut chosen: Vec<(usize, &'static str, u8)> = Vec::new();
    let mut wrong = Vec::new();
    let mut wanted = false;
    for (kind, name, pt) in
        [("audio", "opus", Codec::Opus.payload_type()), ("video", codec.name(), codec.payload_type())]
    {
        let mut numbered = Vec::new();
        let mut found = false;
        for (index, media) in player.medias.iter().enumerate().filter(|(_, media)| receives(media, kind)) {
            wanted = true;
            let numbers = payload_types(media, name);
            if !found && numbers.contains(&pt) && suits(media, pt, codec) {
                chosen.push((index, kind, pt));
                found = true;
            }
            numbered.extend(numbers);
        }
        if !found && player.medias.iter().any(|media| receives(media, kind)) {
            wrong.push(match numbered.first() {
                None => format!("the offer has no {name} for {kind}"),
                Some(number) => {
                    format!("the offer has {name} as payload type {number}, and it is sent as {pt}")
                }
            });
        }
    }
    if !wanted {
        return Err(SdpError::Bad("the offer has no audio or video to receive (a=recvonly)".to_owned()));
    }
    if !wrong.is_empty() {
        return Err(SdpError::NoCodec(format!("no codec in common: {}", wrong.join("; "))));
    }
    chosen.sort();
    one_transport(player, &chosen)?;
    Ok(Common { chosen })
}

/// All media goes over one transport, which an answer cannot ask for if the offer does not (RFC 9143 section 7.3, RFC
/// 5761 section 5.1.1).
fn one_transport(player: &Session, chosen: &[(usize, &'static str, u8)]) -> Result<(), SdpError> {
    let media = || chosen.iter().filter_map(|(index, _, _)| player.medias.get(*index));
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

/// H264 comes in kinds; what is sent is one that needs packetization mode 1.
fn suits(media: &Media, pt: u8, codec: VideoCodec) -> bool {
    if pt == Codec::Opus.payload_type() || codec == VideoCodec::Vp8 {
        return true;
    }
    let parameters = values(media, "fmtp").find(|value| is_about(value, pt)).unwrap_or_default();
    parameters.contains("packetization-mode=1")
}
