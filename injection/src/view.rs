//! What the HTTP API shows.

use std::collections::BTreeMap;

use node::drain::DrainView;
use node::media::{Kind, Ssrc};
use node::repair::view::AnsweringView;
use node::topology::TopologyView;
use node::tree::RedisView;
use serde::Serialize;

use crate::publication::{Stage, Via};
use crate::session::Recipient;

/// `GET /status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Name.
    pub node_id: String,
    /// Always `injection`.
    pub node_type: &'static str,
    /// Tree.
    pub tree_id: String,
    /// A publisher could publish now, and every session is being sent.
    pub healthy: bool,
    /// Seconds since the start.
    pub uptime: u64,
    /// Ports.
    pub network: Network,
    /// The node's place in the tree.
    pub topology: TopologyView,
    /// How it stands with Redis; absent without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisView>,
    /// How it stands with Janus.
    pub janus: Janus,
    /// Sessions.
    pub sessions: SessionCounts,
    /// GStreamer.
    pub pipeline: Pipeline,
    /// Keyframe requests.
    pub keyframes: Keyframes,
    /// Packets that children have lost and asked for.
    pub repair: AnsweringView,
    /// How far the node is with giving away what it has; absent while it is not to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
    /// What is wrong, each a sentence; empty when healthy.
    pub problems: Vec<String>,
    /// What is worth knowing and keeps nobody from publishing.
    pub warnings: Vec<String>,
}

/// Where the node sends from and listens.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// HTTP.
    pub api: String,
    /// RTP port for audio; RTCP is the port after.
    pub audio_port: u16,
    /// RTP port for video; RTCP is the port after.
    pub video_port: u16,
    /// Where publishers publish, a session's name to be put after it.
    pub whip: String,
    /// Where encoders without WHIP publish; absent when they cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmp: Option<String>,
}

/// Janus.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Janus {
    /// Its WebSocket.
    pub url: String,
    /// Connected, and all rooms are there.
    pub connected: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Times that it was connected to since the start.
    pub connections: u64,
}

/// Sessions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionCounts {
    /// All.
    pub count: usize,
    /// Those with a publisher.
    pub publishing: usize,
}

/// GStreamer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// All run.
    pub running: bool,
    /// Times that one had to be started again.
    pub restarts: u64,
    /// Children that media is sent to.
    pub children_count: usize,
    /// Hosts whose name means nothing at present, and why.
    pub unresolved: BTreeMap<String, String>,
}

/// Keyframe requests since the start.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keyframes {
    /// That came from below.
    pub asked: u64,
    /// That were passed on to Janus.
    pub passed_on: u64,
}

/// The answer to `POST /session/create`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Name.
    pub session_id: String,
    /// Tree.
    pub tree_id: String,
    /// Where to publish.
    pub endpoint: String,
    /// Room in Janus.
    pub room_id: u64,
    /// SSRC of the audio.
    pub audio_ssrc: Ssrc,
    /// SSRC of the video.
    pub video_ssrc: Ssrc,
    /// Who gets it now.
    pub recipients: Vec<Recipient>,
}

/// `GET /sessions`.
#[derive(Clone, Debug, Serialize)]
pub struct Sessions {
    /// How many.
    pub count: usize,
    /// Sorted by name.
    pub sessions: Vec<Session>,
    /// Sessions of the tree whose injection is gone, each with its name.
    pub orphans: BTreeMap<String, String>,
}

/// `GET /session/{sid}`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// What it was created with.
    #[serde(flatten)]
    pub created: Created,
    /// The recipients are the node's children.
    pub live_recipients: bool,
    /// The node.
    pub injection_node_id: String,
    /// Always true: those that have ended are no longer shown.
    pub active: bool,
    /// ms since 1970.
    pub created_at: u64,
    /// ms since 1970.
    pub updated_at: u64,
    /// Whoever publishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
    /// Publications since the node's start.
    pub publications: u64,
    /// What went through.
    pub streams: [Stream; 2],
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whoever publishes to a session.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publisher {
    /// Where it stands.
    pub state: Stage,
    /// Seconds since it came.
    pub seconds: u64,
    /// How it comes.
    pub via: Via,
    /// Its codecs.
    pub codecs: Vec<String>,
}

/// Audio or video of a session.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// `audio` or `video`.
    pub kind: Kind,
    /// SSRC in the tree.
    pub ssrc: Ssrc,
    /// Packets that Janus forwarded.
    pub received: u64,
    /// Packets sent, each counted once.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that were not the session's.
    pub strangers: u64,
    /// Addresses that get it.
    pub recipients: usize,
}
