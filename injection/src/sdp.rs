//! What a WHIP client sends, without I/O: its offer (is there anything in it that a tree can carry?) and the fragments
//! with its candidates (RFC 8840).

use sdp_types::{Media, Session};
use serde_json::{Value, json};

/// Codecs that every viewer can play.
const AUDIO: [&str; 1] = ["opus"];
const VIDEO: [&str; 2] = ["VP8", "H264"];

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
    /// Its ICE user name, by which a restart is recognised.
    pub user: String,
    /// Whether it sends audio (0) and video (1).
    pub sends: [bool; 2],
}

/// Looks an offer through before Janus is bothered with it.
pub fn check(offer: &str) -> Result<Offer, OfferError> {
    let malformed = |why: &str| OfferError::Malformed(format!("this is no SDP offer to publish with: {why}"));
    node::sdp::check_lines(offer.as_bytes()).map_err(|why| malformed(&why))?;
    let session = Session::parse(offer.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
    let media: Vec<&Media> = session
        .medias
        .iter()
        .filter(|media| ["audio", "video"].contains(&media.media.as_str()))
        .filter(|media| !has(media, "recvonly") && !has(media, "inactive"))
        .collect();
    if media.is_empty() {
        return Err(malformed("it sends neither audio nor video"));
    }
    for media in &media {
        let kind = media.media.as_str();
        let wanted = if kind == "audio" { &AUDIO[..] } else { &VIDEO[..] };
        let offered = codecs(media);
        if !offered.iter().any(|name| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))) {
            let (wanted, offered) = (wanted.join(" or "), offered.join(", "));
            return Err(OfferError::NoCodec(format!("{kind} must be {wanted}; offered: {offered}")));
        }
    }
    let user = media.iter().find_map(|media| value(media, "ice-ufrag"));
    let user = user.or_else(|| session.get_first_attribute_value("ice-ufrag").ok().flatten());
    let user = user.map(str::to_owned).ok_or_else(|| malformed("it has no ice-ufrag"))?;
    Ok(Offer { user, sends: ["audio", "video"].map(|kind| media.iter().any(|media| media.media == kind)) })
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

/// What is in a fragment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fragment {
    /// ICE user name that it is about.
    pub user: Option<String>,
    /// Candidates, as Janus wants them.
    pub candidates: Vec<Value>,
}

/// Reads a fragment. An error says what is wrong with it.
pub fn fragment(text: &str) -> Result<Fragment, String> {
    let mut fragment = Fragment::default();
    let (mut line_index, mut mid) = (None::<usize>, None::<&str>);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (kind, value) = line.split_once('=').filter(|(kind, _)| kind.len() == 1).ok_or_else(|| {
            format!("'{}' is no line of an SDP fragment", line.escape_debug().take(40).collect::<String>())
        })?;
        match (kind, value.split_once(':').unwrap_or((value, ""))) {
            ("m", _) => {
                line_index = Some(line_index.map_or(0, |index| index + 1));
                mid = None;
            }
            ("a", ("mid", name)) => mid = Some(name),
            ("a", ("ice-ufrag", user)) => fragment.user = Some(user.to_owned()),
            ("a", ("candidate", _)) => {
                let mut candidate = json!({ "candidate": value });
                match (mid, line_index) {
                    (Some(mid), _) => candidate["sdpMid"] = json!(mid),
                    // Media is bundled: without an m-line it is about the first.
                    (None, index) => candidate["sdpMLineIndex"] = json!(index.unwrap_or_default()),
                }
                fragment.candidates.push(candidate);
            }
            ("a", ("end-of-candidates", _)) => fragment.candidates.push(json!({ "completed": true })),
            _ => {}
        }
    }
    Ok(fragment)
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
        for (media, sends) in [
            (AUDIO.to_owned(), [true, false]),
            (VIDEO.to_owned(), [false, true]),
            (format!("{AUDIO}{VIDEO}a=sendonly\r\n"), [true, true]),
        ] {
            assert_eq!(check(&offer(&media)), Ok(Offer { user: "abcd".to_owned(), sends }), "{media}");
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
        let text = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:audio1\r\n\
                    a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\na=end-of-candidates\r\n";
        let fragment = fragment(text).unwrap();
        assert_eq!(fragment.user.as_deref(), Some("abcd"));
        let candidate = json!({ "candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host", "sdpMid": "audio1" });
        assert_eq!(fragment.candidates, [candidate, json!({ "completed": true })]);
        assert_eq!(super::fragment(""), Ok(Fragment::default()));
        assert!(super::fragment("hello").unwrap_err().contains("'hello'"));
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(text in "\\PC{0,200}") {
            let _ = (check(&text), fragment(&text));
        }
    }
}
