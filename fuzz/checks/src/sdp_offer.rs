//! An offer, as a WHIP client sends it to the injection and a player to the egress, which answers it; and the same text as an
//! offer of Janus.

use egress::sdp::{self, answer_for_janus, answer_for_player, common, parse, text};
use node::media::VideoCodec;

/// A mountpoint's offer, shortened.
const JANUS: &str = include_str!("../../seeds/sdp_offer/janus");

/// An offer and the answers to it.
pub fn sdp_offer(offer: &[u8]) {
    if let Ok(offer) = std::str::from_utf8(offer)
        && let Ok(read) = injection::sdp::Offer::parse(offer)
    {
        let said = read.for_janus();
        let _ = read.answer(&said);
    }
    let janus = parse(JANUS.as_bytes()).expect("it is a description");
    let Ok(offer) = parse(offer) else { return };
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        let Ok(common) = common(&offer, codec) else { continue };
        for (answer, to) in [
            (answer_for_player(&offer, &janus, &common), &offer),
            (answer_for_janus(&janus, &offer, &common), &janus),
            (answer_for_janus(&offer, &offer, &common), &offer),
        ] {
            assert_eq!(answer.medias.len(), to.medias.len(), "one line for each that is offered (RFC 3264)");
            let written = text(&answer);
            let read = parse(written.as_bytes());
            assert!(read.is_ok(), "what is written can be read: {read:?}\n{written}");
            let _ = sdp::first_mid(&answer);
        }
    }
}
