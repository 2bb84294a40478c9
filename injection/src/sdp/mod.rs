//! What a WHIP client sends, without I/O. Its offer is read (is there anything in it that a tree can carry?), put into the
//! words that Janus knows, and answered in its own.
//!
//! - here: [`Offer`], what is chosen of it, and the [`Ways`] that its media go;
//! - `choice`: which of a medium's formats is taken;
//! - `h264`: which profiles of H264 are what the tree's are said to be;
//! - `layers`: simulcast, the largest first;
//! - `translate`: the offer for Janus, and Janus' answer for the client;
//! - `lines`: what is in a description.

mod choice;
mod h264;
mod layers;
mod lines;
#[cfg(test)]
mod tests;
mod translate;

use node::http::wish::Candidate;
use node::media::{Codec, Kind, PerKind};
use sdp_types::{Media, Session};
use serde_json::{Value, json};

use choice::Format;
use lines::{has, value};

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

/// An offer, and what is taken of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// As it came.
    session: Session,
    /// Its ICE user names, by which a restart is recognised: as a rule one for all media.
    pub users: Vec<String>,
    /// The media that are taken, at most one of each kind.
    taken: PerKind<Option<Taken>>,
}

/// A medium that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    /// Its place among the offer's media.
    index: usize,
    /// What it is sent with.
    format: Format,
}

impl Offer {
    /// Looks an offer through before Janus is bothered with it.
    pub fn parse(offer: &str) -> Result<Offer, OfferError> {
        let malformed =
            |why: &str| OfferError::Malformed(format!("this is no SDP offer to publish with: {why}"));
        node::sdp::check_lines(offer.as_bytes()).map_err(|why| malformed(&why))?;
        let session = Session::parse(offer.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
        let taken = PerKind::try_from_fn(|kind| take(&session, kind))?;
        if taken.iter().all(|(_, taken)| taken.is_none()) {
            return Err(malformed("it sends neither audio nor video"));
        }
        let mut users: Vec<String> =
            session.medias.iter().filter_map(|media| value(media, "ice-ufrag")).map(str::to_owned).collect();
        users.extend(session.get_first_attribute_value("ice-ufrag").ok().flatten().map(str::to_owned));
        users.dedup();
        if users.is_empty() {
            return Err(malformed("it has no ice-ufrag"));
        }
        Ok(Offer { session, users, taken })
    }

    /// What of each kind is taken.
    pub fn sends(&self) -> PerKind<bool> {
        self.taken.as_ref().map(Option::is_some)
    }

    /// The ways that its media go. Media that are not offered as a bundle have each a transport of their own (RFC 8843 section
    /// 7.2), and Janus has but one for each connection.
    pub fn ways(&self) -> Ways {
        let mut media: Vec<Place> = Vec::new();
        for (_, taken) in self.taken.iter() {
            media.extend(taken.as_ref().map(|taken| (taken.index, self.mid(taken.index))));
        }
        media.sort();
        let together = media.len() < 2
            || self.bundles().any(|bundle| {
                media.iter().all(|(_, mid)| mid.as_ref().is_some_and(|mid| bundle.contains(&mid.as_str())))
            });
        match together {
            true => Ways(vec![media]),
            false => Ways(media.into_iter().map(|medium| vec![medium]).collect()),
        }
    }

    fn mid(&self, index: usize) -> Option<String> {
        value(&self.session.medias[index], "mid").map(str::to_owned)
    }

    /// The names that are offered as a bundle.
    fn bundles(&self) -> impl Iterator<Item = Vec<&str>> {
        let groups = self.session.attributes.iter().filter(|line| line.attribute == "group");
        let bundles = groups.filter_map(|line| line.value.as_deref()?.strip_prefix("BUNDLE"));
        bundles.map(|names| names.split_ascii_whitespace().collect())
    }

    /// Whether its video comes in several sizes at once.
    pub fn is_simulcast(&self) -> bool {
        let video = self.taken[Kind::Video].as_ref();
        video.is_some_and(|taken| layers::is_simulcast(&self.session.medias[taken.index]))
    }
}

/// The first medium of a kind that can be carried. None, if there is no medium of that kind; if there is, but nothing in it
/// that can be carried, an error that says why not.
fn take(session: &Session, kind: Kind) -> Result<Option<Taken>, OfferError> {
    let mut refused = None;
    for (index, media) in session.medias.iter().enumerate() {
        if Kind::parse(&media.media) != Some(kind) || !is_sent(session, media) {
            continue;
        }
        match choice::choose(media, kind) {
            Ok(format) => return Ok(Some(Taken { index, format })),
            Err(why) => refused = refused.or(Some(OfferError::NoCodec(why))),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Whether anything is sent by it.
fn is_sent(session: &Session, media: &Media) -> bool {
    // In an offer, port 0 is a refusal only without bundle-only (RFC 8843 section 6), which GStreamer offers.
    let open = media.port != 0 || has(media, "bundle-only");
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let of_media = directions.into_iter().find(|direction| has(media, direction));
    let direction = of_media.or_else(|| directions.into_iter().find(|name| session.has_attribute(name)));
    open && !matches!(direction, Some("recvonly" | "inactive"))
}

/// The ways that an offer's media go: all by one, or each by its own. Janus has a connection for each way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways(Vec<Vec<Place>>);

/// A medium: its place in the offer, and its name.
type Place = (usize, Option<String>);

impl Ways {
    /// Which way a trickled candidate is of, and how Janus takes it.
    pub fn candidate(&self, candidate: &Candidate) -> (usize, Value) {
        let is_about = |(index, mid): &Place| match &candidate.mid {
            Some(name) => mid.as_ref() == Some(name),
            None => *index == candidate.line,
        };
        let way = self.0.iter().position(|media| media.iter().any(is_about)).unwrap_or_default();
        let Some(text) = &candidate.text else { return (way, json!({ "completed": true })) };
        let said = match &candidate.mid {
            Some(mid) => json!({ "candidate": text, "sdpMid": mid }),
            // By itself on its way, it is the first there.
            None if self.0.len() > 1 => json!({ "candidate": text, "sdpMLineIndex": 0 }),
            None => json!({ "candidate": text, "sdpMLineIndex": candidate.line }),
        };
        (way, said)
    }
}

/// What codecs of a kind are called where a person reads it: `VP8 or H264`.
fn carried(kind: Kind) -> String {
    let codecs = Codec::ALL.into_iter().filter(|codec| codec.kind() == kind);
    codecs.map(Codec::encoding_name).collect::<Vec<_>>().join(" or ")
}
