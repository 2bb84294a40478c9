//! Session descriptions: Janus always makes the offer, and most players do, too. Both are answered: each gets an answer that
//! is made from the other's offer. Pure.
//!
//! What one calls a thing by number must mean the same to the other, because RTP goes from one to the other as it is:
//! payload types and header extensions that are numbered differently are left out. Media identification is left out, too:
//! the two do not call their media the same.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use crate::codec::{OPUS_PT, VideoCodec};

/// Why an offer cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It is no session description, or not one of a player.
    #[error("{0}")]
    Bad(String),
    /// It has no codec that the session has.
    #[error("{0}")]
    NoCodec(String),
}

/// What a player and a mountpoint have in common, by the player's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Index of the player's media, kind, payload type.
    chosen: Vec<(usize, &'static str, u8)>,
}

/// Reads a description.
pub fn parse(text: &[u8]) -> Result<Session, SdpError> {
    let session = Session::parse(text).map_err(|error| SdpError::Bad(format!("this is no SDP: {error}")))?;
    if session.medias.is_empty() {
        return Err(SdpError::Bad("this SDP has no media in it".to_owned()));
    }
    Ok(session)
}

/// As text.
pub fn text(session: &Session) -> String {
    let mut text = Vec::new();
    // Writing into memory cannot fail.
    let _ = session.write(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// An answer must have what a connection cannot be made without.
pub fn check_peer(session: &Session) -> Result<(), SdpError> {
    for name in ["ice-ufrag", "ice-pwd", "fingerprint"] {
        if !session.medias.iter().any(|media| attribute(session, media, name).is_some()) {
            return Err(SdpError::Bad(format!("this SDP has no a={name} in it: it is not one of WebRTC")));
        }
    }
    Ok(())
}

/// What of a player's offer can be served. Video is what it is about; sound alone will do for who wants no video.
pub fn common(player: &Session, codec: VideoCodec) -> Result<Common, SdpError> {
    check_peer(player)?;
    let mut chosen: Vec<(usize, &'static str, u8)> = Vec::new();
    let mut wrong = Vec::new();
    let mut wanted = false;
    for (kind, name, pt) in [("audio", "opus", OPUS_PT), ("video", codec.name(), codec.pt())] {
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
        return Err(SdpError::NoCodec(format!(
            "no codec in common: {}; an empty POST gets an offer to answer instead",
            wrong.join("; ")
        )));
    }
    chosen.sort();
    Ok(Common { chosen })
}

/// The answer to a player's offer, made from Janus' offer.
pub fn answer_for_player(player: &Session, janus: &Session, common: &Common) -> Session {
    let mut answer = frame(player);
    for (index, media) in player.medias.iter().enumerate() {
        let pair = common.chosen.iter().find(|(chosen, _, _)| *chosen == index);
        let theirs = pair.and_then(|(_, kind, pt)| Some((*pt, sender(janus, kind)?)));
        let mut line = match theirs {
            None => rejected(media),
            Some((pt, from)) => {
                let mut line = both(player, media, janus, from, pt, "sendonly");
                for name in ["msid", "ssrc-group", "ssrc"] {
                    copy(from, name, &mut line);
                }
                line
            }
        };
        if line.port != 0 {
            peer(
                janus,
                janus.medias.iter().find(|media| media.port != 0).unwrap_or(media),
                "passive",
                &mut line,
            );
        }
        candidates(janus, &mut line);
        answer.medias.push(line);
    }
    bundle(&mut answer);
    answer
}

/// The answer to Janus' offer, made from a player's offer.
pub fn answer_for_janus(janus: &Session, player: &Session, common: &Common) -> Session {
    let mut answer = frame(janus);
    for media in &janus.medias {
        let pair = common.chosen.iter().find(|(_, kind, _)| *kind == media.media);
        let line = match pair.and_then(|(index, _, pt)| Some((pt, player.medias.get(*index)?))) {
            None => rejected(media),
            Some((pt, from)) => {
                let mut line = both(janus, media, player, from, *pt, "recvonly");
                peer(player, from, "active", &mut line);
                candidates(player, &mut line);
                line
            }
        };
        answer.medias.push(line);
    }
    bundle(&mut answer);
    answer
}

/// Candidates of a trickled fragment (RFC 8840), each as Janus takes them, and whether these were all. As the media are
/// bundled, all belong to the first.
pub fn fragment(text: &str) -> (Vec<String>, bool) {
    let lines = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("a="));
    let mut found = Vec::new();
    let mut all = false;
    for line in lines {
        if line.starts_with("candidate:") {
            found.push(line.to_owned());
        }
        all |= line == "end-of-candidates";
    }
    (found, all)
}

/// The first medium's name.
pub fn first_mid(session: &Session) -> String {
    let mid = session.medias.first().and_then(|media| value(media, "mid"));
    mid.unwrap_or("0").to_owned()
}

fn frame(offer: &Session) -> Session {
    Session {
        origin: Origin {
            username: Some("-".to_owned()),
            sess_id: offer.origin.sess_id.clone(),
            sess_version: 1,
            nettype: "IN".to_owned(),
            addrtype: "IP4".to_owned(),
            unicast_address: "127.0.0.1".to_owned(),
        },
        session_name: "-".to_owned(),
        session_description: None,
        uri: None,
        emails: Vec::new(),
        phones: Vec::new(),
        connection: None,
        bandwidths: Vec::new(),
        times: vec![Time { start_time: 0, stop_time: 0, repeats: Vec::new() }],
        time_zones: Vec::new(),
        key: None,
        attributes: Vec::new(),
        medias: Vec::new(),
    }
}

fn bundle(answer: &mut Session) {
    let mids: Vec<&str> = answer
        .medias
        .iter()
        .filter(|media| media.port != 0)
        .filter_map(|media| value(media, "mid"))
        .collect();
    let group = format!("BUNDLE {}", mids.join(" "));
    answer.attributes.push(attr("group", Some(&group)));
    answer.attributes.push(attr("msid-semantic", Some(" WMS *")));
}

/// What both sides have of a medium, in the words of `offer`.
fn both(
    offer_session: &Session,
    offer: &Media,
    other_session: &Session,
    other: &Media,
    pt: u8,
    direction: &str,
) -> Media {
    let mut numbers = vec![pt];
    // Retransmissions, if both call them the same.
    numbers.extend(retransmission(offer, pt).filter(|rtx| retransmission(other, pt) == Some(*rtx)));
    let fmt = numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let mut line = media(offer, 9, fmt);
    let mut push = |name: &str, value: Option<&str>| line.attributes.push(attr(name, value));
    push("mid", value(offer, "mid"));
    push(direction, None);
    push("rtcp-mux", None);
    if has(offer, "rtcp-rsize") && has(other, "rtcp-rsize") {
        push("rtcp-rsize", None);
    }
    let theirs: BTreeSet<&str> = values(other, "extmap").chain(values_of(other_session, "extmap")).collect();
    for extension in values(offer, "extmap").chain(values_of(offer_session, "extmap")) {
        let names_media = extension.contains("sdes:mid") || extension.contains("rtp-stream-id");
        if !names_media && theirs.contains(extension) {
            push("extmap", Some(extension));
        }
    }
    for number in numbers {
        for (name, common) in [("rtpmap", false), ("fmtp", false), ("rtcp-fb", true)] {
            let ours = values(offer, name).filter(|value| is_about(value, number));
            let theirs: BTreeSet<&str> = values(other, name).collect();
            for value in ours.filter(|value| !common || theirs.contains(value)) {
                push(name, Some(value));
            }
        }
    }
    line
}

/// How the peer is reached and known.
fn peer(session: &Session, from: &Media, setup: &str, line: &mut Media) {
    for name in ["ice-ufrag", "ice-pwd", "ice-options", "fingerprint"] {
        if let Some(value) = attribute(session, from, name) {
            line.attributes.push(attr(name, Some(value)));
        }
    }
    line.attributes.push(attr("setup", Some(setup)));
}

fn candidates(session: &Session, line: &mut Media) {
    if line.port == 0 {
        return;
    }
    let mut seen = BTreeSet::new();
    for media in &session.medias {
        for candidate in values(media, "candidate").filter(|candidate| seen.insert(candidate.to_string())) {
            line.attributes.push(attr("candidate", Some(candidate)));
        }
        if has(media, "end-of-candidates") && !has(line, "end-of-candidates") {
            line.attributes.push(attr("end-of-candidates", None));
        }
    }
}

fn rejected(offer: &Media) -> Media {
    let mut line = media(offer, 0, offer.fmt.clone());
    line.attributes.push(attr("mid", value(offer, "mid")));
    line.attributes.push(attr("inactive", None));
    line
}

fn media(offer: &Media, port: u16, fmt: String) -> Media {
    let connection = Connection {
        nettype: "IN".to_owned(),
        addrtype: "IP4".to_owned(),
        connection_address: "0.0.0.0".to_owned(),
    };
    Media {
        media: offer.media.clone(),
        port,
        num_ports: None,
        proto: offer.proto.clone(),
        fmt,
        media_title: None,
        connections: vec![connection],
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

fn sender<'a>(janus: &'a Session, kind: &str) -> Option<&'a Media> {
    janus.medias.iter().find(|media| media.media == kind && media.port != 0)
}

/// A medium that somebody wants to receive.
fn receives(media: &Media, kind: &str) -> bool {
    // In an offer, port 0 is a refusal only without bundle-only (RFC 8843 section 6), which GStreamer offers.
    let open = media.port != 0 || has(media, "bundle-only");
    media.media == kind && open && !has(media, "sendonly") && !has(media, "inactive")
}

/// The numbers that a codec has.
fn payload_types(media: &Media, codec: &str) -> Vec<u8> {
    let about = |map: &str| {
        let (number, rest) = map.split_once(' ')?;
        let name = rest.split('/').next()?;
        name.eq_ignore_ascii_case(codec).then(|| number.parse().ok())?
    };
    values(media, "rtpmap").filter_map(about).collect()
}

/// H264 comes in kinds; what is sent is one that needs packetization mode 1.
fn suits(media: &Media, pt: u8, codec: VideoCodec) -> bool {
    if pt == OPUS_PT || codec == VideoCodec::Vp8 {
        return true;
    }
    let parameters = values(media, "fmtp").find(|value| is_about(value, pt)).unwrap_or_default();
    parameters.contains("packetization-mode=1")
}

fn retransmission(media: &Media, pt: u8) -> Option<u8> {
    let apt = format!("apt={pt}");
    let about = |value: &str| {
        let (number, parameters) = value.split_once(' ')?;
        let number = number.parse().ok()?;
        parameters.split(';').any(|parameter| parameter.trim() == apt).then_some(number)
    };
    let rtx = payload_types(media, "rtx");
    values(media, "fmtp").filter_map(about).find(|number| rtx.contains(number))
}

fn is_about(value: &str, pt: u8) -> bool {
    value.split(' ').next().is_some_and(|number| number.parse() == Ok(pt))
}

/// An attribute of a medium, or of the whole session.
fn attribute<'a>(session: &'a Session, media: &'a Media, name: &str) -> Option<&'a str> {
    value(media, name).or_else(|| values_of(session, name).next())
}

fn values<'a>(media: &'a Media, name: &str) -> impl Iterator<Item = &'a str> {
    named(&media.attributes, name)
}

fn values_of<'a>(session: &'a Session, name: &str) -> impl Iterator<Item = &'a str> {
    named(&session.attributes, name)
}

fn named<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute == name)
        .filter_map(|found| found.value.as_deref())
}

fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    values(media, name).next()
}

fn has(media: &Media, name: &str) -> bool {
    media.attributes.iter().any(|attribute| attribute.attribute == name)
}

fn copy(from: &Media, name: &str, line: &mut Media) {
    let found = from.attributes.iter().filter(|attribute| attribute.attribute == name);
    line.attributes.extend(found.cloned());
}

fn attr(name: &str, value: Option<&str>) -> Attribute {
    Attribute { attribute: name.to_owned(), value: value.map(str::to_owned) }
}
