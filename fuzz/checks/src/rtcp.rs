//! A packet to a media or RTCP port, as injection, relay and egress read it.
use node::keyframe;

/// Requests for keyframes and RTP headers.
pub fn rtcp(packet: &[u8]) {
    let asked = keyframe::asked_for(packet);
    assert!(asked.is_sorted(), "{asked:?}");
    assert!(asked.len() * 4 <= packet.len(), "every SSRC is in the packet: {asked:?}");
    for ssrc in asked {
        assert_eq!(keyframe::asked_for(&keyframe::request(1, ssrc)), [ssrc]);
    }
    if let Some(header) = injection::rtp::read(packet) {
        let mut renumbered = packet.to_vec();
        injection::rtp::renumber(&mut renumbered, header.sequence, header.timestamp);
        assert_eq!(renumbered, packet, "its own numbers change nothing");
    }
    let _ = (egress::rtp::header(packet), egress::rtp::payload(packet));
    for codec in [egress::codec::VideoCodec::Vp8, egress::codec::VideoCodec::H264] {
        let _ = egress::picture::begins_keyframe(codec, packet);
    }
}
