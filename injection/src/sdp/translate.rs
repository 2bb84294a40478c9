//! The offer in Janus' words, and Janus' answer in the client's.
//!
//! Janus (1.1) knows codecs by two spellings, and H264 by one profile; it takes as many media as are offered, puts them all
//! on one transport, whether or not that was offered, and RTCP with them. So media that are not bundled come by a connection
//! each.

use std::collections::BTreeSet;

use node::http::wish::MOST_CANDIDATES;
use node::media::{Codec, Kind, VideoCodec};
use sdp_types::{Media, Session};

use super::lines::{about, attribute, direct, has, parameter, parameters, value, values};
use super::{Offer, Place, Taken, h264, layers};

impl Offer {
    /// For Janus: of each kind one medium, with one format; one description for each of the [`Ways`](super::Ways).
    pub fn for_janus(&self) -> Vec<String> {
        let ways = self.ways();
        match &ways.0[..] {
            [_] => vec![text(&self.narrowed())],
            several => several.iter().map(|way| self.alone(way)).collect(),
        }
    }

    /// One way by itself.
    fn alone(&self, way: &[Place]) -> String {
        let mut session = self.narrowed();
        let mut indices = 0..;
        session.medias.retain(|_| {
            let here = indices.next();
            way.iter().any(|(index, _)| Some(*index) == here)
        });
        session.attributes.retain(|line| line.attribute != "group");
        text(&session)
    }

    fn narrowed(&self) -> Session {
        let mut session = self.session.clone();
        let mut known = BTreeSet::new();
        for (index, media) in session.medias.iter_mut().enumerate() {
            media.proto = protocol(&media.proto);
            match self.taken_at(index) {
                Some((kind, taken)) => narrow(media, kind, taken, &mut known),
                None => {
                    media.attributes.retain(|line| line.attribute != "candidate");
                    match Kind::parse(&media.media) {
                        Some(_) => direct(media, "inactive"),
                        None => media.port = 0,
                    }
                }
            }
        }
        session
    }

    /// What the client is answered, made from what Janus answered to each of [`for_janus`](Self::for_janus). An error: these
    /// are no answers to this offer.
    pub fn answer(&self, janus: &[String]) -> Result<String, String> {
        let read = |text: &String| Session::parse(text.as_bytes()).map_err(|error| error.to_string());
        let answers = janus.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut answer = self.together(answers)?;
        if answer.medias.len() != self.session.medias.len() {
            return Err("the answer has other media than the offer".to_owned());
        }
        for (index, (media, offered)) in answer.medias.iter_mut().zip(&self.session.medias).enumerate() {
            media.proto.clone_from(&offered.proto);
            match self.taken_at(index) {
                Some((_, taken)) => widen(media, offered, taken),
                // One that nobody asks for may begin later; data has no place in a broadcast.
                None if Kind::parse(&media.media).is_some() && media.port != 0 => direct(media, "inactive"),
                None => reject(media),
            }
        }
        self.bundle(&mut answer);
        Ok(text(&answer))
    }

    /// The answers to several ways as one: each medium's from its own, those on no way refused.
    fn together(&self, mut answers: Vec<Session>) -> Result<Session, String> {
        let ways = self.ways();
        if answers.len() != ways.0.len() || answers.is_empty() {
            return Err(format!("{} answers to {} offers", answers.len(), ways.0.len()));
        }
        if ways.0.len() == 1 {
            return Ok(answers.swap_remove(0));
        }
        let mut medias = self.session.medias.clone();
        medias.iter_mut().for_each(reject);
        for (way, answer) in ways.0.iter().zip(&mut answers) {
            let (Some((index, _)), Some(answered)) = (way.first(), answer.medias.pop()) else {
                return Err("an answer without media".to_owned());
            };
            medias[*index] = answered;
        }
        Ok(Session { medias, ..answers.swap_remove(0) })
    }

    fn taken_at(&self, index: usize) -> Option<(Kind, &Taken)> {
        let all = Kind::BOTH.into_iter().filter_map(|kind| Some((kind, self.taken[kind].as_ref()?)));
        all.into_iter().find(|(_, taken)| taken.index == index)
    }

    /// RFC 8843 section 7.3: what is together on one transport is of those that were offered as such, and accepted.
    fn bundle(&self, answer: &mut Session) {
        answer.attributes.retain(|line| line.attribute != "group");
        let Some(offered) = self.bundles().next().filter(|_| self.ways().0.len() == 1) else { return };
        let accepted: Vec<&str> = answer
            .medias
            .iter()
            .filter(|media| media.port != 0)
            .filter_map(|media| value(media, "mid"))
            .collect();
        let mids: Vec<&str> = offered.into_iter().filter(|mid| accepted.contains(mid)).collect();
        if !mids.is_empty() {
            let group = format!("BUNDLE {}", mids.join(" "));
            answer.attributes.push(attribute("group", Some(group)));
        }
    }
}

/// A medium with nothing in it but what is taken.
/// As Janus writes it, who knows no other. All that are for RTP mean the same where there is DTLS (RFC 8829 section 5.1.2).
fn protocol(said: &str) -> String {
    let said = said.to_ascii_uppercase();
    if said.split('/').any(|part| part == "RTP") { "UDP/TLS/RTP/SAVPF".to_owned() } else { said }
}

fn narrow(media: &mut Media, kind: Kind, taken: &Taken, known: &mut BTreeSet<String>) {
    let (payload_type, codec) = (taken.format.payload_type, taken.format.codec);
    let mut numbers = vec![payload_type];
    numbers.extend(retransmission(media, payload_type));
    media.fmt = numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    if media.port == 0 {
        media.port = 9;
    }
    media.attributes.retain(|line| match (line.attribute.as_str(), line.value.as_deref()) {
        ("rtpmap" | "fmtp" | "rtcp-fb", Some(value)) => {
            value.starts_with("* ") || about(value).is_some_and(|(number, _)| numbers.contains(&number))
        }
        // Each is a request to Janus, and media that are together have them once.
        ("candidate", Some(value)) => known.len() < MOST_CANDIDATES && known.insert(value.to_owned()),
        _ => true,
    });
    let is_it = |line: &str, name: &str, value: &str| {
        line == name && about(value).is_some_and(|(number, _)| number == payload_type)
    };
    for line in &mut media.attributes {
        if line.value.as_deref().is_some_and(|value| is_it(&line.attribute, "rtpmap", value)) {
            let channels = if kind == Kind::Audio { "/2" } else { "" };
            let name = codec.encoding_name();
            line.value = Some(format!("{payload_type} {name}/{}{channels}", kind.clock_rate()));
        }
    }
    if codec == Codec::Video(VideoCodec::H264) {
        media
            .attributes
            .retain(|line| !line.value.as_deref().is_some_and(|value| is_it(&line.attribute, "fmtp", value)));
        let carried = h264::CARRIED;
        let line = format!(
            "{payload_type} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={carried}"
        );
        media.attributes.push(attribute("fmtp", Some(line)));
    }
    layers::sort(media);
    direct(media, "sendonly");
}

/// A medium's answer as the client would have it.
fn widen(media: &mut Media, offered: &Media, taken: &Taken) {
    // RFC 5761 section 5.1.1.
    if !has(offered, "rtcp-mux") {
        media.attributes.retain(|line| line.attribute != "rtcp-mux");
    }
    let payload_type = taken.format.payload_type;
    let said = parameters(offered, payload_type);
    let own = match taken.format.codec {
        // Its own profile, which the answer must have (RFC 6184 section 8.2.2), and its own way to make packets.
        Codec::Video(VideoCodec::H264) => {
            let of = |name: &str| parameter(said, name).map(|value| format!("{name}={value}"));
            let asymmetry = of("profile-level-id").map(|_| "level-asymmetry-allowed=1".to_owned());
            let all = [asymmetry, of("packetization-mode"), of("profile-level-id")];
            all.into_iter().flatten().collect::<Vec<_>>().join(";")
        }
        // Both ears are heard (RFC 7587 section 7.1).
        Codec::Opus => {
            let rest = parameters(media, payload_type).split(';').map(str::trim);
            let rest = rest.filter(|pair| !pair.is_empty() && !pair.starts_with("stereo="));
            rest.chain(["stereo=1"]).collect::<Vec<_>>().join(";")
        }
        Codec::Video(VideoCodec::Vp8) => return layers::restore(media, offered),
    };
    media.attributes.retain(|line| {
        let value = line.value.as_deref().filter(|_| line.attribute == "fmtp").and_then(about);
        value.is_none_or(|(number, _)| number != payload_type)
    });
    if !own.is_empty() {
        media.attributes.push(attribute("fmtp", Some(format!("{payload_type} {own}"))));
    }
    layers::restore(media, offered);
}

/// RFC 3264 section 6: port 0.
fn reject(media: &mut Media) {
    media.port = 0;
    media.attributes.retain(|line| line.attribute == "mid");
    direct(media, "inactive");
}

/// The payload type of a format's retransmissions (RFC 4588).
fn retransmission(media: &Media, payload_type: u8) -> Option<u8> {
    let wanted = payload_type.to_string();
    let of = values(media, "fmtp")
        .filter_map(about)
        .filter(|(_, rest)| parameter(rest, "apt") == Some(wanted.as_str()));
    let is_rtx = |number: &u8| {
        let mut maps = values(media, "rtpmap").filter_map(about);
        maps.any(|(other, map)| other == *number && map.to_ascii_lowercase().starts_with("rtx/"))
    };
    of.map(|(number, _)| number).find(is_rtx)
}

fn text(session: &Session) -> String {
    let mut text = Vec::new();
    // Writing into memory cannot fail.
    let _ = session.write(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}
