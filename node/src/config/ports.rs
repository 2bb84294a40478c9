//! RTP ports: one for audio and one for video, and RTCP at the port after each (RFC 3550 section 11).

/// RTP ports unless told otherwise: audio, video.
pub const DEFAULT_PORTS: [u16; 2] = [5002, 5004];

/// One RTP port.
pub fn rtp_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if (1..u16::MAX).contains(&port) => Ok(port),
        _ => Err("must be a port from 1 to 65534; the port after it is for RTCP".to_owned()),
    }
}

/// Four ports must differ.
pub fn check_pair([audio, video]: [u16; 2]) -> Result<(), String> {
    if audio.abs_diff(video) < 2 {
        return Err(format!(
            "audio port {audio} and video port {video} must be at least 2 apart; RTCP uses the port after each"
        ));
    }
    Ok(())
}
