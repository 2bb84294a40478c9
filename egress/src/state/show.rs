//! What HTTP shows of the state.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use node::http::{Base, Failed};
use node::media::Kind;
use node::record::NodeType;
use node::tree::TreeView;
use node::view::{Gstreamer, Topology};

use super::{Egress, locked};
use crate::mountpoints::Mountpoint;
use crate::portpool;
use crate::view::{
    Counted, Details, JanusView, Keyframes, MountpointView, Mountpoints, Network, Sample, Status, Watching,
};

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
        let routes = Kind::BOTH.map(|kind| self.lane(kind).routes().get(mountpoint.ssrcs[kind]));
        let more = Details {
            audio_ssrc: mountpoint.ssrcs.audio,
            video_ssrc: mountpoint.ssrcs.video,
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
        warnings.extend(self.config.pool.warning());
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
