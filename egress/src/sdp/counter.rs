//! What a player is offered instead of its own offer, when that cannot be served.

use sdp_types::Session;

use super::lines::{attr, has};

/// Janus' offer, as a player gets it. `why`: what was wrong with the player's own; it stands where people who read
/// descriptions find it (`i=`, RFC 8866 section 5.4).
pub fn counter_offer(janus: &Session, why: &str) -> Session {
    let mut offer = janus.clone();
    offer.session_description = Some(why.replace(['\r', '\n'], " "));
    for media in offer.medias.iter_mut().filter(|media| has(media, "rtcp-mux")) {
        // RFC 8858: there is no other way here.
        if !has(media, "rtcp-mux-only") {
            media.attributes.push(attr("rtcp-mux-only", None));
        }
    }
    offer
}
