//! Janus' Streaming plugin: mountpoints, and viewers' handles.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use janus::{Client, Error, Event, Handle, Jsep};
use node::media::{Codec, PerKind};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::config::JanusConfig;
use crate::mountpoints::Mountpoint;
use crate::portpool::Pair;
use crate::server::Ages;

/// The plugin.
pub const PLUGIN: &str = "janus.plugin.streaming";
/// Error codes of the plugin: what is asked for cannot be made (it exists, or its ports are not to be had), or does not exist.
const EXISTS: i64 = 456;
const NO_SUCH: i64 = 455;
/// "Invalid SDP", of Janus itself.
const BAD_SDP: i64 = 465;
/// What is asked for cannot be.
const INVALID_ELEMENT: i64 = 454;

/// A connection to Janus with a handle for mountpoints.
#[derive(Clone, Debug)]
pub struct Streaming {
    client: Client,
    handle: Handle,
    config: JanusConfig,
    /// Where Janus takes media.
    pub host: IpAddr,
    /// What the mountpoints of this node are known by.
    mark: String,
    /// Mountpoints of which Janus has not said in time whether they are made, or ended: it may have them, and their ports. Those
    /// of another connection are tidied up when this one comes up.
    doubtful: Arc<Mutex<BTreeSet<u64>>>,
}

/// A viewer's side of Janus.
pub struct Watching {
    /// Its handle.
    pub handle: Handle,
    /// What happens to it.
    pub events: mpsc::UnboundedReceiver<Event>,
    /// What Janus offers.
    pub offer: String,
}

impl Streaming {
    /// Connects.
    pub async fn connect(config: &JanusConfig, node_id: &str) -> Result<Streaming, Error> {
        let refused = |why: String| Error::Connect { url: config.url.clone(), why };
        let host = node::resolve::server(&config.host, config.port).await.map_err(refused)?.ip();
        let client =
            Client::connect(&config.url, config.api_secret.as_ref().map(|secret| secret.reveal())).await?;
        let (handle, _events) = client.attach(PLUGIN).await?;
        let mark = format!("media-tree {node_id}");
        Ok(Streaming { client, handle, config: config.clone(), host, mark, doubtful: Arc::default() })
    }

    /// Ends when Janus is gone.
    pub async fn closed(&self) {
        self.client.closed().await;
    }

    /// Destroys what an earlier run of this node has left in Janus: nobody watches it any more, and it holds ports.
    pub async fn tidy(&self) -> Result<usize, Error> {
        let ours = self.ours().await?;
        for id in &ours {
            self.destroy(*id).await?;
        }
        Ok(ours.len())
    }

    /// Destroys what Janus has of mountpoints that are in doubt. Until it has, none is to be made: it would be refused its own
    /// number, or its own ports.
    pub async fn settle(&self) -> Result<(), Error> {
        let doubtful = self.doubtful().clone();
        if doubtful.is_empty() {
            return Ok(());
        }
        for id in self.ours().await?.intersection(&doubtful) {
            self.destroy(*id).await?;
            tracing::info!(
                "mountpoint {id}, which Janus made or kept without an answer in time, was taken out"
            );
        }
        self.doubtful().retain(|id| !doubtful.contains(id));
        Ok(())
    }

    /// The mountpoints of this node that Janus has.
    async fn ours(&self) -> Result<BTreeSet<u64>, Error> {
        let reply = self.handle.message(json!({ "request": "list" }), None).await?;
        let all = reply.data["list"].as_array().into_iter().flatten();
        let ours = all.filter(|entry| entry["metadata"] == json!(self.mark));
        Ok(ours.filter_map(|entry| entry["id"].as_u64()).collect())
    }

    fn doubtful(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that makes or ends a mountpoint; without an answer in time nobody knows whether it has.
    async fn decide(&self, id: u64, body: Value) -> Result<(), Error> {
        let answer = self.handle.message(body, None).await;
        if let Err(Error::Timeout { .. }) = answer {
            self.doubtful().insert(id);
        }
        answer.map(drop)
    }

    /// Makes a mountpoint that takes its streams by these ports.
    pub async fn create(&self, mountpoint: &Mountpoint, ports: Pair) -> Result<(), Error> {
        let codec = mountpoint.codec;
        let mut audio = json!({ "type": "audio", "mid": "a", "codec": "opus", "pt": Codec::Opus.payload_type(),
            "port": ports.audio });
        let mut video = json!({ "type": "video", "mid": "v", "codec": codec.name(), "pt": codec.payload_type(),
            "port": ports.video, "rtcpport": ports.rtcp });
        for (media, codec) in [(&mut audio, Codec::Opus), (&mut video, Codec::Video(codec))] {
            if let Some(fmtp) = codec.fmtp() {
                media["fmtp"] = json!(fmtp);
            }
        }
        if self.host.is_loopback() {
            for media in [&mut audio, &mut video] {
                media["iface"] = json!(self.host.to_string());
            }
        }
        let body = self.with_secrets(json!({
            "request": "create", "type": "rtp", "id": mountpoint.id, "name": mountpoint.session,
            "description": mountpoint.session, "metadata": self.mark, "permanent": false, "media": [audio, video],
        }));
        self.decide(mountpoint.id, body).await
    }

    /// Ends a mountpoint. One that is not there has ended.
    pub async fn destroy(&self, id: u64) -> Result<(), Error> {
        let body = self.with_secrets(json!({ "request": "destroy", "id": id }));
        match self.decide(id, body).await {
            Err(error) if error.code() == Some(NO_SUCH) => Ok(()),
            result => result,
        }
    }

    /// All mountpoints, each with the time since its last packets.
    pub async fn list(&self) -> Result<BTreeMap<u64, Ages>, Error> {
        let reply = self.handle.message(json!({ "request": "list" }), None).await?;
        let entries = reply.data["list"].as_array().into_iter().flatten();
        Ok(entries.filter_map(|entry| Some((entry["id"].as_u64()?, ages(entry)))).collect())
    }

    /// Somebody wants to watch: gives what Janus offers.
    pub async fn watch(&self, id: u64) -> Result<Watching, Error> {
        let (handle, events) = self.client.attach(PLUGIN).await?;
        match handle.message(json!({ "request": "watch", "id": id }), None).await {
            Ok(reply) => match reply.jsep {
                Some(offer) => Ok(Watching { handle, events, offer: offer.sdp }),
                None => {
                    let _ = handle.detach().await;
                    Err(Error::Answer { request: "watch".to_owned(), answer: reply.data.to_string() })
                }
            },
            Err(error) => {
                let _ = handle.detach().await;
                Err(error)
            }
        }
    }

    fn with_secrets(&self, mut body: Value) -> Value {
        if let Some(secret) = &self.config.mountpoint_secret {
            body["secret"] = json!(secret.reveal());
        }
        if let Some(key) = &self.config.admin_key {
            body["admin_key"] = json!(key.reveal());
        }
        body
    }
}

/// Whether Janus takes our secrets: it is asked for a mountpoint that cannot be, which it says only to those who may have one.
pub async fn admits(config: &JanusConfig) -> Result<(), Error> {
    let client =
        Client::connect(&config.url, config.api_secret.as_ref().map(|secret| secret.reveal())).await?;
    let (handle, _events) = client.attach(PLUGIN).await?;
    let mut body = json!({ "request": "create", "type": "none" });
    if let Some(key) = &config.admin_key {
        body["admin_key"] = json!(key.reveal());
    }
    match handle.message(body, None).await {
        Err(Error::Plugin { code: INVALID_ELEMENT, .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Hands Janus a viewer's answer.
pub async fn start(handle: &Handle, answer: String) -> Result<(), Error> {
    let jsep = Jsep { kind: "answer".to_owned(), sdp: answer };
    handle.message(json!({ "request": "start" }), Some(jsep)).await.map(drop)
}

/// Whether Janus refused because something exists already.
pub fn is_clash(error: &Error) -> bool {
    error.code() == Some(EXISTS) && error.to_string().contains("already exists")
}

/// Whether Janus cannot make sense of a description.
pub fn is_bad_sdp(error: &Error) -> bool {
    matches!(error, Error::Janus { code: BAD_SDP, .. })
}

/// Whether Janus refused because it cannot have one of the ports.
pub fn is_port_taken(error: &Error) -> bool {
    error.code() == Some(EXISTS) && error.to_string().contains("source stream")
}

fn ages(entry: &Value) -> Ages {
    let media = entry["media"].as_array();
    PerKind::from_fn(|kind| {
        let of = media.into_iter().flatten().find(|media| media["type"] == json!(kind))?;
        of["age_ms"].as_u64().map(Duration::from_millis)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_by_kind() {
        let entry = json!({ "id": 1, "media": [{ "type": "video", "age_ms": 7 }, { "type": "audio" }] });
        assert_eq!(ages(&entry), PerKind { audio: None, video: Some(Duration::from_millis(7)) });
        assert_eq!(ages(&json!({ "id": 1 })), PerKind::default());
    }

    #[test]
    fn a_port_that_is_taken_is_no_clash_of_names() {
        let error =
            |reason: &str| Error::Plugin { plugin: PLUGIN.to_owned(), code: 456, reason: reason.to_owned() };
        assert!(is_clash(&error("A stream with the provided ID already exists")));
        let taken = error("Can't add 'rtp' stream, error creating data source stream");
        assert!(!is_clash(&taken) && is_port_taken(&taken));
        assert!(!is_port_taken(&error("A stream with the provided ID already exists")));
    }
}
