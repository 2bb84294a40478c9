//! What is shown of an injection.

use axum::http::StatusCode;
use node::http::{Base, Failed};
use node::media::{Kind, PerKind};
use node::record::NodeType;
use node::repair::view::AnsweringView;
use node::topology::TopologyView;
use node::tree::RedisView;
use node::udp::Overflow;
use node::view::Topology;

use super::live::LiveSession;
use super::orphans;
use super::{Injector, InjectorError, lock};
use crate::metrics::{self, Sample, StreamSample};
use crate::session::Session;
use crate::view;

impl Injector {
    /// `GET /sessions`.
    pub fn sessions(&self) -> view::Sessions {
        let sessions: Vec<view::Session> =
            self.entries().iter().map(|entry| self.session_view(entry)).collect();
        view::Sessions { count: sessions.len(), sessions, orphans: self.orphans() }
    }

    /// `GET /session/{sid}`.
    pub fn session(&self, id: &str) -> Result<view::Session, InjectorError> {
        Ok(self.session_view(&*self.entry(id)?))
    }

    /// What whoever created a session is told.
    pub fn created(&self, session: &Session) -> view::Created {
        let recipients = match session.recipients.is_empty() {
            true => self.recipients.of_children(),
            false => session.recipients.clone(),
        };
        view::Created {
            session_id: session.id.clone(),
            tree_id: self.config.tree_id.clone(),
            endpoint: format!("{}/endpoint/{}", self.config.whip_path, session.id),
            room_id: session.room,
            audio_ssrc: session.ssrcs.audio,
            video_ssrc: session.ssrcs.video,
            recipients,
        }
    }

    fn session_view(&self, entry: &LiveSession) -> view::Session {
        let session = &entry.session;
        let (counts, clients) = (entry.feed.counts(), entry.feed.clients());
        let stream = |kind: Kind| view::Stream {
            kind,
            ssrc: session.ssrcs[kind],
            received: counts[kind].received,
            packets: counts[kind].packets,
            bytes: counts[kind].bytes,
            strangers: counts[kind].strangers,
            recipients: clients[kind].len(),
        };
        view::Session {
            created: self.created(session),
            live_recipients: session.recipients.is_empty(),
            injection_node_id: self.config.node_id.clone(),
            active: true,
            created_at: session.created,
            updated_at: session.updated,
            publisher: entry.current().map(|current| view::Publisher {
                state: lock(&current.life).stage(),
                seconds: entry.now().saturating_sub(current.since).as_secs(),
                via: current.via,
                codecs: current.streams.iter().map(|stream| stream.codec.clone()).collect(),
            }),
            publications: entry.publications(),
            streams: Kind::BOTH.map(stream),
            problem: entry.room_problem().map(|problem| problem.why),
        }
    }

    /// The node's place in the tree; children that nothing can be sent to are refused.
    fn topology_view(&self) -> TopologyView {
        let mut topology =
            self.tree.get().map(|tree| tree.view().borrow().topology.clone()).unwrap_or_default();
        let children = &topology.children;
        let refused = self.recipients.refused().into_iter().filter(|(child, _)| children.contains(child));
        let refused: Vec<(String, String)> = refused.collect();
        topology.refused.extend(refused);
        topology
    }

    /// Children that get nothing, in one sentence.
    fn refused_children(&self) -> Option<RefusedChildren> {
        let TopologyView { children, refused, .. } = self.topology_view();
        let whys: Vec<String> =
            refused.iter().map(|(child, why)| format!("child {child} is refused: {why}")).collect();
        let all = refused.len() == children.len();
        (!whys.is_empty()).then(|| RefusedChildren { all, why: whys.join("; ") })
    }

    /// Whether all is well with the node and with all of its children.
    pub(super) fn is_well(&self) -> bool {
        Injector::problems(self).is_empty() && self.refused_children().is_none()
    }

    /// Why it cannot do its job, each a sentence.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.janus.problem());
        {
            let state = self.state();
            if !state.restored {
                let why = state.store_problem.as_deref().unwrap_or("Redis has not answered yet");
                problems.push(format!("sessions of before the restart are not known: {why}"));
            }
        }
        problems.extend(self.redis_view().and_then(|redis| redis.taken));
        // What ails one child or session is none of the others' business; what ails all of them is the node's.
        problems.extend(self.refused_children().filter(|refused| refused.all).map(|refused| refused.why));
        let entries = self.entries();
        let ails = |ailing: &dyn Fn(&LiveSession) -> Option<String>| {
            let ailing: Vec<String> = entries.iter().filter_map(|entry| ailing(entry)).collect();
            (!ailing.is_empty() && ailing.len() == entries.len()).then(|| ailing.join("; "))
        };
        problems.extend(ails(&|entry| Some(entry.room_problem().filter(|problem| !problem.is_its_own)?.why)));
        problems.extend(ails(&stopped));
        problems
    }

    fn redis_view(&self) -> Option<RedisView> {
        self.tree.get().map(|tree| tree.view().borrow().redis.clone())
    }

    /// What ails single sessions, and what was lost.
    fn misgivings(&self) -> Vec<String> {
        let mut misgivings = Vec::new();
        misgivings.extend(self.redis_view().and_then(|redis| redis.rival));
        misgivings.extend(self.topology_view().unknown_children(&self.config.node_id));
        misgivings.extend(self.refused_children().filter(|refused| !refused.all).map(|refused| refused.why));
        for entry in self.entries() {
            misgivings.extend(entry.room_problem().map(|problem| problem.why));
            misgivings.extend(stopped(&entry));
        }
        misgivings.extend(self.orphans().iter().map(|(id, injection)| orphans::sentence(id, injection)));
        let (overflow, buffer, now) = (self.overflow(), self.receive_buffer(), self.started.elapsed());
        misgivings.extend(
            Kind::BOTH
                .into_iter()
                .filter_map(|kind| overflow[kind].warning(&format!("{kind} from Janus"), buffer, now)),
        );
        misgivings
    }

    /// What the kernel has dropped because it was not read in time.
    pub(super) fn overflow(&self) -> PerKind<Overflow> {
        self.totals.overflow(&self.counted(), self.started.elapsed())
    }

    /// Bytes of the smallest receive buffer of any session.
    fn receive_buffer(&self) -> Option<usize> {
        self.entries().iter().filter_map(|entry| entry.feed.receive_buffer()).min()
    }

    fn sample(&self) -> Sample {
        let entries = self.entries();
        let streams = entries.iter().map(|entry| {
            let counts = entry.feed.counts();
            PerKind::from_fn(|kind| {
                let (session, ssrc) = (entry.session.id.clone(), entry.session.ssrcs[kind]);
                let mut count = self.totals.before(&session, kind, ssrc);
                count += counts[kind];
                StreamSample { kind, session, ssrc, count }
            })
        });
        let sums = self.counted();
        Sample {
            healthy: Injector::problems(self).is_empty(),
            draining: self.drain.is_on(),
            topology: self.topology_view(),
            redis: self.redis_view(),
            sums,
            sent: self.recipients.sent(&entries),
            receive_buffer: self.receive_buffer(),
            tree_id: self.config.tree_id.clone(),
            node_id: self.config.node_id.clone(),
            sessions: entries.len(),
            publishing: entries.iter().filter(|entry| entry.current().is_some()).count(),
            children: self.recipients.children().len(),
            janus: self.janus.problem().is_none(),
            janus_connections: self.janus.connections(),
            restarts: self.totals.restarts(),
            publications: self.totals.publications(),
            overflow: self.totals.overflow(&sums, self.started.elapsed()).map(Overflow::packets),
            keyframes: self.feedback.counts(),
            answers: self.answers.figures(),
            rtmp_waiting: self.rtmp.places.taken(),
            rtmp_refused: self.rtmp.books.refused().to_vec(),
            streams: streams.collect(),
            admissions: self.admission.counts(),
            told: self.webhooks.told(),
            http: self.limits.taken(),
            redirects: self.redirector.redirects(),
        }
    }
}

/// Children that get nothing.
struct RefusedChildren {
    /// There are no others.
    all: bool,
    why: String,
}

/// Why a session's pipeline is of no use, if it is of none.
fn stopped(entry: &LiveSession) -> Option<String> {
    (!entry.feed.is_running()).then(|| format!("the pipeline of session {} does not run", entry.session.id))
}

impl Base for Injector {
    type Status = view::Status;

    async fn status(&self) -> view::Status {
        let problems = Injector::problems(self);
        let entries = self.entries();
        let janus_problem = self.janus.problem();
        let [asked, passed_on] = self.feedback.counts();
        let mut warnings = self.config.warnings.clone();
        let state = self.state();
        warnings.extend(state.store_problem.clone().filter(|_| state.restored));
        drop(state);
        warnings.extend(self.misgivings());
        warnings.extend(self.admission.warnings());
        warnings.extend(self.webhooks.problem());
        warnings.extend(self.drain.warning());
        warnings.extend(self.tasks.warnings());
        view::Status {
            node_id: self.config.node_id.clone(),
            node_type: "injection",
            tree_id: self.config.tree_id.clone(),
            healthy: problems.is_empty(),
            uptime: self.started.elapsed().as_secs(),
            network: view::Network {
                api: self.config.api.to_string(),
                audio_port: self.config.ports[0],
                video_port: self.config.ports[1],
                whip: format!("{}/endpoint/", self.config.whip_path),
                rtmp: self.config.rtmp.map(|address| format!("rtmp://{address}/live/")),
            },
            topology: self.topology_view(),
            redis: self.redis_view(),
            janus: view::Janus {
                url: self.config.janus.url.clone(),
                connected: janus_problem.is_none(),
                problem: janus_problem,
                connections: self.janus.connections(),
            },
            sessions: view::SessionCounts {
                count: entries.len(),
                publishing: entries.iter().filter(|entry| entry.current().is_some()).count(),
            },
            pipeline: view::Pipeline {
                running: entries.iter().all(|entry| entry.feed.is_running()),
                restarts: self.totals.restarts(),
                children_count: self.recipients.children().len(),
                unresolved: self.recipients.unresolved(),
            },
            keyframes: view::Keyframes { asked, passed_on },
            repair: AnsweringView::new(self.answers.figures().answering),
            drain: self.drain.shown(),
            problems,
            warnings,
        }
    }

    async fn topology(&self) -> Topology {
        let topology = self.topology_view();
        Topology {
            node_id: self.config.node_id.clone(),
            node_type: NodeType::Injection,
            parent: topology.parent,
            children: topology.children,
        }
    }

    async fn refresh(&self) -> Result<(), Failed> {
        self.check().await;
        match self.tree.get() {
            Some(tree) => tree.refresh().await.map_err(|why| Failed(StatusCode::SERVICE_UNAVAILABLE, why)),
            None => Ok(()),
        }
    }

    async fn metrics(&self) -> Result<String, Failed> {
        let failed = |error: prometheus::Error| {
            Failed(StatusCode::SERVICE_UNAVAILABLE, format!("the metrics cannot be written: {error}"))
        };
        metrics::text(&self.sample()).map_err(failed)
    }

    async fn problems(&self) -> Vec<String> {
        Injector::problems(self)
    }
}
