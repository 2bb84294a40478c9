//! What an encoder publishes to, without I/O: from application and stream key to a session and a token, and from those
//! to a yes or a refusal.

use node::secret::Secret;
use percent_encoding::percent_decode_str;

use super::protocol::Address;
use crate::publication::Occupancy;

/// The application part of the URL, the one that encoders expect.
const APPLICATION: &str = "live";
/// What Adobe's encoder puts behind an application when it is told nothing.
const DEFAULT_INSTANCE: &str = "_definst_";

/// A stream key taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name of the session.
    pub session: String,
    /// What the encoder claims to know.
    pub token: Option<Secret>,
}

/// Why an encoder may not publish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The URL is none of ours.
    #[error("publish to rtmp://HOST/{APPLICATION}/SESSION; the URL has the application '{0}'")]
    Application(String),
    /// The stream key names no session.
    #[error("the stream key names no session; it is SESSION or SESSION?token=TOKEN")]
    NoSession,
    /// The token is missing or wrong.
    #[error("the stream key needs ?token=TOKEN with the node's WHIP_TOKEN after the session's name")]
    Token,
    /// No such session.
    #[error("no session {0}; POST /session/create makes one")]
    Unknown(String),
    /// Somebody publishes to it.
    #[error("someone else is live on session {0}; it is free when they stop")]
    Busy(String),
}

impl Denied {
    /// The code that encoders know.
    pub fn code(&self) -> &'static str {
        match self {
            Denied::Busy(_) | Denied::Unknown(_) | Denied::NoSession => "NetStream.Publish.BadName",
            Denied::Application(_) => "NetConnection.Connect.InvalidApp",
            Denied::Token => "NetStream.Publish.Denied",
        }
    }
}

/// Takes an address apart: `live/SESSION?token=TOKEN`. Encoders ask for it in one or in two fields and cut it where they like, so that
/// the session may be the end of the application, and the token behind either; a few name it in the connection's URL only.
pub fn parse(address: &Address) -> Result<Key, Denied> {
    let (application, asked) = cut(&address.application);
    let (name, queried) = cut(&address.name);
    let mut path =
        [application, name].into_iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty());
    if path.next() != Some(APPLICATION) {
        return Err(Denied::Application(application.escape_debug().take(40).collect()));
    }
    let path: Vec<&str> = path.filter(|part| *part != DEFAULT_INSTANCE).collect();
    if path.is_empty() {
        return Err(Denied::NoSession);
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let queries = [queried, asked, cut(&address.url).1];
    let token = queries
        .iter()
        .flat_map(|query| query.split(['&', '?']))
        .find_map(|field| field.strip_prefix("token="));
    Ok(Key { session: decoded(&path.join("/")), token: token.map(decoded).map(Secret::new) })
}

/// What is in front of a query, and the query.
fn cut(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// May it publish? The token comes first: who has none learns nothing of sessions.
pub fn decide(
    key: &Key,
    wanted: Option<&Secret>,
    place: impl FnOnce(&str) -> Occupancy,
) -> Result<(), Denied> {
    if let Some(wanted) = wanted {
        let claimed = key.token.as_ref().map_or("", Secret::reveal);
        if !wanted.is(claimed.as_bytes()) {
            return Err(Denied::Token);
        }
    }
    // Whatever it is called, it goes into the log.
    let name = || key.session.escape_debug().take(80).collect();
    match place(&key.session) {
        Occupancy::Unknown => Err(Denied::Unknown(name())),
        Occupancy::Busy => Err(Denied::Busy(name())),
        Occupancy::Free => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(session: &str, token: Option<&str>) -> Key {
        Key { session: session.to_owned(), token: token.map(Secret::new) }
    }

    fn parsed(application: &str, name: &str) -> Result<Key, Denied> {
        parse(&Address { application: application.to_owned(), url: String::new(), name: name.to_owned() })
    }

    #[test]
    fn keys_are_taken_apart() {
        let table = [
            ("live", "s1", key("s1", None)),
            ("live/", "s1?token=abc", key("s1", Some("abc"))),
            ("live", "s1?x=1&token=a%26b%3F", key("s1", Some("a&b?"))),
            ("live", "s1?token=", key("s1", Some(""))),
            ("live", "a%20b?", key("a b", None)),
            ("/live", "/s1/", key("s1", None)),
            ("live/_definst_", "s1", key("s1", None)),
        ];
        for (application, name, wanted) in table {
            assert_eq!(parsed(application, name), Ok(wanted), "{name}");
        }
        assert_eq!(parsed("live", ""), Err(Denied::NoSession));
        assert_eq!(parsed("live", "?token=abc"), Err(Denied::NoSession));
        assert_eq!(parsed("vod", "s1"), Err(Denied::Application("vod".to_owned())));
        assert_eq!(parsed("lively", "s1"), Err(Denied::Application("lively".to_owned())));
    }

    /// Case A6 of the field: wherever the encoder cuts the address.
    #[test]
    fn session_and_token_may_be_in_either_field() {
        let table = [
            ("live/s1", "", key("s1", None)),
            ("live/s1?token=T", "", key("s1", Some("T"))),
            ("live?token=T", "s1", key("s1", Some("T"))),
            ("live/?token=T", "s1", key("s1", Some("T"))),
            ("live/s1", "?token=T", key("s1", Some("T"))),
            ("live?token=old", "s1?token=T", key("s1", Some("T"))),
            ("live?x=1&token=T", "s1?y=2", key("s1", Some("T"))),
            ("live", "s1?y=2?token=T", key("s1", Some("T"))),
            ("", "live/s1", key("s1", None)),
            ("live/a", "b", key("a/b", None)),
        ];
        for (application, name, wanted) in table {
            assert_eq!(parsed(application, name), Ok(wanted), "{application} {name}");
        }
        let url = Address {
            application: "live".to_owned(),
            url: "rtmp://host/live?token=T".to_owned(),
            name: "s1".to_owned(),
        };
        assert_eq!(parse(&url), Ok(key("s1", Some("T"))));
    }

    #[test]
    fn who_may_publish() {
        let wanted = Secret::new("right");
        let place = |id: &str| match id {
            "free" => Occupancy::Free,
            "busy" => Occupancy::Busy,
            _ => Occupancy::Unknown,
        };
        let table = [
            (key("free", Some("right")), Ok(())),
            (key("free", Some("wrong")), Err(Denied::Token)),
            (key("free", Some("")), Err(Denied::Token)),
            (key("free", None), Err(Denied::Token)),
            (key("none", Some("wrong")), Err(Denied::Token)),
            (key("busy", Some("right")), Err(Denied::Busy("busy".to_owned()))),
            (key("none", Some("right")), Err(Denied::Unknown("none".to_owned()))),
        ];
        for (key, verdict) in table {
            assert_eq!(decide(&key, Some(&wanted), place), verdict, "{key:?}");
        }
        assert_eq!(decide(&key("free", None), None, place), Ok(()));
        assert_eq!(decide(&key("free", Some("whatever")), None, place), Ok(()));
    }

    #[test]
    fn a_refusal_never_shows_a_token() {
        let refused = decide(&key("free", Some("hunter2")), Some(&Secret::new("other")), |_| Occupancy::Free);
        let text = format!("{:?} {}", refused, refused.clone().unwrap_err());
        assert!(!text.contains("hunter2") && !text.contains("other "), "{text}");
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(application in "\\PC{0,20}", name in "\\PC{0,100}") {
            let _ = parsed(&application, &name);
        }
    }
}
