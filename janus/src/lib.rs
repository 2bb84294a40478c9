//! A client for Janus' WebSocket API (subprotocol `janus-protocol`), as far as a media node needs it: connect, one
//! session, handles on plugins, messages with and without SDP, trickled candidates, events; and of its admin API
//! (`janus-admin-protocol`) what is known of a handle.
//!
//! It knows no plugin. When the connection breaks, everything that waits fails with [`Error::Closed`] and all receivers of
//! events end: Janus forgets the session and its handles with it. What to set up again is the node's business.
#![warn(missing_docs)]

mod admin;
mod candidates;
mod client;
mod link;
mod message;

pub use admin::Admin;
pub use client::{Client, Handle, Reply, info};
pub use message::{Event, Jsep};

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or none any more.
    #[error("Janus at {url}: {why}; is it running, and is its WebSocket transport on?")]
    Connect {
        /// Where it was looked for, `ws://HOST:PORT`.
        url: String,
        /// What the system or the server said.
        why: String,
    },
    /// The connection broke while the request was under way.
    #[error("the connection to Janus broke")]
    Closed,
    /// No answer in time.
    #[error("Janus did not answer '{request}' within {seconds} s")]
    Timeout {
        /// The request's name, as `create` or `message`.
        request: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Janus itself refused (its own words).
    #[error("Janus: {reason} (code {code})")]
    Janus {
        /// Of Janus' own list (`JANUS_ERROR_…`).
        code: i64,
        /// In Janus' words.
        reason: String,
    },
    /// A plugin refused (its own words).
    #[error("{plugin}: {reason} (code {code})")]
    Plugin {
        /// The plugin's name, as `janus.plugin.videoroom`.
        plugin: String,
        /// Of the plugin's list (426: no such room).
        code: i64,
        /// In the plugin's words.
        reason: String,
    },
    /// An answer that makes no sense.
    #[error("Janus answered '{request}' with {answer}")]
    Answer {
        /// The request's name, as `create` or `message`.
        request: String,
        /// What came, as JSON.
        answer: String,
    },
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
