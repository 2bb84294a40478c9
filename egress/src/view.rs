//! What HTTP shows: the shapes of the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use node::drain::DrainView;
use node::media::{Ssrc, VideoCodec};
use node::repair::view::AskingView;
use node::topology::TopologyView;
use node::tree::RedisView;
use node::view::Gstreamer;
use prometheus::Histogram;
use serde::{Serialize, Serializer};

use crate::lifecycle::Standing;
use crate::portpool;
use crate::quality::{Lately, Sums};
use crate::server::Figures;

/// `GET /status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Node's name.
    pub node_id: String,
    /// Always `egress`.
    pub node_type: &'static str,
    /// Tree that the node belongs to.
    pub tree_id: String,
    /// True when it can do its job; sessions that cannot be shown are warnings.
    pub healthy: bool,
    /// Seconds since the start.
    pub uptime: u64,
    /// Where media and requests are taken.
    pub network: Network,
    /// The node's place in the tree.
    pub topology: TopologyView,
    /// Whether media can reach it: `attached`, `orphaned`, `cut off` or `released`.
    #[serde(serialize_with = "by_name")]
    pub standing: Standing,
    /// How it stands with Redis; absent for an egress run without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisView>,
    /// The pipelines.
    pub gstreamer: Gstreamer,
    /// What serves viewers: `janus` or `native`.
    pub server: &'static str,
    /// How it stands with Janus, if it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub janus: Option<JanusView>,
    /// The native server, if it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeView>,
    /// Number of mountpoints, and how many of them have media.
    pub mountpoints: Counted,
    /// Viewers that are connected, and that are about to be.
    pub viewers: Watching,
    /// The ports, if mountpoints have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_pool: Option<portpool::View>,
    /// Where media is taken from: prefixes, or `any`.
    pub sources: Vec<String>,
    /// Packets that were dropped, by kind and reason.
    pub dropped: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Requests for keyframes.
    pub keyframes: Keyframes,
    /// What became of packets that were missing; absent if none is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<AskingView>,
    /// How far the node is with giving away what it has; absent while it is not to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
    /// What is wrong, each a sentence; empty when healthy.
    pub problems: Vec<String>,
    /// What is worth knowing and keeps nobody from watching.
    pub warnings: Vec<String>,
}

fn by_name<S: Serializer>(standing: &Standing, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(standing.name())
}

/// Where media and requests are taken.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Host that others send media to.
    pub host: Option<String>,
    /// HTTP port.
    pub port: u16,
    /// RTP port for audio; RTCP is the port after.
    pub audio_port: u16,
    /// RTP port for video; RTCP is the port after.
    pub video_port: u16,
}

/// How it stands with Janus.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JanusView {
    /// Where it is.
    pub url: String,
    /// There is a connection.
    pub connected: bool,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How often it came back.
    pub returns: u64,
}

/// The native server.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NativeView {
    /// Port of all viewers' media, UDP and TCP.
    pub media_port: u16,
    /// Threads that send media.
    pub media_threads: usize,
    /// Packets and connections that were dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// Mountpoints.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// All.
    pub count: usize,
    /// With media.
    pub active: usize,
}

/// Viewers.
#[derive(Clone, Debug, Serialize)]
pub struct Watching {
    /// Connected.
    pub connected: usize,
    /// About to be.
    pub connecting: usize,
    /// Connected since the start.
    pub served: u64,
}

/// Requests for keyframes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keyframes {
    /// By viewers, and for new ones.
    pub asked: u64,
    /// Passed on up the tree.
    pub passed_on: u64,
}

/// `GET /mountpoint/{sid}`, and what creating one answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountpointView {
    /// Session.
    pub session_id: String,
    /// Number in the server.
    pub mountpoint_id: u64,
    /// Where players find it.
    pub whep_url: String,
    /// Where Janus takes audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub janus_audio_port: Option<u16>,
    /// Where Janus takes video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub janus_video_port: Option<u16>,
    /// The rest; absent in the answer to a creation.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub more: Option<Details>,
}

/// What else there is to say of a mountpoint.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// SSRC of the audio.
    pub audio_ssrc: Ssrc,
    /// SSRC of the video.
    pub video_ssrc: Ssrc,
    /// Codec of the video.
    pub video_codec: VideoCodec,
    /// RTP really arrives.
    pub active: bool,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Viewers that are connected.
    pub viewers: usize,
    /// Made for a session of the tree, without being asked for.
    #[serde(rename = "byItself")]
    pub automatic: bool,
    /// ms since 1970.
    pub created_at: u64,
    /// Packets that came: audio, video.
    pub packets: [u64; 2],
    /// How often the streams began anew: audio, video.
    pub republished: [u64; 2],
}

/// `GET /viewers`.
#[derive(Clone, Debug, Serialize)]
pub struct Viewers {
    /// How many.
    pub count: usize,
    /// Those whose connection is up, by session.
    pub viewers: Vec<ViewerView>,
}

/// A viewer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewerView {
    /// What it watches.
    pub session_id: String,
    /// What webhooks call it.
    pub viewer_id: String,
    /// What it says it plays with (`User-Agent`).
    pub player: String,
    /// For how long its connection has been up.
    pub seconds: u64,
    /// What is known of its connection: by the native server, or by a Janus whose admin API is asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub figures: Option<FiguresView>,
}

/// What is known of a viewer's connection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FiguresView {
    /// Packets sent to it, retransmissions included.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets sent again because it asked; a Janus does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resent: Option<u64>,
    /// Packets that it asked for and that were not to be had any more; a Janus does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<u64>,
    /// Packets that it lost by its own reports, before retransmission.
    pub lost: u64,
    /// Packets that could not be sent to it; a Janus does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Sent to it lately: bit/s.
    pub bitrate: u64,
    /// Lost lately, of what was sent: 0 to 1.
    pub loss: f64,
    /// Round trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Jitter of video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// What its side says it can take: bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<u64>,
}

impl FiguresView {
    /// What is known, and what was so lately.
    pub fn new(figures: &Figures, lately: Lately) -> FiguresView {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        FiguresView {
            packets: figures.packets,
            bytes: figures.bytes,
            resent: figures.repairs.map(|repairs| repairs.resent),
            unanswered: figures.repairs.map(|repairs| repairs.unanswered),
            lost: figures.lost,
            dropped: figures.repairs.map(|repairs| repairs.dropped),
            bitrate: lately.bitrate,
            loss: lately.loss,
            rtt_ms: figures.rtt.map(ms),
            jitter_ms: figures.jitter.map(ms),
            estimate: figures.estimate,
        }
    }
}

/// `GET /mountpoints`.
#[derive(Clone, Debug, Serialize)]
pub struct Mountpoints {
    /// How many.
    pub count: usize,
    /// Sorted by session.
    pub mountpoints: Vec<MountpointView>,
}

/// One look at everything, for a scrape.
#[derive(Clone, Debug)]
pub struct Sample {
    /// `GET /status`.
    pub status: Status,
    /// `GET /mountpoints`.
    pub mountpoints: Vec<MountpointView>,
    /// What the sessions of these have counted, before they had these mountpoints, too: packets of audio, of video; how often each
    /// began anew.
    pub counted: Vec<[u64; 4]>,
    /// Packets that were taken from the parent.
    pub taken: Option<(String, u64)>,
    /// With standby parents: each of its parents, and whether media comes from it.
    pub heard: Vec<(String, bool)>,
    /// Packets that the kernel dropped because they were not read in time: audio, video.
    pub overflow: [u64; 2],
    /// What became of packets that were missing, if any is asked for.
    pub repair: Option<crate::repair::Figures>,
    /// The same of each parent.
    pub repair_of_parents: Vec<node::repair::OfParent>,
    /// Bytes of the smallest receive buffer.
    pub receive_buffer: Option<usize>,
    /// Viewers who see nothing.
    pub dark: crate::state::Dark,
    /// Keyframes that were asked for.
    pub keyframes: crate::keyframes::View,
    /// What our own page says.
    pub reports: crate::reports::Reports,
    /// Viewers, those that join included, and the most that there may be.
    pub places: [usize; 2],
    /// RTP packets and bytes that had a route: audio, video.
    pub received: [(u64, u64); 2],
    /// Who was let in, and who was not.
    pub admissions: node::auth::Counts,
    /// What became of webhooks.
    pub told: node::webhook::Told,
    /// How many came in.
    pub capacity: crate::capacity::View,
    /// How joins went.
    pub joins: crate::joins::View,
    /// Viewers who were told to go elsewhere, and who were let go.
    pub moved: [u64; 2],
    /// How viewers fare, if the server knows.
    pub quality: Option<(Sums, [Histogram; 3])>,
    /// What is taken of HTTP.
    pub http: node::http::Taken,
    /// Viewers sent to an egress.
    pub redirects: node::watch::Redirects,
}
