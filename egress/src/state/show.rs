//! What HTTP shows of the state.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use node::contract::key;
use node::http::{Base, Failed};
use node::media::Kind;
use node::record::NodeType;
use node::repair::view::AskingView;
use node::sources::Known;
use node::tree::TreeView;
use node::udp::Overflow;
use node::view::{Gstreamer, Topology};

use super::{Egress, locked};
use crate::config::ServerConfig;
use crate::lifecycle::Cut;
use crate::mountpoints::Mountpoint;
use crate::portpool::{self, PortPool};
use crate::view::{
    Counted, Details, FiguresView, JanusView, Keyframes, MountpointView, Mountpoints, NativeView, Network,
    Sample, Status, ViewerView, Viewers, Watching,
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
        let mountpoints: Vec<Mountpoint> = self.books().all().cloned().collect();
        Sample {
            status: self.status_now(),
            counted: mountpoints.iter().map(|mountpoint| self.media.counted(mountpoint)).collect(),
            mountpoints: mountpoints.iter().map(|mountpoint| self.detailed(mountpoint)).collect(),
            taken: self.read_parent(),
            heard: self.heard(),
            overflow: self.media.look().map(Overflow::packets).into_array(),
            repair: self.media.repair(),
            repair_of_parents: self.repair_of_parents(),
            receive_buffer: self.media.receive_buffer(),
            dark: self.dark(),
            keyframes: self.media.keyframes.waiting(),
            reports: locked(&self.reports).clone(),
            places: self.capacity.viewers(),
            received: self.media.received(),
            admissions: self.admission.counts(),
            told: self.webhooks.told(),
            capacity: self.capacity.view(),
            joins: self.audience.joins(),
            moved: self.elsewhere.counts(),
            quality: self.config.server.has_figures().then(|| {
                let quality = locked(&self.quality);
                (quality.sums(), quality.histograms())
            }),
            http: self.limits.taken(),
            redirects: self.redirector.redirects(),
        }
    }

    /// `GET /mountpoints`.
    pub fn mountpoints(&self) -> Mountpoints {
        let all: Vec<Mountpoint> = self.books().all().cloned().collect();
        let mountpoints: Vec<MountpointView> =
            all.iter().map(|mountpoint| self.detailed(mountpoint)).collect();
        Mountpoints { count: mountpoints.len(), mountpoints }
    }

    /// `GET /viewers`, of one session or of all.
    pub fn viewers(&self, session: Option<&str>) -> Viewers {
        let mut seated = self.audience.seated(session);
        seated.sort_by(|one, other| (&one.session, &one.name).cmp(&(&other.session, &other.name)));
        let figures = self.server.figures();
        let quality = locked(&self.quality);
        let viewers = seated.into_iter().map(|seated| ViewerView {
            figures: figures
                .get(&seated.seat)
                .map(|figures| FiguresView::new(figures, quality.lately(seated.seat))),
            session_id: seated.session,
            viewer_id: seated.name,
            player: seated.player.to_string(),
            seconds: seated.up.as_secs(),
        });
        let viewers: Vec<ViewerView> = viewers.collect();
        Viewers { count: viewers.len(), viewers }
    }

    /// `GET /mountpoint/{sid}`.
    pub fn detailed(&self, mountpoint: &Mountpoint) -> MountpointView {
        let activity = self.judge(mountpoint);
        let routes = self.media.routes(mountpoint).into_array();
        let more = Details {
            audio_ssrc: mountpoint.ssrcs.audio,
            video_ssrc: mountpoint.ssrcs.video,
            video_codec: mountpoint.codec,
            active: activity.active,
            reason: activity.reason,
            viewers: self.audience.of(&mountpoint.session),
            automatic: mountpoint.automatic,
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
            janus_audio_port: mountpoint.ports.map(|ports| ports.audio),
            janus_video_port: mountpoint.ports.map(|ports| ports.video),
            more: None,
        }
    }

    /// `GET /portpool`.
    pub fn port_pool(&self) -> Option<portpool::View> {
        self.books().pool().map(PortPool::view)
    }

    /// Why the node cannot do its job.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        troubles.extend(self.link.problem());
        troubles.extend(self.media.problems());
        troubles.extend(self.books().trouble());
        troubles.extend(self.cut_off());
        troubles.extend(self.tree_view().redis.taken);
        troubles
    }

    /// What keeps some sessions from being shown, and all others not.
    fn misgivings(&self) -> Vec<String> {
        let books = self.books();
        let refused =
            books.refused().iter().map(|(session, refused)| format!("session {session}: {}", refused.why));
        refused.chain(books.pool().map(PortPool::troubles).unwrap_or_default()).collect()
    }

    /// No media reaches it, or none will soon, and no viewer is to be sent here. One that has not been given its place yet is not
    /// ill, for somebody may wait for it to be well before giving it one.
    fn cut_off(&self) -> Option<String> {
        let id = &self.config.node.node_id;
        let standing = self.standing();
        Some(match standing.borrow().cut()? {
            Cut::NoParent(was) => format!(
                "no parent: `{}` is no longer in Redis (it was {was}), so that no media comes; \
                 `redis-cli SET {} NODE` and `redis-cli SADD {} {id}`",
                key::parent(id),
                key::parent(id),
                key::children("NODE"),
            ),
            cut @ Cut::NotItsChild(parent) => {
                format!("cut off: {cut}, and no media comes; `redis-cli SADD {} {id}`", key::children(parent))
            }
            cut @ Cut::ParentGone(parent) => format!(
                "cut off: {cut}, and no media comes; start {parent}, or `redis-cli SET {} NODE` and \
                 `redis-cli SADD {} {id}`",
                key::parent(id),
                key::children("NODE"),
            ),
            cut @ Cut::PassedBy(_) => format!("cut off: {cut}; look at the network between them"),
        })
    }

    pub(super) fn tree_view(&self) -> TreeView {
        self.tree.get().map(|tree| tree.view().borrow().clone()).unwrap_or_default()
    }

    fn janus_view(&self) -> Option<JanusView> {
        let ServerConfig::Janus(janus) = &self.config.server else { return None };
        let problem = self.link.problem();
        let (url, connected) = (janus.url.clone(), problem.is_none());
        Some(JanusView { url, connected, problem, returns: self.link.returns() })
    }

    fn native_view(&self) -> Option<NativeView> {
        let ServerConfig::Native(native) = &self.config.server else { return None };
        let mut dropped = BTreeMap::new();
        for (reason, count) in self.server.dropped() {
            *dropped.entry(reason).or_default() += count;
        }
        let (media_port, media_threads) = (native.listen.port(), native.threads.get());
        Some(NativeView { media_port, media_threads, dropped })
    }

    fn status_now(&self) -> Status {
        let problems = self.troubles();
        let tree = self.tree_view();
        let redis = self.tree.get().map(|_| tree.redis.clone());
        let mut warnings = self.config.node.warnings.clone();
        let taken = tree.redis.taken.is_some();
        warnings.extend(redis.as_ref().and_then(|redis| redis.problem.clone()).filter(|_| !taken));
        warnings.extend(tree.redis.rival.clone());
        warnings.extend(self.config.server.pool().and_then(PortPool::warning));
        warnings.extend(self.admission.warnings());
        warnings.extend(self.webhooks.problem());
        warnings.extend(self.misgivings());
        warnings.extend(self.sources.warning());
        warnings.extend(self.sources.overlap());
        warnings.extend(Known::unheard(&self.heard()));
        warnings.extend(tree.topology.refused_standby());
        warnings.extend(tree.redis.standby_problem.clone());
        warnings.extend(self.media.warnings());
        warnings.extend(self.drain.warning());
        warnings.extend(self.server.warning());
        let (connected, connecting, served) = self.audience.count();
        let (asked, passed_on) = self.media.keyframes.counts();
        let [audio, video] = Kind::BOTH.map(|kind| self.media.lane(kind));
        let count = self.books().all().count();
        let active = self.notices.active();
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
            standing: self.standing().borrow().clone(),
            topology: tree.topology,
            redis,
            gstreamer: Gstreamer {
                audio_running: audio.problem().is_none(),
                video_running: video.problem().is_none(),
                audio_restarts: audio.restarts(),
                video_restarts: video.restarts(),
            },
            server: self.config.server.name(),
            janus: self.janus_view(),
            native: self.native_view(),
            mountpoints: Counted { count, active },
            viewers: Watching { connected, connecting, served },
            port_pool: self.port_pool(),
            sources: self.media.senders.shown(),
            dropped: Kind::BOTH.into_iter().map(|kind| (kind.name(), self.media.dropped(kind))).collect(),
            keyframes: Keyframes { asked, passed_on },
            repair: self.media.repair().map(|found| AskingView::new(found.asking, found.round_trip)),
            drain: self.drain.shown(),
            problems,
            warnings,
        }
    }
}
