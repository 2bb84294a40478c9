//! [`Client`] and [`Handle`]: requests, each with its answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::candidates::with_one_at_least;
use crate::link::{Api, Link};
use crate::message::{Event, Jsep};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Janus ends a session that is silent for 60 s.
const KEEPALIVE: Duration = Duration::from_secs(25);

/// What Janus answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// `data.id`, of a new session or handle.
    pub id: Option<u64>,
    /// The plugin's own answer.
    pub data: Value,
    /// A session description, if there is one in it.
    pub jsep: Option<Jsep>,
}

/// What a Janus says of itself, as JSON: its version, plugins and settings. It wants no secret for that.
pub async fn info(url: &str) -> Result<Value, Error> {
    Link::open(url, Api::Janus, None).await?.ask("info", Map::new(), PATIENCE).await.map(|reply| reply.data)
}

/// A connection with one session on it. Dropping all clones of it ends the session.
#[derive(Clone, Debug)]
pub struct Client {
    link: Arc<Link>,
    session: u64,
}

impl Client {
    /// Connects to `ws://host:port/…` and opens a session.
    pub async fn connect(url: &str, api_secret: Option<&str>) -> Result<Client, Error> {
        let link = Arc::new(Link::open(url, Api::Janus, api_secret).await?);
        let reply = link.ask("create", Map::new(), PATIENCE).await?;
        let session =
            reply.id.ok_or(Error::Answer { request: "create".to_owned(), answer: reply.data.to_string() })?;
        let client = Client { link, session };
        tokio::spawn(keep_alive(Arc::downgrade(&client.link), session));
        Ok(client)
    }

    /// Attaches to a plugin, for instance `janus.plugin.videoroom`.
    pub async fn attach(&self, plugin: &str) -> Result<(Handle, mpsc::UnboundedReceiver<Event>), Error> {
        let reply = self.ask("attach", object(json!({ "plugin": plugin }))).await?;
        let id = reply
            .id
            .ok_or(Error::Answer { request: format!("attach {plugin}"), answer: reply.data.to_string() })?;
        let events = self.link.listen(id);
        Ok((Handle { client: self.clone(), id }, events))
    }

    /// Ends when the connection or the session is gone.
    pub async fn closed(&self) {
        let mut alive: watch::Receiver<bool> = self.link.alive();
        // An error means that the link's task is gone, which is the same.
        let _ = alive.wait_for(|alive| !alive).await;
    }

    async fn ask(&self, what: &str, mut fields: Map<String, Value>) -> Result<Reply, Error> {
        fields.insert("session_id".to_owned(), json!(self.session));
        self.link.ask(what, fields, PATIENCE).await
    }
}

/// A handle on a plugin.
#[derive(Clone, Debug)]
pub struct Handle {
    client: Client,
    id: u64,
}

impl Handle {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The number of its session.
    pub fn session(&self) -> u64 {
        self.client.session
    }

    /// Sends the plugin a message, with a session description if need be, and waits for its answer. A description without any
    /// candidate that Janus can use gets one (`candidates.rs`).
    pub async fn message(&self, body: Value, jsep: Option<Jsep>) -> Result<Reply, Error> {
        let mut fields = object(json!({ "body": body, "handle_id": self.id }));
        if let Some(mut jsep) = jsep {
            jsep.sdp = with_one_at_least(jsep.sdp);
            fields.insert("jsep".to_owned(), json!(jsep));
        }
        self.client.ask("message", fields).await
    }

    /// Passes on a candidate as a browser gives it, or `{"completed":true}`.
    pub async fn trickle(&self, candidate: Value) -> Result<(), Error> {
        let fields = object(json!({ "candidate": candidate, "handle_id": self.id }));
        self.client.ask_acknowledged("trickle", fields).await
    }

    /// Ends the peer connection; the handle stays.
    pub async fn hang_up(&self) -> Result<(), Error> {
        self.client.ask("hangup", object(json!({ "handle_id": self.id }))).await.map(drop)
    }

    /// Ends the handle.
    pub async fn detach(&self) -> Result<(), Error> {
        self.client.link.forget(self.id);
        self.client.ask("detach", object(json!({ "handle_id": self.id }))).await.map(drop)
    }
}

impl Client {
    /// For requests whose only answer is an `ack`: sent, and not waited for.
    async fn ask_acknowledged(&self, what: &str, mut fields: Map<String, Value>) -> Result<(), Error> {
        fields.insert("session_id".to_owned(), json!(self.session));
        self.link.tell(what, fields).await
    }
}

async fn keep_alive(link: std::sync::Weak<Link>, session: u64) {
    loop {
        tokio::time::sleep(KEEPALIVE).await;
        let Some(link) = link.upgrade() else { return };
        if link.tell("keepalive", object(json!({ "session_id": session }))).await.is_err() {
            return;
        }
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
