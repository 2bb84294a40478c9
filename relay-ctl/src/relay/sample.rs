//! Everything at one moment: `/status`, `/streams` and `/metrics` are made of it, so that they cannot disagree.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use node::flow::Received;
use node::metrics::{Parents, add};
use node::repair::OfParent;
use node::sources::Known;
use node::topology::TopologyView;
use node::tree::TreeView;
use relay_common::layout::{AUDIO, StreamKey, Total, VIDEO};
use relay_common::stream::Stream;

use super::plane::Plane;
use super::repairs::Repaired;
use super::status::mark;
use super::{Relay, State};
use crate::clock::monotonic_ns;
use crate::config::Config;
use crate::kernel::{self, Pins};
use crate::mode::{Mode, ModeWanted, is_fallback};
use crate::report::{self, Sums};
use crate::userspace::Userspace;
use crate::view;

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
    /// What each of these had counted before it came last: copies, their bytes, and those that failed.
    pub children_before: Vec<[u64; 3]>,
    /// The same of all children that there are and that there have been.
    pub copies: [u64; 3],
    /// `GET /streams`.
    pub streams: Vec<view::Stream>,
    /// What each of these had counted before it was forgotten: packets, late ones, and those that came again.
    pub streams_before: Vec<[u64; 3]>,
    /// Packets that were taken from the parent.
    pub taken: Option<(String, u64)>,
    /// Of a relay with standby parents: each of its parents, and whether media comes from it.
    pub heard: Vec<(String, bool)>,
    /// The data plane that was asked for.
    pub wanted: ModeWanted,
    /// Copies go by a slower data plane than was asked for, or than they did.
    pub fallen_back: bool,
    /// Bytes of the smallest receive buffer (userspace only).
    pub receive_buffer: Option<usize>,
    /// What streams counted since the data plane was attached, forgotten ones included: audio, video.
    pub totals: [Total; 2],
    /// The same for audio and video: one interface takes both.
    pub forwarder: Forwarder,
    /// What is taken of HTTP.
    pub http: node::http::Taken,
    /// What was lost on the way here and to children, and was sent again.
    pub repaired: Repaired,
    /// What was lost of what each of its parents sends.
    pub repaired_of_parents: Vec<OfParent>,
    /// Of each of `children`: packets that it asked for, that it was sent again, and that it was not.
    pub repaired_of_children: Vec<[u64; 3]>,
    /// Viewers sent to an egress.
    pub redirects: node::watch::Redirects,
}

impl Relay {
    /// Takes a sample.
    pub async fn sample(&self) -> Sample {
        let _sums = self.streams.hold().await;
        let read = self.streams.read(&self.state).await;
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
        let own = state.own_children(&read);
        let children_before: Vec<[u64; 3]> =
            children.iter().map(|child| state.removed.before(child.name.as_str())).collect();
        let mut copies = state.removed.sum();
        children.iter().for_each(|child| add(&mut copies, [child.packets, child.bytes, child.errors]));
        let (wanted, mode) = (self.config.mode, state.plane.mode());
        let fallen_back = is_fallback(wanted, mode) || (mode == Mode::Tc && state.fallen.is_some());
        let receive_buffer = state.plane.receive_buffer();
        let taken = {
            let mut parents = self.parents();
            parents.read(state.sources.parent(), Sums::of(&read, forgotten).packets);
            parents.shown()
        };
        let heard = {
            let streams: Vec<Stream> = read.iter().map(|(_, stream)| *stream).collect();
            state.sources.heard(&streams, monotonic_ns())
        };
        status.warnings.extend(Known::unheard(&heard));
        let (repaired_of_parents, repaired_of_children) = {
            let mut repairs = self.repairs();
            let known = state.sources.known();
            repairs.read(&read, known);
            // In the order in which they are shown.
            let children = state.children.iter().map(|(name, member)| repairs.of_child(name, member.id));
            (repairs.parents.shown(&repairs.asker, known.names()), children.collect())
        };
        drop(state);
        let repaired = self.repairs().shown();
        status.repair = Some(repaired.view());
        let by_stream: Vec<u64> = {
            let repairs = self.repairs();
            read.iter().map(|(key, _)| repairs.asker.figures_of(key).repaired).collect()
        };
        let streams_before = self.streams.before(&read);

        let audio = self.config.listen.ports[0];
        let mut totals = forgotten;
        for (key, stream) in &read {
            totals[usize::from(if key.port == audio { AUDIO } else { VIDEO })] += Total::from(stream);
        }
        if let Some(tree) = self.membership.view() {
            mark(&mut children, &tree.topology);
        }
        let sessions = self.membership.sessions();
        let streams = read
            .iter()
            .zip(own)
            .zip(by_stream)
            .map(|(((key, stream), own), repaired)| view::Stream {
                repaired,
                session: sessions.get(&key.ssrc).cloned(),
                ..report::stream(key, stream, audio, own)
            })
            .collect();
        let (http, redirects) = (self.limits.taken(), self.redirector.redirects());
        Sample {
            status,
            children,
            children_before,
            copies,
            streams,
            streams_before,
            taken,
            heard,
            wanted,
            fallen_back,
            receive_buffer,
            totals,
            forwarder,
            http,
            repaired,
            repaired_of_parents,
            repaired_of_children,
            redirects,
        }
    }

    /// RTP that has come in, of all streams. By the way it is seen what has come from the parent.
    pub(super) async fn totals(&self) -> Received {
        let _sums = self.streams.hold().await;
        let read = self.streams.read(&self.state).await;
        let state = self.state.lock().await;
        let forgotten = state.plane.forgotten();
        let streams = read.iter().map(|(_, stream)| Total::from(stream));
        let total = streams.chain(forgotten).fold(Total::default(), |mut sum, one| {
            sum += one;
            sum
        });
        self.parents().read(state.sources.parent(), total.packets + total.rtcp_packets);
        let heard = {
            let streams: Vec<Stream> = read.iter().map(|(_, stream)| *stream).collect();
            state.sources.heard(&streams, monotonic_ns())
        };
        self.repairs().read(&read, state.sources.known());
        drop(state);
        *self.unheard.lock().unwrap_or_else(PoisonError::into_inner) = Known::silent(&heard);
        let lost = read.iter().map(|(_, stream)| stream.lost()).sum();
        let repaired = self.repairs().asker.figures().repaired;
        Received { packets: total.packets, bytes: total.bytes, lost, repaired }
    }

    /// Those of its parents that nothing comes from, while it does from another.
    pub(super) fn unheard(&self) -> Vec<String> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What has come from each parent.
    pub(super) fn parents(&self) -> MutexGuard<'_, Parents> {
        self.parents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, without reading every stream that `status` takes.
    pub async fn problems(&self) -> Vec<String> {
        let state = self.state.lock().await;
        let children = state.children_views();
        self.status_of(&state, Sums::default(), &children).problems
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
            Plane::Userspace(sockets) => {
                state.userspace_status(sockets, &self.config, *self.applied.borrow(), sums)
            }
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
        status.warnings.extend(state.sources.overlap());
        status.warnings.extend(state.chain.clone());
        status.warnings.extend(not_spread(&self.config, state.plane.mode()));
        status.warnings.extend(state.warnings.iter().cloned());
        status.warnings.extend(self.overflow(state));
        status.warnings.extend(state.probes.warnings());
        status.warnings.extend(state.name_warnings());
        status.warnings.extend(self.drain.warning());
        status.warnings.extend(self.repairs().asker.warning(monotonic_ns()));
        status.warnings.extend(self.tasks.warnings());
        status.drain = self.drain.shown();
        for child in children {
            if let Some(problem) = &child.problem {
                status.problems.push(format!("child {}: {problem}", child.name));
            }
        }
        self.place_in_tree(state, &mut status);
        status.healthy = status.problems.is_empty();
        status
    }

    /// What the sockets of userspace mode did not take in time, if that was just now.
    fn overflow(&self, state: &State) -> Option<String> {
        let Plane::Userspace(sockets) = &state.plane else { return None };
        let mut overflow = self.overflow.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.started.elapsed();
        overflow.saw(sockets.receive_overflow(), now);
        overflow.warning("media", sockets.receive_buffer(), now)
    }

    /// What Redis said. A server that is away is a problem although media goes on: the relay no longer follows its tree.
    fn place_in_tree(&self, state: &State, status: &mut view::Status) {
        let Some(TreeView { topology, redis }) = self.membership.view() else {
            status.topology.children.clone_from(&status.forwarding.children);
            return;
        };
        status.topology = topology;
        status.topology.refused = self.refused_children(state);
        let unknown = status.topology.unknown_children(&status.node_id);
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
        status.warnings.extend(unknown);
        status.warnings.extend(redis.rival.clone());
        status.warnings.extend(status.topology.refused_standby());
        status.warnings.extend(redis.standby_problem.clone());
        let without = redis.notifications_problem.iter();
        status.warnings.extend(without.map(|why| format!("no keyspace notifications: {why}")));
        status.redis = Some(redis);
    }
}

impl State {
    /// The children of streams that have a set of their own, by name.
    fn own_children(&self, streams: &[(StreamKey, Stream)]) -> Vec<Option<Vec<String>>> {
        let names: BTreeMap<u32, &String> =
            self.children.iter().map(|(name, member)| (member.id, name)).collect();
        let own = |key: &StreamKey| {
            let subset = self.routes.get(key)?;
            Some(subset.iter().filter_map(|id| names.get(id).map(|name| (*name).clone())).collect())
        };
        streams.iter().map(|(key, _)| own(key)).collect()
    }

    fn userspace_status(
        &self,
        sockets: &Userspace,
        config: &Config,
        generation: u64,
        sums: Sums,
    ) -> view::Status {
        let counted = sockets.drops().into_iter().filter(|(_, count)| *count > 0);
        let (drops, passed_to_stack) =
            report::by_fate(counted.map(|(reason, count)| (reason.name().to_owned(), count)));
        let [audio_port, video_port] = config.listen.ports;
        view::Status {
            node_id: config.node_id.clone(),
            node_type: "relay".to_owned(),
            tree_id: String::new(),
            healthy: true,
            daemon: true,
            uptime: self.started.elapsed().as_secs(),
            network: view::Network {
                addresses: self.addresses.iter().map(ToString::to_string).collect(),
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
                mode_reason: self.mode_reason.clone(),
                interface: self.interface.clone(),
                generation,
                programs: Vec::new(),
                packets: sums.packets,
                bytes: sums.bytes,
                drops,
                passed_to_stack,
                egress: BTreeMap::new(),
                receive_overflow: Some(sockets.receive_overflow()),
            },
            repair: None,
            drain: None,
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
