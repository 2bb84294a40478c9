//! [`Admin`]: Janus' admin API, which says what there is. It changes nothing here.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;
use crate::client::object;
use crate::link::{Api, Link};

/// Longest wait for an answer: whoever asks for figures has more to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to the admin API.
#[derive(Debug)]
pub struct Admin {
    link: Link,
}

impl Admin {
    /// Connects to `ws://host:port/…`, where Janus has its admin WebSocket. Whether it takes the secret (`admin_secret` in
    /// janus.jcfg), the first request says.
    pub async fn connect(url: &str, secret: Option<&str>) -> Result<Admin, Error> {
        Ok(Admin { link: Link::open(url, Api::Admin, secret).await? })
    }

    /// What Janus knows of a handle, as JSON: its connection, its media, and what was sent and reported.
    pub async fn handle(&self, session: u64, handle: u64) -> Result<Value, Error> {
        let fields = object(json!({ "session_id": session, "handle_id": handle }));
        self.link.ask("handle_info", fields, PATIENCE).await.map(|reply| reply.data)
    }

    /// Asks for nothing but whether the secret is right.
    pub async fn check(&self) -> Result<(), Error> {
        self.link.ask("list_sessions", object(json!({})), PATIENCE).await.map(drop)
    }

    /// It can be asked still.
    pub fn is_alive(&self) -> bool {
        *self.link.alive().borrow()
    }
}
