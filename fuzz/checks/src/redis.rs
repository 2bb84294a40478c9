//! What others write to Redis and publish there: hashes as a JSON object of texts, and events.
use std::collections::BTreeMap;

use injection::session::Session;
use node::event::Event;
use node::record::{Origin, Place};

/// A hash, or an event.
pub fn redis(data: &[u8]) {
    if let Ok(event) = Event::parse(data) {
        assert_eq!(
            Event::parse(event.message().as_bytes()).ok(),
            Some(event),
            "what is published is understood"
        );
    }
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, String>>(data) else { return };
    let place = Place::of(&fields);
    let origin = Origin::of(&fields);
    assert_eq!(place.is_ok(), origin.is_ok(), "one reading of one hash");
    if let Ok(Some(place)) = place {
        assert!(!place.host.is_empty() && !place.ports.contains(&0), "{place:?}");
    }
    if let Ok(session) = Session::of("s1", &fields) {
        let written: BTreeMap<String, String> = session
            .fields("injection-1", "tree-1", true)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(Session::of("s1", &written), Ok(session), "what is written is read");
    }
}
