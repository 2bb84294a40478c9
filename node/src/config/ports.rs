//! RTP ports: one for audio and one for video, and RTCP at the port after each (RFC 3550 section 11).

use super::source::Settings;
use super::{ConfigError, RTP_AUDIO_PORT, RTP_VIDEO_PORT, bad};

/// RTP ports unless told otherwise: audio, video.
pub const DEFAULT_PORTS: [u16; 2] = [5002, 5004];

/// A node's.
pub(super) fn rtp_ports(settings: &Settings<'_>) -> Result<[u16; 2], ConfigError> {
    let ports = [
        settings.get(&RTP_AUDIO_PORT, rtp_port)?.unwrap_or(DEFAULT_PORTS[0]),
        settings.get(&RTP_VIDEO_PORT, rtp_port)?.unwrap_or(DEFAULT_PORTS[1]),
    ];
    check_pair(ports, settings)?;
    Ok(ports)
}

fn rtp_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if (1..u16::MAX).contains(&port) => Ok(port),
        _ => Err("must be a port from 1 to 65534; the port after it is for RTCP".to_owned()),
    }
}

/// Four ports must differ. `settings`: where they come from.
pub fn check_pair([audio, video]: [u16; 2], settings: &Settings<'_>) -> Result<(), ConfigError> {
    if audio.abs_diff(video) >= 2 {
        return Ok(());
    }
    let (of_audio, of_video) = (settings.name_of(&RTP_AUDIO_PORT)?, settings.name_of(&RTP_VIDEO_PORT)?);
    bad(format!(
        "{of_audio} {audio} and {of_video} {video} must be at least 2 apart; RTCP uses the port after each"
    ))
}
