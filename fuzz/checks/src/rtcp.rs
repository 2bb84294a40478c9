//! A packet to a media or RTCP port, as injection, relay and egress read it.

use node::keyframe;
use node::media::rtp::{self, Header};
use node::media::{Ssrc, VideoCodec};

/// Requests for keyframes and RTP headers.
pub fn rtcp(packet: &[u8]) {
    let asked = keyframe::asked_for(packet);
    assert!(asked.is_sorted(), "{asked:?}");
    assert!(asked.len() * 4 <= packet.len(), "every SSRC is in the packet: {asked:?}");
    for ssrc in asked {
        assert_eq!(keyframe::asked_for(&keyframe::request(Ssrc(1), ssrc)), [ssrc]);
    }
    if let Ok(header) = Header::read(packet) {
        let mut renumbered = packet.to_vec();
        rtp::renumber(&mut renumbered, header.sequence, header.timestamp);
        assert_eq!(renumbered, packet, "its own numbers change nothing");
        assert_eq!(Header::read(&header.bytes()), Ok(header), "what is written is read");
    }
    let _ = rtp::payload(packet);
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        let _ = node::media::picture::begins_keyframe(codec, packet);
    }
}
