//! Which of a medium's formats is taken: of the codec that the client likes best and a tree carries (RFC 3264 section 6.1),
//! the format that is most like the tree's.

use node::media::{Codec, Kind, VideoCodec};
use sdp_types::Media;

use super::lines::{about, parameter, parameters, values};
use super::{carried, h264};

/// What a medium is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The client's number for it.
    pub payload_type: u8,
    /// The codec.
    pub codec: Codec,
}

/// Chooses. An error says what the medium would have to have.
pub fn choose(media: &Media, kind: Kind) -> Result<Format, String> {
    let mut known: Vec<(Format, u8)> = Vec::new();
    let (mut offered, mut profile) = (Vec::new(), None);
    // Each number once: for each all lines are looked through.
    let mut seen = [false; 256];
    for payload_type in media.fmt.split_ascii_whitespace().filter_map(|number| number.parse::<u8>().ok()) {
        if std::mem::replace(&mut seen[usize::from(payload_type)], true) {
            continue;
        }
        let Some(map) = values(media, "rtpmap").filter_map(about).find(|(number, _)| *number == payload_type)
        else {
            continue;
        };
        let mut map = map.1.trim().split('/');
        let (name, clock) = (map.next().unwrap_or_default(), map.next());
        if !offered.contains(&name) {
            offered.push(name);
        }
        let codec = Codec::parse(name).filter(|codec| codec.kind() == kind);
        let Some(codec) =
            codec.filter(|_| clock.and_then(|clock| clock.parse().ok()) == Some(kind.clock_rate()))
        else {
            continue;
        };
        let distance = match codec {
            Codec::Video(VideoCodec::H264) => {
                let said = parameters(media, payload_type);
                let level = parameter(said, "profile-level-id");
                if let Err(why) = h264::check(level) {
                    profile = profile.or(Some(why));
                    continue;
                }
                h264::distance(level, parameter(said, "packetization-mode"))
            }
            _ => 0,
        };
        known.push((Format { payload_type, codec }, distance));
    }
    if let Some((first, _)) = known.first() {
        let codec = first.codec;
        let alike = known.into_iter().filter(|(format, _)| format.codec == codec);
        // `min_by_key` gives the first of several: the client's order counts among equals.
        if let Some((format, _)) = alike.min_by_key(|(_, distance)| *distance) {
            return Ok(format);
        }
    }
    Err(match profile {
        Some(profile) => format!(
            "the offered H264 is {profile}, which not every viewer decodes; set the encoder to the baseline profile, or \
             choose VP8"
        ),
        None => format!("{kind} must be {}; offered: {}", carried(kind), offered.join(", ")),
    })
}
