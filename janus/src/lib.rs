//! A client for Janus' WebSocket API (subprotocol `janus-protocol`), as far as a media node needs it: connect, one
//! session, handles on plugins, messages with and without SDP, trickled candidates, events.
//!
//! It knows no plugin. When the connection breaks, everything that waits fails with [`Error::Closed`] and all receivers of
//! events end: Janus forgets the session and its handles with it. What to set up again is the node's business.

mod client;
mod link;
mod message;

pub use client::{Client, Handle, Reply};
pub use message::{Event, Jsep};

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or none any more.
    #[error("Janus at {url}: {why}; is it running, and is its WebSocket transport on?")]
    Connect { url: String, why: String },
    /// The connection broke while the request was under way.
    #[error("the connection to Janus broke")]
    Closed,
    /// No answer in time.
    #[error("Janus did not answer '{request}' within {seconds} s")]
    Timeout { request: String, seconds: u64 },
    /// Janus itself refused (its own words).
    #[error("Janus: {reason} (code {code})")]
    Janus { code: i64, reason: String },
    /// A plugin refused (its own words).
    #[error("{plugin}: {reason} (code {code})")]
    Plugin { plugin: String, code: i64, reason: String },
    /// An answer that makes no sense.
    #[error("Janus answered '{request}' with {answer}")]
    Answer { request: String, answer: String },
}

impl Error {
    /// The code of Janus or the plugin, if it was one of them that refused.
    pub fn code(&self) -> Option<i64> {
        match self {
            Error::Janus { code, .. } | Error::Plugin { code, .. } => Some(*code),
            _ => None,
        }
    }
}
