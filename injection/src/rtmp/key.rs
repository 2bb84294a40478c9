//! What an encoder publishes to, without I/O: from application and stream key to a session and a token, and from those
//! to a yes or a refusal.

use node::auth::Refused;
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
    #[error(
        "the stream key needs ?token=TOKEN after the session's name, with the node's WHIP_TOKEN or one signed for the session"
    )]
    Token,
    /// Whoever decides besides tokens said no, or nothing.
    #[error("{0}")]
    Refused(Refused),
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
            Denied::Token | Denied::Refused(_) => "NetStream.Publish.Denied",
        }
    }
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Denied {
        match refused {
            // An encoder has no header to say it in.
            Refused::Unauthorized(_) => Denied::Token,
            other => Denied::Refused(other),
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

/// May somebody who is admitted publish?
pub fn decide(key: &Key, place: impl FnOnce(&str) -> Occupancy) -> Result<(), Denied> {
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
    fn a_place_is_free_or_it_is_said_why_not() {
        let table = [
            (Occupancy::Free, Ok(())),
            (Occupancy::Busy, Err(Denied::Busy("s".to_owned()))),
            (Occupancy::Unknown, Err(Denied::Unknown("s".to_owned()))),
        ];
        for (place, verdict) in table {
            assert_eq!(decide(&key("s", None), |_| place), verdict);
        }
    }

    #[test]
    fn a_refusal_says_how_an_encoder_says_its_token() {
        let unauthorized =
            Denied::from(Refused::Unauthorized("this needs the header `Authorization`".to_owned()));
        assert_eq!((unauthorized.code(), unauthorized.clone()), ("NetStream.Publish.Denied", Denied::Token));
        assert!(
            unauthorized.to_string().contains("?token=TOKEN")
                && unauthorized.to_string().contains("WHIP_TOKEN")
        );
        assert_eq!(Denied::from(Refused::Unknown).code(), "NetStream.Publish.Denied");
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(application in "\\PC{0,20}", name in "\\PC{0,100}") {
            let _ = parsed(&application, &name);
        }
    }
}
