//! What `status`, `children` and `streams` show, as the HTTP API sends it and `--json` prints it. Built by the daemon,
//! or by the command line from the pinned maps when the daemon is down.

#[cfg(test)]
pub mod samples;

use std::collections::BTreeMap;

use node::drain::DrainView;
use node::topology::TopologyView;
use node::tree::RedisView;
pub use node::view::{Gstreamer, Topology};
use serde::{Deserialize, Serialize};

use crate::mode::Mode;

/// `GET /status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Node's name.
    pub node_id: String,
    /// Always `relay`.
    pub node_type: String,
    /// Tree that the node belongs to.
    #[serde(default)]
    pub tree_id: String,
    /// True when media for this relay would be forwarded to every child.
    pub healthy: bool,
    /// False when this was read from the pinned maps because no daemon answered.
    pub daemon: bool,
    /// Seconds since the data plane was attached.
    pub uptime: u64,
    /// Listening addresses and ports.
    pub network: Network,
    /// Where media is taken from: prefixes of addresses, or `any`.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The node's place in the tree.
    #[serde(default)]
    pub topology: TopologyView,
    /// How it stands with Redis; absent for a relay run without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisView>,
    /// For scripts written for the GStreamer relay.
    pub gstreamer: Gstreamer,
    /// Who is forwarded to.
    pub forwarding: Forwarding,
    /// The data plane.
    pub dataplane: Dataplane,
    /// What was lost on the way here or to children, and was sent again; absent without the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// How far the relay is with giving away its children; absent while it is not to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
    /// What is wrong, each a sentence; empty when healthy.
    pub problems: Vec<String>,
    /// What is worth knowing and keeps nobody from getting media.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// RTP packets that were lost between this relay and its neighbours, since the daemon started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// Did not come in their place.
    pub missing: u64,
    /// Of these, came by themselves.
    pub late: u64,
    /// Of these, were asked for.
    pub asked: u64,
    /// Came because they had been asked for.
    pub repaired: u64,
    /// Did not come in time, or were too many to be asked for.
    pub given_up: u64,
    /// Were not asked for any more: a keyframe had come.
    pub useless: u64,
    /// Are waited for now.
    pub outstanding: usize,
    /// From a question to its answer, ms; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// Were sent again to children.
    pub answered: u64,
    /// Were asked for by others and not sent, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Where the relay listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Local addresses that media is taken on.
    pub addresses: Vec<String>,
    /// RTP port for audio; RTCP is the port after.
    pub audio_port: u16,
    /// RTP port for video; RTCP is the port after.
    pub video_port: u16,
}

/// The children by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forwarding {
    /// Number of children.
    pub children_count: usize,
    /// Their names, sorted.
    pub children: Vec<String>,
}

/// The data plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dataplane {
    /// The path in use.
    pub mode: Mode,
    /// Why this one.
    pub mode_reason: String,
    /// Interface attached to.
    pub interface: String,
    /// Changes of fan-out sets since the data plane was attached.
    pub generation: u64,
    /// Programs attached.
    pub programs: Vec<String>,
    /// RTP packets of all streams.
    pub packets: u64,
    /// RTP bytes of all streams.
    pub bytes: u64,
    /// Packets and copies that were lost, by reason; reasons that never happened are left out.
    pub drops: BTreeMap<String, u64>,
    /// Packets that are no media for this relay and went on to the host's network stack, untouched, by reason. In
    /// userspace mode: that the sockets got besides media.
    #[serde(default)]
    pub passed_to_stack: BTreeMap<String, u64>,
    /// What drivers made of the copies, by interface (xdp only).
    pub egress: BTreeMap<String, Egress>,
    /// Packets that the receive socket dropped before the relay saw them (userspace only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_overflow: Option<u64>,
}

/// Copies handed to one driver.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Egress {
    /// Taken.
    pub sent: u64,
    /// Refused.
    pub refused: u64,
}

/// `GET /children`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Children {
    /// Sorted by name.
    pub children: Vec<Child>,
}

/// State of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChildState {
    /// Gets its copies.
    Forwarding,
    /// The next hop's MAC is being asked for.
    Resolving,
    /// Cannot be reached; `problem` says why.
    Unreachable,
}

/// One child.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Child {
    /// Name.
    pub name: String,
    /// Host as it was given.
    pub host: String,
    /// RTP port for audio.
    pub audio_port: u16,
    /// RTP port for video.
    pub video_port: u16,
    /// State.
    pub state: ChildState,
    /// Why it is not forwarded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Address that the host resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Egress interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Next hop's MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Copies handed to the egress interface, or to the socket.
    pub packets: u64,
    /// RTP and RTCP bytes in them.
    pub bytes: u64,
    /// Copies that could not be made or sent.
    pub errors: u64,
    /// Those of them that were larger than the MTU of the route to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub too_big: u64,
    /// Its registration in Redis has expired; it is forwarded to all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// It vanished because Redis lost its data; it is forwarded to until the grace is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// `GET /streams`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Streams {
    /// Sorted by port and SSRC.
    pub streams: Vec<Stream>,
}

/// One stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// RTP port it comes in on.
    pub port: u16,
    /// SSRC.
    pub ssrc: u32,
    /// `audio` or `video`.
    pub kind: String,
    /// Session that the SSRC belongs to, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// `address:port` of the sender.
    pub source: String,
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes.
    pub bytes: u64,
    /// RTCP packets.
    pub rtcp_packets: u64,
    /// Lost before the relay, from sequence numbers (RFC 3550 appendix A.3).
    pub lost: u64,
    /// Came because they had been asked for: without that they would be lost. Without the daemon it is not known: 0.
    #[serde(default)]
    pub repaired: u64,
    /// Came late.
    pub reordered: u64,
    /// Came twice.
    pub duplicates: u64,
    /// Interarrival jitter in ms (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// ms since the last packet.
    pub last_seen_ms: u64,
    /// Restarts of the sequence.
    pub restarts: u32,
    /// Children of the stream's own fan-out set; absent when it has the set of all children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<String>>,
}

/// `POST /children`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewChild {
    /// Name, unique.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// RTP port for audio.
    pub audio_port: u16,
    /// RTP port for video.
    pub video_port: u16,
}

/// `POST /routes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// SSRC.
    pub ssrc: u32,
    /// RTP port that the stream comes in on.
    pub port: u16,
    /// The stream's own children; absent: back to the set of all children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<String>>,
}
