//! What a WHIP client sends, without I/O: its offer (is there anything in it that a tree can carry?) and its candidates.

use node::http::wish::Candidate;
use node::media::{Codec, Kind, PerKind};
use sdp_types::{Media, Session};
use serde_json::{Value, json};

/// Why an offer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It is no offer.
    #[error("{0}")]
    Malformed(String),
    /// None of its codecs will do.
    #[error("{0}")]
    NoCodec(String),
}

/// What matters of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its ICE user names, by which a restart is recognised: as a rule one for all media.
    pub users: Vec<String>,
    /// What it sends.
    pub sends: PerKind<bool>,
}

/// Looks an offer through before Janus is bothered with it.
pub fn check(offer: &str) -> Result<Offer, OfferError> {
    let malformed = |why: &str| OfferError::Malformed(format!("this is no SDP offer to publish with: {why}"));
    node::sdp::check_lines(offer.as_bytes()).map_err(|why| malformed(&why))?;
    let session = Session::parse(offer.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
    let media: Vec<(Kind, &Media)> = session
        .medias
        .iter()
        .filter_map(|media| Some((Kind::parse(&media.media)?, media)))
        .filter(|(_, media)| !has(media, "recvonly") && !has(media, "inactive"))
        .collect();
    if media.is_empty() {
        return Err(malformed("it sends neither audio nor video"));
    }
    for (kind, media) in &media {
        let offered = codecs(media);
        if !offered.iter().any(|name| Codec::parse(name).is_some_and(|codec| codec.kind() == *kind)) {
            let wanted = Codec::ALL.into_iter().filter(|codec| codec.kind() == *kind);
            let wanted: Vec<&str> = wanted.map(Codec::encoding_name).collect();
            let (wanted, offered) = (wanted.join(" or "), offered.join(", "));
            return Err(OfferError::NoCodec(format!("{kind} must be {wanted}; offered: {offered}")));
        }
    }
    let mut users: Vec<String> =
        media.iter().filter_map(|(_, media)| value(media, "ice-ufrag")).map(str::to_owned).collect();
    users.extend(session.get_first_attribute_value("ice-ufrag").ok().flatten().map(str::to_owned));
    users.dedup();
    if users.is_empty() {
        return Err(malformed("it has no ice-ufrag"));
    }
    Ok(Offer { users, sends: PerKind::from_fn(|kind| media.iter().any(|(of, _)| *of == kind)) })
}

fn codecs(media: &Media) -> Vec<&str> {
    let maps = media.attributes.iter().filter(|attribute| attribute.attribute == "rtpmap");
    // rtpmap:<payload type> <name>/<clock>…
    maps.filter_map(|map| map.value.as_deref()?.split_once(' ')?.1.split('/').next()).collect()
}

fn has(media: &Media, name: &str) -> bool {
    media.attributes.iter().any(|attribute| attribute.attribute == name)
}

fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    media.attributes.iter().find(|attribute| attribute.attribute == name)?.value.as_deref()
}

/// A trickled candidate, as Janus takes it.
pub fn for_janus(candidate: &Candidate) -> Value {
    let Some(text) = &candidate.text else { return json!({ "completed": true }) };
    match &candidate.mid {
        Some(mid) => json!({ "candidate": text, "sdpMid": mid }),
        None => json!({ "candidate": text, "sdpMLineIndex": candidate.line }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(media: &str) -> String {
        format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n{media}")
    }

    const AUDIO: &str =
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n";
    const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 AV1/90000\r\na=rtpmap:97 vp8/90000\r\n";

    #[test]
    fn offers_that_can_be_carried_are_taken() {
        for (media, [audio, video]) in [
            (AUDIO.to_owned(), [true, false]),
            (VIDEO.to_owned(), [false, true]),
            (format!("{AUDIO}{VIDEO}a=sendonly\r\n"), [true, true]),
        ] {
            let sends = PerKind { audio, video };
            assert_eq!(check(&offer(&media)), Ok(Offer { users: vec!["abcd".to_owned()], sends }), "{media}");
        }
    }

    #[test]
    fn others_are_refused_in_words() {
        let table = [
            ("garbage".to_owned(), "no SDP offer"),
            (String::new(), "no SDP offer"),
            // The parser's own assertion failed at that (found by the fuzz target `sdp_offer`).
            (offer(&format!("{AUDIO}noise\r\na=sendonly\r\n")), "'noise' is no line of one"),
            (offer(""), "neither audio nor video"),
            (offer(&format!("{AUDIO}a=recvonly\r\n")), "neither audio nor video"),
            (offer(AUDIO).replace("a=ice-ufrag:abcd\r\n", ""), "no ice-ufrag"),
        ];
        for (text, words) in table {
            let Err(OfferError::Malformed(why)) = check(&text) else { panic!("{text} was taken") };
            assert!(why.contains(words), "{why}");
        }
        for (text, words) in [
            (offer(&AUDIO.replace("opus", "PCMU")), "audio must be opus; offered: PCMU"),
            (offer(&VIDEO.replace("vp8", "VP9")), "video must be VP8 or H264; offered: AV1, VP9"),
        ] {
            assert_eq!(check(&text), Err(OfferError::NoCodec(words.to_owned())));
        }
    }

    #[test]
    fn candidates_name_their_medium() {
        let candidate = |text: Option<&str>, mid: Option<&str>| {
            for_janus(&Candidate { text: text.map(str::to_owned), mid: mid.map(str::to_owned), line: 1 })
        };
        assert_eq!(candidate(Some("c"), Some("audio1")), json!({ "candidate": "c", "sdpMid": "audio1" }));
        assert_eq!(candidate(Some("c"), None), json!({ "candidate": "c", "sdpMLineIndex": 1 }));
        assert_eq!(candidate(None, None), json!({ "completed": true }));
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(text in "\\PC{0,200}") {
            let _ = check(&text);
        }
    }
}
