//! The STUN and TURN servers that publishers and viewers are told of, without I/O: whoever is behind a firewall that lets no
//! UDP through, or behind an address translation that STUN does not help with, reaches Janus by a TURN server only.
//!
//! They are told in `Link` headers (RFC 9725 section 4.6; WHEP has the same), with what they log in to a TURN server with: a
//! name and a password that all of them share, or credentials that end by themselves, made of a secret that the node and
//! the TURN server share (draft-uberti-behave-turn-rest-00; `use-auth-secret` of coturn).
//!
//! `servers.js` is the other end, a part of both pages.

mod url;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::secret::Secret;
pub use url::{IceUrl, Scheme, Transport};

/// Servers, and how to log in to those that want to know who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServers {
    /// In the order in which clients are told.
    pub urls: Vec<IceUrl>,
    /// For TURN servers.
    pub login: Login,
}

/// How clients log in to TURN servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// There are none, so there is nothing to log in to.
    #[default]
    None,
    /// All by the same name and password.
    Shared {
        /// Name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// Each by credentials of his own that end by themselves.
    Expiring {
        /// What the node and the TURN servers know.
        secret: Secret,
        /// How long they are valid.
        lifetime: Duration,
    },
}

/// What a client logs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

impl Login {
    /// What a client logs in with that asks now. `now`: since 1970. `user`: what a TURN server's log is to call it.
    pub fn credentials(&self, now: Duration, user: &str) -> Option<Credentials> {
        match self {
            Login::None => None,
            Login::Shared { username, password } => {
                Some(Credentials { username: username.clone(), password: password.clone() })
            }
            Login::Expiring { secret, lifetime } => {
                let username = format!("{}:{user}", (now + *lifetime).as_secs());
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.reveal().as_bytes());
                let password = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
                Some(Credentials { username, password: Secret::new(password) })
            }
        }
    }
}

impl IceServers {
    /// A `Link` header for each server. Who is not `admitted` learns of those that everybody may use.
    pub fn links(&self, now: Duration, user: &str, admitted: bool) -> Vec<String> {
        let credentials = self.login.credentials(now, user).filter(|_| admitted);
        let link = |url: &IceUrl| match (&credentials, url.is_turn()) {
            (_, false) => Some(format!("<{url}>; rel=\"ice-server\"")),
            (Some(Credentials { username, password }), true) => Some(format!(
                "<{url}>; rel=\"ice-server\"; username=\"{username}\"; credential=\"{}\"; credential-type=\"password\"",
                password.reveal()
            )),
            (None, true) => None,
        };
        self.urls.iter().filter_map(link).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(login: Login) -> IceServers {
        let urls = ["stun:stun.example", "turn:turn.example:80?transport=tcp"];
        IceServers { urls: urls.map(|url| IceUrl::parse(url).unwrap()).to_vec(), login }
    }

    #[test]
    fn credentials_end_and_are_what_coturn_makes_of_them() {
        let login = Login::Expiring { secret: Secret::new("north"), lifetime: Duration::from_secs(3600) };
        let Credentials { username, password } =
            login.credentials(Duration::from_secs(1_700_000_000), "show").unwrap();
        assert_eq!(username, "1700003600:show");
        // printf 1700003600:show | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(password.reveal(), "JacUYaENhiwNqNWPy1JOmaTtido=");
    }

    #[test]
    fn a_link_has_what_a_client_needs() {
        let shared = Login::Shared { username: "u".to_owned(), password: Secret::new("p") };
        let stun = "<stun:stun.example>; rel=\"ice-server\"";
        let turn = "<turn:turn.example:80?transport=tcp>; rel=\"ice-server\"; username=\"u\"; credential=\"p\"; \
                    credential-type=\"password\"";
        assert_eq!(servers(shared.clone()).links(Duration::ZERO, "show", true), [stun, turn]);
        assert_eq!(
            servers(shared).links(Duration::ZERO, "show", false),
            [stun],
            "nobody else gets the password"
        );
        assert!(IceServers::default().links(Duration::ZERO, "show", true).is_empty());
    }

    #[test]
    fn no_password_shows() {
        let login = Login::Shared { username: "u".to_owned(), password: Secret::new("hunter2") };
        assert!(!format!("{:?}", servers(login)).contains("hunter2"));
    }
}
