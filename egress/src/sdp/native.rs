//! The native server's offer: just as Janus makes one, but in the numbers of the player that it is for. What a player's answer
//! says is read by [`super::accepted`].

#[cfg(test)]
mod tests;

use node::media::{Codec, Kind, PerKind, VideoCodec};
use sdp_types::{Media, Session};
use seats::{Credentials, Fingerprint};

use super::common::Chosen;
use super::lines::{attr, extension, is_about, is_feedback_of, retransmission, value, values, values_of};
use super::{Common, frame};

/// Header extensions, by their names.
pub(super) const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub(super) const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
pub(super) const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// What a player may send about a stream (RFC 4585, RFC 5104).
const FEEDBACK: [&str; 3] = ["nack", "nack pli", "ccm fir"];
/// Who belongs together: the media stream's name, and the CNAME of its sources.
const STREAM: &str = seats::viewer::CNAME;

/// Our side of a viewer's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its ICE credentials.
    pub ice: Credentials,
    /// Our certificate.
    pub fingerprint: Fingerprint,
    /// Where we are reached: values of `a=candidate`.
    pub candidates: Vec<String>,
    /// SSRCs that its media is sent by.
    pub sources: PerKind<Sources>,
}

/// SSRCs of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Of the stream.
    pub media: u32,
    /// Of its retransmissions (RFC 4588 section 5.3).
    pub rtx: u32,
}

impl Sources {
    /// For a viewer, all different. `random`: any four numbers.
    pub fn of(random: [u32; 4]) -> PerKind<Sources> {
        // The two lowest bits keep them apart, and from being zero.
        let [a, b, c, d] = random.map(|number| number & !3);
        PerKind {
            audio: Sources { media: a | 1, rtx: b | 2 },
            video: Sources { media: c | 3, rtx: d.max(4) },
        }
    }
}

/// An offer of a session's streams, to a player with this offer of its own, or to one that has made none that could be served.
pub fn offer(codec: VideoCodec, player: Option<(&Session, &Common)>, local: &Local) -> Session {
    let mut offer = frame::session(u64::from(local.sources.audio.media).to_string());
    // RFC 8839 section 5.3; RFC 8445 section 10.
    offer.attributes.push(attr("ice-lite", None));
    offer.attributes.push(attr("ice-options", Some("trickle ice2")));
    let (terms, setup): (Vec<Terms>, &str) = match player {
        None => ([Codec::Opus, Codec::Video(codec)].map(Terms::ours).into(), "actpass"),
        Some((player, common)) => {
            let chosen = common.chosen.iter();
            let media = chosen.filter_map(|chosen| Some((player.medias.get(chosen.index)?, chosen)));
            let terms = media.map(|(media, chosen)| Terms::of(player, media, chosen)).collect();
            // Whoever only knocks makes us begin nothing; and browsers, who try again after 50 ms, are quicker than OpenSSL
            // with its second where packets are lost.
            (terms, "passive")
        }
    };
    offer.medias = terms.iter().map(|terms| terms.medium(local, setup)).collect();
    frame::bundle(&mut offer);
    offer
}

/// Our side of a viewer's next ICE session: what a player is told that restarts ICE (RFC 9725 section 4.3.3). `rest`: of
/// [`all_but_credentials`].
pub fn fragment(ours: &Credentials, rest: &str) -> String {
    let Credentials { user, password } = ours;
    format!("a=ice-lite\r\na=ice-ufrag:{user}\r\na=ice-pwd:{password}\r\n{rest}")
}

/// What every such fragment after this offer has. Of bundled media the first has it all (RFC 8840 section 9).
pub fn all_but_credentials(offer: &Session) -> String {
    let mut lines = String::new();
    for name in ["ice-options", "group"] {
        lines.extend(values_of(offer, name).map(|value| format!("a={name}:{value}\r\n")));
    }
    if let Some(first) = offer.medias.first() {
        lines += &format!("m={} {} {} {}\r\n", first.media, first.port, first.proto, first.fmt);
        for name in ["mid", "candidate"] {
            lines.extend(values(first, name).map(|value| format!("a={name}:{value}\r\n")));
        }
        lines += "a=end-of-candidates\r\n";
    }
    lines
}

/// How a medium is spoken of.
struct Terms {
    codec: Codec,
    mid: Option<String>,
    pt: u8,
    /// Parameters of the codec, without the number.
    fmtp: Option<String>,
    rtx: Option<u8>,
    /// Values of `a=rtcp-fb`.
    feedback: Vec<String>,
    /// Values of `a=extmap`.
    extensions: Vec<String>,
}

impl Terms {
    /// In numbers of ours: those of the tree.
    fn ours(codec: Codec) -> Terms {
        let pt = codec.payload_type();
        let mut feedback = vec!["nack"];
        let mut extensions = vec![format!("1 {MID}")];
        if codec.kind() == Kind::Video {
            feedback.extend(&FEEDBACK[1..]);
            feedback.push("goog-remb");
            extensions.push(format!("2 {ABS_SEND_TIME}"));
        }
        Terms {
            codec,
            mid: Some(codec.kind().name().to_owned()),
            pt,
            fmtp: codec.fmtp().map(str::to_owned),
            rtx: (codec.kind() == Kind::Video).then_some(pt + 1),
            feedback: feedback.into_iter().map(|name| format!("{pt} {name}")).collect(),
            extensions,
        }
    }

    /// In the player's.
    fn of(player: &Session, media: &Media, chosen: &Chosen) -> Terms {
        let Chosen { codec, pt, .. } = *chosen;
        let feedback: Vec<&str> =
            values(media, "rtcp-fb").filter(|value| is_feedback_of(value, pt)).collect();
        let named = |name: &str| {
            let about = |value: &&&str| value.split_once(' ').is_some_and(|(_, said)| said.trim() == name);
            feedback.iter().find(about).map(|value| (*value).to_owned())
        };
        let extension = |uri| extension(player, media, uri).map(|(_, line)| line.to_owned());
        // What comes once a second rather than with each dozen of packets.
        let estimates = [("goog-remb", ABS_SEND_TIME), ("transport-cc", TRANSPORT_CC)];
        let estimate = estimates.into_iter().find_map(|(name, uri)| Some((named(name)?, extension(uri)?)));
        let (by, stamped) = estimate.filter(|_| codec.kind() == Kind::Video).unzip();
        Terms {
            codec,
            mid: value(media, "mid").map(str::to_owned),
            pt,
            fmtp: values(media, "fmtp")
                .find(|value| is_about(value, pt))
                .and_then(|value| Some(value.split_once(' ')?.1.to_owned())),
            rtx: retransmission(media, pt),
            feedback: FEEDBACK.into_iter().filter_map(named).chain(by).collect(),
            extensions: extension(MID).into_iter().chain(stamped).collect(),
        }
    }

    /// As it is written.
    fn medium(&self, local: &Local, setup: &str) -> Media {
        let kind = self.codec.kind();
        let fmt = [Some(self.pt), self.rtx].into_iter().flatten().map(|pt| pt.to_string());
        let fmt = fmt.collect::<Vec<_>>().join(" ");
        let mut medium = frame::medium(kind.name(), "UDP/TLS/RTP/SAVPF", 9, fmt);
        let mut say = |name: &str, value: Option<String>| {
            medium.attributes.push(attr(name, value.as_deref()));
        };
        if self.mid.is_some() {
            say("mid", self.mid.clone());
        }
        for flag in ["sendonly", "rtcp-mux", "rtcp-rsize"] {
            say(flag, None);
        }
        say("ice-ufrag", Some(local.ice.user.clone()));
        say("ice-pwd", Some(local.ice.password.clone()));
        say("fingerprint", Some(written(&local.fingerprint)));
        say("setup", Some(setup.to_owned()));
        for extension in &self.extensions {
            say("extmap", Some(extension.clone()));
        }
        let channels = if self.codec == Codec::Opus { "/2" } else { "" };
        let name = self.codec.encoding_name();
        say("rtpmap", Some(format!("{} {name}/{}{channels}", self.pt, kind.clock_rate())));
        if let Some(parameters) = &self.fmtp {
            say("fmtp", Some(format!("{} {parameters}", self.pt)));
        }
        for feedback in &self.feedback {
            say("rtcp-fb", Some(feedback.clone()));
        }
        let sources = local.sources[kind];
        if let Some(rtx) = self.rtx {
            say("rtpmap", Some(format!("{rtx} rtx/{}", kind.clock_rate())));
            say("fmtp", Some(format!("{rtx} apt={}", self.pt)));
            say("ssrc-group", Some(format!("FID {} {}", sources.media, sources.rtx)));
        }
        say("msid", Some(format!("{STREAM} {kind}")));
        for ssrc in [Some(sources.media), self.rtx.map(|_| sources.rtx)].into_iter().flatten() {
            say("ssrc", Some(format!("{ssrc} cname:{STREAM}")));
        }
        for candidate in &local.candidates {
            say("candidate", Some(candidate.clone()));
        }
        say("end-of-candidates", None);
        medium
    }
}

/// As `a=fingerprint` has it (RFC 8122 section 5).
fn written(fingerprint: &Fingerprint) -> String {
    let bytes: Vec<String> = fingerprint.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{} {}", fingerprint.algorithm, bytes.join(":"))
}
