//! One look at everything: `/status`, `/streams` and `/metrics` are made of it, so that they cannot disagree.
//!
//! Changes come first: reading thousands of streams takes milliseconds, so that is done without the lock that changes
//! wait for, through a handle of its own.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use node::sessions::Session;
use node::topology::TopologyView;
use node::tree::TreeView;
use relay_common::layout::{AUDIO, StreamKey, Total, VIDEO};
use relay_common::stream::Stream;
use tokio::sync::watch;

use super::plane::Plane;
use super::status::mark;
use super::{Relay, State};
use crate::config::Config;
use crate::kernel::{self, Mode, Pins};
use crate::report::{self, Sums};
use crate::view;

/// What Redis told, as far as it is shown.
#[derive(Debug, Default)]
pub struct Told {
    /// The node's place in the tree; `None` for a relay run without Redis.
    pub tree: Option<watch::Receiver<TreeView>>,
    /// Session of each SSRC.
    pub sessions: BTreeMap<u32, String>,
}

/// How the forwarder of one kind of media is, with the numbers that a GStreamer pipeline has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// Nothing is attached.
    Nothing = 0,
    /// Attached, but the relay itself has a problem.
    Problem = 1,
    /// Forwarding, or able to.
    Playing = 3,
}

/// Everything that a relay shows, at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// `GET /status`.
    pub status: view::Status,
    /// `GET /children`.
    pub children: Vec<view::Child>,
    /// `GET /streams`.
    pub streams: Vec<view::Stream>,
    /// What streams counted since the data plane was attached, forgotten ones included: audio, video.
    pub totals: [Total; 2],
    /// The same for audio and video: one interface takes both.
    pub forwarder: Forwarder,
}

impl Relay {
    /// Looks.
    pub async fn sample(&self) -> Sample {
        let _sums = self.sums.lock().await;
        let read = self.read_streams().await;
        let not_made = self.copies_not_made().await;
        let state = self.state.lock().await;
        let forgotten = state.plane.forgotten();
        let mut children = state.children_views();
        let mut status = self.status_of(&state, Sums { not_made, ..Sums::of(&read, forgotten) }, &children);
        let forwarder = match (&state.problem, status.gstreamer.audio_running) {
            (_, false) => Forwarder::Nothing,
            (Some(_), true) => Forwarder::Problem,
            (None, true) => Forwarder::Playing,
        };
        status.gstreamer.audio_running = forwarder == Forwarder::Playing;
        status.gstreamer.video_running = forwarder == Forwarder::Playing;
        let own = self.own_children(&state, &read);
        drop(state);

        let audio = self.config.listen.ports[0];
        let mut totals = forgotten;
        for (key, stream) in &read {
            totals[usize::from(if key.port == audio { AUDIO } else { VIDEO })] += Total::from(stream);
        }
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = &told.tree {
            mark(&mut children, &tree.borrow().topology);
        }
        let streams = read
            .iter()
            .zip(own)
            .map(|((key, stream), own)| view::Stream {
                session: told.sessions.get(&key.ssrc).cloned(),
                ..report::stream(key, stream, audio, own)
            })
            .collect();
        Sample { status, children, streams, totals, forwarder }
    }

    /// What is wrong, without the look at every stream that `status` takes.
    pub async fn problems(&self) -> Vec<String> {
        let state = self.state.lock().await;
        let children = state.children_views();
        self.status_of(&state, Sums::default(), &children).problems
    }

    /// Shows the node's place in the tree, as it is at each moment.
    pub fn show_tree(&self, view: watch::Receiver<TreeView>) {
        self.told.write().unwrap_or_else(PoisonError::into_inner).tree = Some(view);
    }

    /// What Redis said last; `None` for a relay run without.
    pub(super) fn tree_view(&self) -> Option<TreeView> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        told.tree.as_ref().map(|view| view.borrow().clone())
    }

    /// The sessions of the tree, to be shown from now on.
    pub fn show_sessions(&self, sessions: &[Session]) {
        let by_ssrc = sessions
            .iter()
            .flat_map(|session| session.ssrcs.into_array().map(|ssrc| (ssrc.0, session.id.clone())));
        self.told.write().unwrap_or_else(PoisonError::into_inner).sessions = by_ssrc.collect();
    }

    /// The streams as they are now. Between this and a look at what was forgotten, nothing may be forgotten: hold `sums`.
    pub(super) async fn read_streams(&self) -> Vec<(StreamKey, Stream)> {
        let pins = {
            let state = self.state.lock().await;
            match &state.plane {
                Plane::Userspace(_) => return state.plane.streams(),
                Plane::Kernel(_) => Pins::new(&self.config.pin_root, &self.config.interface),
            }
        };
        match tokio::task::spawn_blocking(move || kernel::streams_pinned(&pins)).await {
            Ok(Ok(streams)) => streams,
            // Detached this moment, most likely: the handles that are open still read.
            _ => self.state.lock().await.plane.streams(),
        }
    }

    /// Without the lock of the state, since it waits for the kernel.
    async fn copies_not_made(&self) -> u64 {
        if self.state.lock().await.plane.mode() != Mode::Xdp {
            return 0;
        }
        let pins = Pins::new(&self.config.pin_root, &self.config.interface);
        let read = tokio::task::spawn_blocking(move || kernel::copies_not_made_pinned(&pins));
        read.await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn status_of(&self, state: &State, sums: Sums, children: &[view::Child]) -> view::Status {
        let mut status = match &state.plane {
            Plane::Kernel(plane) => {
                let pins = Pins::new(&self.config.pin_root, &self.config.interface);
                report::outline(plane.maps(), &pins, sums)
            }
            Plane::Userspace(_) => self.userspace_status(state, sums),
        };
        status.daemon = true;
        status.node_id.clone_from(&self.config.node_id);
        status.tree_id.clone_from(&self.config.tree_id);
        status.warnings.clone_from(&self.config.warnings);
        status.dataplane.mode_reason.clone_from(&state.mode_reason);
        status.dataplane.interface.clone_from(&state.interface);
        status.forwarding = report::forwarding(children);
        status.gstreamer.audio_restarts = state.interruptions;
        status.gstreamer.video_restarts = state.interruptions;
        status.problems.extend(state.problem.clone());
        status.problems.extend(state.not_attached.clone());
        status.sources = state.sources.shown();
        status.warnings.extend(state.sources.warning().cloned());
        status.warnings.extend(state.chain.clone());
        status.warnings.extend(not_spread(&self.config, state.plane.mode()));
        status.warnings.extend(state.warnings.iter().cloned());
        status.warnings.extend(state.probes.warnings());
        status.warnings.extend(state.name_warnings());
        for child in children {
            if let Some(problem) = &child.problem {
                status.problems.push(format!("child {}: {problem}", child.name));
            }
        }
        self.place_in_tree(state, &mut status);
        status.healthy = status.problems.is_empty();
        status
    }

    /// The children of streams that have a set of their own, by name.
    fn own_children(&self, state: &State, streams: &[(StreamKey, Stream)]) -> Vec<Option<Vec<String>>> {
        let names: BTreeMap<u32, &String> =
            state.children.iter().map(|(name, member)| (member.id, name)).collect();
        let own = |key: &StreamKey| {
            let subset = state.routes.get(key)?;
            Some(subset.iter().filter_map(|id| names.get(id).map(|name| (*name).clone())).collect())
        };
        streams.iter().map(|(key, _)| own(key)).collect()
    }

    /// What Redis said. A server that is away is a problem although media goes on: the relay no longer follows its tree.
    fn place_in_tree(&self, state: &State, status: &mut view::Status) {
        let Some(TreeView { topology, redis }) = self.tree_view() else {
            status.topology.children.clone_from(&status.forwarding.children);
            return;
        };
        status.topology = topology;
        let refused = state.refused.iter().filter(|(name, _)| status.topology.children.contains(name));
        status.topology.refused.extend(refused.map(|(name, why)| (name.clone(), why.clone())));
        let TopologyView { waiting, stale, held, refused, .. } = &status.topology;

        match &redis.problem {
            Some(problem) => status.problems.push(format!("redis: {problem}")),
            None if !redis.connected => {
                status.problems.push(format!("redis: {} has not answered yet", redis.server));
            }
            None => {}
        }
        status.problems.extend(refused.iter().map(|(child, why)| format!("child {child} is refused: {why}")));
        let named = |children: &[String], what: &str| {
            (!children.is_empty()).then(|| format!("{what}: {}", children.join(", ")))
        };
        status.warnings.extend(named(waiting, "children that have not registered yet"));
        status.warnings.extend(named(stale, "children whose registration has expired, still forwarded to"));
        status.warnings.extend(named(held, "children that Redis lost, forwarded to until the grace is over"));
        let without = redis.notifications_problem.iter();
        status.warnings.extend(without.map(|why| format!("no keyspace notifications: {why}")));
        status.redis = Some(redis);
    }

    fn userspace_status(&self, state: &State, sums: Sums) -> view::Status {
        let Plane::Userspace(sockets) = &state.plane else { unreachable!("asked only for userspace") };
        let counted = sockets.drops().into_iter().filter(|(_, count)| *count > 0);
        let (drops, passed_to_stack) =
            report::by_fate(counted.map(|(reason, count)| (reason.name().to_owned(), count)));
        let [audio_port, video_port] = self.config.listen.ports;
        view::Status {
            node_id: self.config.node_id.clone(),
            node_type: "relay".to_owned(),
            tree_id: String::new(),
            healthy: true,
            daemon: true,
            uptime: state.started.elapsed().as_secs(),
            network: view::Network {
                addresses: state.addresses.iter().map(ToString::to_string).collect(),
                audio_port,
                video_port,
            },
            sources: Vec::new(),
            topology: TopologyView::default(),
            redis: None,
            gstreamer: view::Gstreamer {
                audio_running: true,
                video_running: true,
                audio_restarts: 0,
                video_restarts: 0,
            },
            forwarding: report::forwarding(&[]),
            dataplane: view::Dataplane {
                mode: Mode::Userspace,
                mode_reason: state.mode_reason.clone(),
                interface: state.interface.clone(),
                generation: *self.applied.borrow(),
                programs: Vec::new(),
                packets: sums.packets,
                bytes: sums.bytes,
                drops,
                passed_to_stack,
                egress: BTreeMap::new(),
                receive_overflow: Some(sockets.receive_overflow()),
            },
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// `--cpus` is for xdp, and auto may have ended elsewhere.
fn not_spread(config: &Config, mode: Mode) -> Option<String> {
    let asked = config.cpus.is_some() && mode != Mode::Xdp;
    asked.then(|| format!("--cpus has no effect in {mode}: streams are spread over CPUs in xdp only"))
}

#[cfg(test)]
mod tests;
