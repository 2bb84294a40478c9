//! What HTTP shows.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use node::http::{Base, Failed};
use node::record::NodeType;
use node::topology::TopologyView;
use node::tree::{RedisView, TreeView};
use node::view::{Gstreamer, Topology};
use serde::Serialize;

use super::{Egress, locked};
use crate::codec::{Kind, VideoCodec};
use crate::mountpoints::Mountpoint;
use crate::portpool;

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
    /// True when viewers would see every session of the tree.
    pub healthy: bool,
    /// Seconds since the start.
    pub uptime: u64,
    /// Where media and requests are taken.
    pub network: Network,
    /// The node's place in the tree.
    pub topology: TopologyView,
    /// How it stands with Redis; absent for an egress run without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisView>,
    /// The pipelines.
    pub gstreamer: Gstreamer,
    /// How it stands with Janus.
    pub janus: JanusView,
    /// Number of mountpoints, and how many of them have media.
    pub mountpoints: Counted,
    /// Viewers that are connected, and that are about to be.
    pub viewers: Watching,
    /// The ports.
    pub port_pool: portpool::View,
    /// Packets that were dropped, by kind and reason.
    pub dropped: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Requests for keyframes.
    pub keyframes: Keyframes,
    /// What is wrong, each a sentence; empty when healthy.
    pub problems: Vec<String>,
    /// What is worth knowing and keeps nobody from watching.
    pub warnings: Vec<String>,
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
    /// By Janus, and for new viewers.
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
    /// Number in Janus.
    pub mountpoint_id: u64,
    /// Where players find it.
    pub whep_url: String,
    /// Where Janus takes audio.
    pub janus_audio_port: u16,
    /// Where Janus takes video.
    pub janus_video_port: u16,
    /// The rest; absent in the answer to a creation.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub more: Option<Details>,
}

/// What else there is to say of a mountpoint.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// SSRC of the audio.
    pub audio_ssrc: u32,
    /// SSRC of the video.
    pub video_ssrc: u32,
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
    pub by_itself: bool,
    /// ms since 1970.
    pub created_at: u64,
    /// Packets that came: audio, video.
    pub packets: [u64; 2],
    /// How often the streams began anew: audio, video.
    pub republished: [u64; 2],
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
    /// RTP packets and bytes that had a route: audio, video.
    pub received: [(u64, u64); 2],
}

impl Base for Egress {
    type Status = Status;

    async fn status(&self) -> Status {
        self.status_now()
    }

    async fn topology(&self) -> Topology {
        let topology = self.tree_view().topology;
        Topology {
            node_id: self.config.node.node_id.clone(),
            node_type: NodeType::Egress,
            parent: topology.parent,
            children: topology.children,
        }
    }

    async fn refresh(&self) -> Result<(), Failed> {
        if let Some(tree) = self.tree.get() {
            tree.refresh().await.map_err(|why| Failed(StatusCode::SERVICE_UNAVAILABLE, why))?;
        }
        self.reconcile().await;
        Ok(())
    }

    async fn metrics(&self) -> Result<String, Failed> {
        crate::metrics::text(&self.sample()).map_err(|error| {
            Failed(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}"))
        })
    }

    async fn problems(&self) -> Vec<String> {
        self.troubles()
    }
}

impl Egress {
    /// One look at everything.
    pub fn sample(&self) -> Sample {
        let received = Kind::BOTH.map(|kind| {
            let counters = self.lane(kind).counters();
            (counters.packets.load(Ordering::Relaxed), counters.bytes.load(Ordering::Relaxed))
        });
        Sample { status: self.status_now(), mountpoints: self.mountpoints().mountpoints, received }
    }

    /// `GET /mountpoints`.
    pub fn mountpoints(&self) -> Mountpoints {
        let all: Vec<Mountpoint> = self.books().all().cloned().collect();
        let mountpoints: Vec<MountpointView> =
            all.iter().map(|mountpoint| self.detailed(mountpoint)).collect();
        Mountpoints { count: mountpoints.len(), mountpoints }
    }

    /// `GET /mountpoint/{sid}`.
    pub fn detailed(&self, mountpoint: &Mountpoint) -> MountpointView {
        let activity = self.judge(mountpoint);
        let routes = [Kind::Audio, Kind::Video].map(|kind| {
            let ssrc = mountpoint.ssrcs[usize::from(kind == Kind::Video)];
            self.lane(kind).routes().get(ssrc)
        });
        let more = Details {
            audio_ssrc: mountpoint.ssrcs[0],
            video_ssrc: mountpoint.ssrcs[1],
            video_codec: mountpoint.codec,
            active: activity.active,
            reason: activity.reason,
            viewers: self.viewers().of(&mountpoint.session),
            by_itself: mountpoint.by_itself,
            created_at: mountpoint.created,
            packets: routes.each_ref().map(|route| route.as_ref().map_or(0, |route| route.packets())),
            republished: routes.each_ref().map(|route| route.as_ref().map_or(0, |route| route.republished())),
        };
        MountpointView { more: Some(more), ..self.brief(mountpoint) }
    }

    /// What creating a mountpoint answers.
    pub fn brief(&self, mountpoint: &Mountpoint) -> MountpointView {
        MountpointView {
            session_id: mountpoint.session.clone(),
            mountpoint_id: mountpoint.id,
            whep_url: format!("{}/endpoint/{}", self.config.whep_path, mountpoint.session),
            janus_audio_port: mountpoint.ports.audio,
            janus_video_port: mountpoint.ports.video,
            more: None,
        }
    }

    /// `GET /portpool`.
    pub fn port_pool(&self) -> portpool::View {
        self.books().pool().view()
    }

    /// Why the node cannot do its job.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if let Err(why) = self.janus() {
            troubles.push(why);
        }
        troubles.extend(Kind::BOTH.into_iter().filter_map(|kind| self.lane(kind).problem()));
        let books = self.books();
        troubles.extend(books.refused().iter().map(|(session, why)| format!("session {session}: {why}")));
        troubles
    }

    fn tree_view(&self) -> TreeView {
        self.tree.get().map(|tree| tree.view().borrow().clone()).unwrap_or_default()
    }

    fn status_now(&self) -> Status {
        let problems = self.troubles();
        let tree = self.tree_view();
        let redis = self.tree.get().map(|_| tree.redis.clone());
        let mut warnings = self.config.node.warnings.clone();
        warnings.extend(redis.as_ref().and_then(|redis| redis.problem.clone()));
        let (connected, connecting) = self.viewers().count();
        let (asked, passed_on) = self.keyframes.counts();
        let count = self.books().all().count();
        let janus = self.janus();
        let served = self.viewers().served();
        let active = locked(&self.activity).values().filter(|activity| activity.active).count();
        Status {
            node_id: self.config.node.node_id.clone(),
            node_type: "egress",
            tree_id: self.config.node.tree_id.clone(),
            healthy: problems.is_empty(),
            uptime: self.started.elapsed().as_secs(),
            network: Network {
                host: self.config.node.host.clone(),
                port: self.config.api.port(),
                audio_port: self.config.media[0],
                video_port: self.config.media[1],
            },
            topology: tree.topology,
            redis,
            gstreamer: Gstreamer {
                audio_running: self.audio.problem().is_none(),
                video_running: self.video.problem().is_none(),
                audio_restarts: self.audio.restarts(),
                video_restarts: self.video.restarts(),
            },
            janus: JanusView {
                url: self.config.janus.url.clone(),
                connected: janus.is_ok(),
                problem: janus.err(),
                returns: self.janus_returns.load(Ordering::Relaxed),
            },
            mountpoints: Counted { count, active },
            viewers: Watching { connected, connecting, served },
            port_pool: self.port_pool(),
            dropped: Kind::BOTH
                .into_iter()
                .map(|kind| (kind.name(), self.lane(kind).counters().dropped().into_iter().collect()))
                .collect(),
            keyframes: Keyframes { asked, passed_on },
            problems,
            warnings,
        }
    }
}
