//! Session descriptions: a server always makes the offer, and most players do, too. Both are answered: each gets an answer that
//! is made from the other's offer. Pure.
//!
//! What one calls a thing by number must mean the same to the other, because RTP goes from one to the other as it is:
//! payload types and header extensions that are numbered differently are left out. So is media identification, unless the two
//! call their media the same. Janus numbers as the tree does; the native server offers each player its own numbers.
//!
//! - here: descriptions come in and go out; `common`: what both sides have; `answer`: the answers; `counter`: what a player
//!   is offered instead; `native`: what the native server offers, `accepted`: what players answer to it; `frame`, `lines`: what is in a
//!   description.

mod accepted;
mod answer;
mod common;
mod counter;
mod frame;
mod lines;
mod native;
#[cfg(test)]
mod tests;

use sdp_types::Session;

pub use accepted::{accepted, credentials};
pub use answer::{answer_for_player, answer_for_server};
pub use common::{Common, Numbers, common};
pub use counter::counter_offer;
use lines::{attribute, value};
pub use native::{Local, Sources, all_but_credentials, fragment, offer};

/// Why an offer cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It is no session description, or not one of a player.
    #[error("{0}")]
    Bad(String),
    /// It has nothing that the session could be sent with: no codec, or not by the numbers that it is sent with. Another
    /// description may.
    #[error("{0}")]
    NoCodec(String),
}

/// Reads a description.
pub fn parse(text: &[u8]) -> Result<Session, SdpError> {
    let bad = |why: &str| SdpError::Bad(format!("this is no SDP: {why}"));
    node::sdp::check_lines(text).map_err(|why| bad(&why))?;
    let session = Session::parse(text).map_err(|error| bad(&error.to_string()))?;
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

/// The ICE user names, by which a restart is recognised: as a rule one for all media.
pub fn ice_users(session: &Session) -> Vec<String> {
    let users = session.medias.iter().filter_map(|media| attribute(session, media, "ice-ufrag"));
    users.map(str::to_owned).collect()
}

/// The first medium's name.
pub fn first_mid(session: &Session) -> String {
    let mid = session.medias.first().and_then(|media| value(media, "mid"));
    mid.unwrap_or("0").to_owned()
}
