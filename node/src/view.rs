//! Parts of the HTTP API that look the same at every node.

use serde::{Deserialize, Serialize};

use crate::record::NodeType;

/// `GET /topology`, and the answer to `POST /refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// Node's name.
    pub node_id: String,
    /// Its type.
    pub node_type: NodeType,
    /// Parent, when known.
    pub parent: Option<String>,
    /// Children, sorted.
    pub children: Vec<String>,
}

/// The fields of `/status` that scripts read which were written when every node was a GStreamer pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gstreamer {
    /// Audio is being forwarded or could be.
    pub audio_running: bool,
    /// The same for video.
    pub video_running: bool,
    /// How often forwarding of audio was interrupted since the start; a change of children never does.
    pub audio_restarts: u64,
    /// The same for video.
    pub video_restarts: u64,
}
