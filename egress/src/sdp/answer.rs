//! The answers, each made from one side's offer in the words of the other's.

use std::collections::BTreeSet;

use node::http::wish::MOST_CANDIDATES;
use node::media::Codec;
use sdp_types::{Media, Session};

use super::accepted::MOST_FINGERPRINTS;
use super::lines::{
    attr, attribute, copy, has, is_about, is_feedback_of, retransmission, value, values, values_of,
};
use super::{Common, frame};

/// The answer to a player's offer, made from the server's offer.
pub fn answer_for_player(player: &Session, server: &Session, common: &Common) -> Session {
    let mut answer = frame::session(player.origin.sess_id.clone());
    // RFC 8839 section 5.3: it is said of the whole session.
    answer.attributes.extend(server.attributes.iter().filter(|line| line.attribute == "ice-lite").cloned());
    let setup = if server_begins(server, player) { "active" } else { "passive" };
    for (index, media) in player.medias.iter().enumerate() {
        let pair = common.chosen.iter().find(|chosen| chosen.index == index);
        let theirs = pair.and_then(|chosen| Some((chosen, sender(server, chosen.codec.kind().name())?)));
        let mut line = match theirs {
            None => rejected(media),
            Some((chosen, from)) => {
                let mut line = both(player, media, server, from, chosen.pt, "sendonly");
                if chosen.codec == Codec::Opus {
                    say_stereo(&mut line, chosen.pt);
                }
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
            peer(
                server,
                server.medias.iter().find(|media| media.port != 0).unwrap_or(media),
                setup,
                &mut line,
            );
        }
        candidates(server, &mut line);
        answer.medias.push(line);
    }
    // RFC 9143 section 7.3: only what was offered.
    if values_of(player, "group").any(|group| group.starts_with("BUNDLE")) {
        frame::bundle(&mut answer);
    }
    answer
}

/// The answer to the server's offer, made from a player's offer.
pub fn answer_for_server(server: &Session, player: &Session, common: &Common) -> Session {
    let mut answer = frame::session(server.origin.sess_id.clone());
    let setup = if server_begins(server, player) { "passive" } else { "active" };
    for media in &server.medias {
        let pair = common.chosen.iter().find(|chosen| chosen.codec.kind().name() == media.media);
        let line = match pair.and_then(|chosen| Some((chosen.pt, player.medias.get(chosen.index)?))) {
            // Janus (1.1) takes no answer that refuses the medium which the transport is named after.
            None => match common.chosen.first().and_then(|chosen| player.medias.get(chosen.index)) {
                Some(from) if media.port != 0 => {
                    let mut line = silent(media);
                    peer(player, from, setup, &mut line);
                    candidates(player, &mut line);
                    line
                }
                _ => rejected(media),
            },
            Some((pt, from)) => {
                let mut line = both(server, media, player, from, pt, "recvonly");
                peer(player, from, setup, &mut line);
                candidates(player, &mut line);
                line
            }
        };
        answer.medias.push(line);
    }
    frame::bundle(&mut answer);
    answer
}

/// Whether the server begins the DTLS handshake: if the player lets it (RFC 8842 section 5.2), and unless its own offer says that it
/// would rather not. A player that begins does so as soon as ICE has succeeded on its side; that is a millisecond before Janus
/// can answer, which then drops it, and OpenSSL tries again after a second.
fn server_begins(server: &Session, player: &Session) -> bool {
    let all_say = |session: &Session, wanted: &[&str]| {
        let mut setups = session.medias.iter().filter_map(|media| attribute(session, media, "setup"));
        setups.all(|setup| wanted.contains(&setup))
    };
    let may = all_say(player, &["actpass", "passive"]);
    let must = all_say(player, &["passive"]);
    may && (must || all_say(server, &["actpass", "active"]))
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
    let mut line = medium(offer, 9, fmt);
    let mut push = |name: &str, value: Option<&str>| line.attributes.push(attr(name, value));
    push(direction, None);
    push("rtcp-mux", None);
    if has(offer, "rtcp-rsize") && has(other, "rtcp-rsize") {
        push("rtcp-rsize", None);
    }
    let theirs: BTreeSet<&str> = values(other, "extmap").chain(values_of(other_session, "extmap")).collect();
    for extension in values(offer, "extmap").chain(values_of(offer_session, "extmap")) {
        let is_named_alike = extension.contains("sdes:mid") && value(offer, "mid") == value(other, "mid");
        let names_media = extension.contains("sdes:mid") || extension.contains("rtp-stream-id");
        if (is_named_alike || !names_media) && theirs.contains(extension) {
            push("extmap", Some(extension));
        }
    }
    for number in numbers {
        for name in ["rtpmap", "fmtp"] {
            for value in values(offer, name).filter(|value| is_about(value, number)) {
                push(name, Some(value));
            }
        }
    }
    let theirs: BTreeSet<&str> = values(other, "rtcp-fb").collect();
    for value in values(offer, "rtcp-fb").filter(|value| is_feedback_of(value, pt)) {
        if theirs.contains(value) {
            push("rtcp-fb", Some(value));
        }
    }
    line
}

/// Says of Opus that it has two channels (RFC 7587 section 6.1), beside whatever else is said of it.
fn say_stereo(line: &mut Media, pt: u8) {
    let Some(stereo) = Codec::Opus.fmtp() else { return };
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
    for name in ["ice-ufrag", "ice-pwd", "ice-options"] {
        if let Some(value) = attribute(session, from, name) {
            line.attributes.push(attr(name, Some(value)));
        }
    }
    // One certificate by several hashes, or several of which it shows one (RFC 8122 section 5).
    let of_all = if has(from, "fingerprint") { &session.attributes[..0] } else { &session.attributes };
    let fingerprints = from.attributes.iter().chain(of_all).filter(|line| line.attribute == "fingerprint");
    line.attributes.extend(fingerprints.take(MOST_FINGERPRINTS).cloned());
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
    let mut line = medium(offer, 9, first.to_owned());
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
    let mut line = medium(offer, 0, offer.fmt.clone());
    line.attributes.push(attr("inactive", None));
    line
}

/// A medium as it is called in `offer`.
fn medium(offer: &Media, port: u16, fmt: String) -> Media {
    let mut line = frame::medium(&offer.media, &offer.proto, port, fmt);
    copy(offer, "mid", &mut line);
    line
}

fn sender<'a>(server: &'a Session, kind: &str) -> Option<&'a Media> {
    server.medias.iter().find(|media| media.media == kind && media.port != 0)
}
