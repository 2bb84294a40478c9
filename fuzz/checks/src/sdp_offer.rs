//! An offer, as a WHIP client sends it to the injection and a player to the egress, which answers it; and the same text as an
//! offer of Janus.

use egress::sdp::{
    self, Local, Numbers, Sources, accepted, answer_for_player, answer_for_server, common, parse, text,
};
use node::media::VideoCodec;
use seats::{Credentials, Fingerprint};

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
        let _ = accepted(&sdp::offer(codec, None, &local()), &offer);
        let by_janus = common(&offer, codec, Numbers::Trees).ok().map(|common| (janus.clone(), common));
        let natively = common(&offer, codec, Numbers::Players).ok();
        let natively = natively.map(|common| (sdp::offer(codec, Some((&offer, &common)), &local()), common));
        let served = by_janus.iter().chain(&natively).flat_map(|(ours, common)| {
            let _ = accepted(ours, &answer_for_server(ours, &offer, common));
            [
                (answer_for_player(&offer, ours, common), &offer),
                (answer_for_server(ours, &offer, common), ours),
                (answer_for_server(&offer, &offer, common), &offer),
            ]
        });
        for (answer, to) in served {
            assert_eq!(answer.medias.len(), to.medias.len(), "one line for each that is offered (RFC 3264)");
            let written = text(&answer);
            let read = parse(written.as_bytes());
            assert!(read.is_ok(), "what is written can be read: {read:?}\n{written}");
            let _ = sdp::first_mid(&answer);
        }
    }
}

fn local() -> Local {
    Local {
        ice: Credentials { user: "ours".to_owned(), password: "ourselves-and-nobody-else".to_owned() },
        fingerprint: Fingerprint { algorithm: "sha-256".to_owned(), bytes: vec![1; 32] },
        candidates: vec!["1 1 udp 2130706431 10.77.0.1 7074 typ host".to_owned()],
        sources: Sources::of([1, 2, 3, 4]),
    }
}
