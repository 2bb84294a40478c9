//! The answers, each made from one side's offer in the words of the other's.

use std::collections::BTreeSet;

use node::http::wish::MOST_CANDIDATES;
use node::media::Codec;
use sdp_types::{Connection, Media, Origin, Session, Time};

use super::Common;
use super::lines::{attr, attribute, copy, has, is_about, payload_types, value, values, values_of};

/// The answer to a player's offer, made from Janus' offer.
pub fn answer_for_player(player: &Session, janus: &Session, common: &Common) -> Session {
    let mut answer = frame(player);
    let setup = if janus_begins(player) { "active" } else { "passive" };
    for (index, media) in player.medias.iter().enumerate() {
        let pair = common.chosen.iter().find(|(chosen, _, _)| *chosen == index);
        let theirs = pair.and_then(|(_, kind, pt)| Some((*pt, sender(janus, kind)?)));
        let mut line = match theirs {
            None => rejected(media),
            Some((pt, from)) => {
                let mut line = both(player, media, janus, from, pt, "sendonly");
                say_stereo(&mut line, pt);
                if has(media, "rtcp-mux-only") {
                    line.attributes.push(attr("rtcp-mux-only", None));
                }
                for name in ["msid", "ssrc-group", "ssrc"] {
                    copy(from, name, &mut line);
                }
                line
            }
        };
        if line.port != 0 {
            peer(janus, janus.medias.iter().find(|media| media.port != 0).unwrap_or(media), setup, &mut line);
        }
        candidates(janus, &mut line);
        answer.medias.push(line);
    }
    // RFC 9143 section 7.3: only what was offered.
    if values_of(player, "group").any(|group| group.starts_with("BUNDLE")) {
        bundle(&mut answer);
    }
    answer
}

/// The answer to Janus' offer, made from a player's offer.
pub fn answer_for_janus(janus: &Session, player: &Session, common: &Common) -> Session {
    let mut answer = frame(janus);
    let setup = if janus_begins(player) { "passive" } else { "active" };
    for media in &janus.medias {
        let pair = common.chosen.iter().find(|(_, kind, _)| *kind == media.media);
        let line = match pair.and_then(|(index, _, pt)| Some((pt, player.medias.get(*index)?))) {
            // Janus (1.1) takes no answer that refuses the medium which the transport is named after.
            None => match common.chosen.first().and_then(|(index, _, _)| player.medias.get(*index)) {
                Some(from) if media.port != 0 => {
                    let mut line = silent(media);
                    peer(player, from, setup, &mut line);
                    candidates(player, &mut line);
                    line
                }
                _ => rejected(media),
            },
            Some((pt, from)) => {
                let mut line = both(janus, media, player, from, *pt, "recvonly");
                peer(player, from, setup, &mut line);
                candidates(player, &mut line);
                line
            }
        };
        answer.medias.push(line);
    }
    bundle(&mut answer);
    answer
}

/// Who begins the DTLS handshake: Janus, if the player lets it (RFC 8842 section 5.2). A player that begins does so as soon as
/// ICE has succeeded on its side; that is a millisecond before Janus can answer, which then drops it, and OpenSSL tries again
/// after a second.
fn janus_begins(player: &Session) -> bool {
    let setups = player.medias.iter().filter_map(|media| attribute(player, media, "setup"));
    setups.into_iter().all(|setup| ["actpass", "passive"].contains(&setup))
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

/// Says of Opus that it has two channels (RFC 7587 section 6.1), beside whatever else is said of it.
fn say_stereo(line: &mut Media, pt: u8) {
    let Some(stereo) = Codec::Opus.fmtp().filter(|_| pt == Codec::Opus.payload_type()) else { return };
    let said = line.attributes.iter_mut().filter(|attribute| attribute.attribute == "fmtp");
    let said = said.filter_map(|attribute| attribute.value.as_mut()).find(|value| is_about(value, pt));
    match said {
        None => line.attributes.push(attr("fmtp", Some(&format!("{pt} {stereo}")))),
        Some(value) => {
            let rest = value.split_once(' ').map_or("", |(_, rest)| rest);
            let others = rest.split(';').map(str::trim).filter(|parameter| {
                !parameter.is_empty()
                    && !["stereo", "sprop-stereo"].iter().any(|name| {
                        parameter
                            .split('=')
                            .next()
                            .is_some_and(|given| given.trim().eq_ignore_ascii_case(name))
                    })
            });
            let all: Vec<&str> = others.chain([stereo]).collect();
            *value = format!("{pt} {}", all.join(";"));
        }
    }
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
        for candidate in values(media, "candidate") {
            // Each is work for Janus, and media that are together have them once.
            if seen.len() < MOST_CANDIDATES && seen.insert(candidate) {
                line.attributes.push(attr("candidate", Some(candidate)));
            }
        }
        if has(media, "end-of-candidates") && !has(line, "end-of-candidates") {
            line.attributes.push(attr("end-of-candidates", None));
        }
    }
}

/// A medium that is agreed on, and that nothing is sent of.
fn silent(offer: &Media) -> Media {
    let first = offer.fmt.split_whitespace().next().unwrap_or_default();
    let mut line = media(offer, 9, first.to_owned());
    line.attributes.push(attr("mid", value(offer, "mid")));
    line.attributes.push(attr("inactive", None));
    line.attributes.push(attr("rtcp-mux", None));
    if let Ok(number) = first.parse() {
        for map in values(offer, "rtpmap").filter(|map| is_about(map, number)) {
            line.attributes.push(attr("rtpmap", Some(map)));
        }
    }
    line
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
