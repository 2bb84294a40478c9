//! What the running relay shows: the maps' view where there are maps, and what only the daemon knows.

use std::collections::BTreeMap;

use node::topology::TopologyView;

use super::plane::Plane;
use super::{Relay, RelayError, State};
use crate::capture::{self, Pieces, Wish};
use crate::kernel::{Mode, Pins};
use crate::report;
use crate::userspace::TapFilter;
use crate::view;

impl Relay {
    /// `GET /status`.
    pub async fn status(&self) -> view::Status {
        let state = self.state.lock().await;
        let children = state.children_views();
        let mut status = match &state.plane {
            Plane::Kernel(plane) => {
                let pins = Pins::new(&self.config.pin_root, &self.config.interface);
                report::status(plane.maps(), &pins)
            }
            Plane::Userspace(_) => self.userspace_status(&state),
        };
        status.daemon = true;
        status.node_id.clone_from(&self.config.node_id);
        status.dataplane.mode_reason.clone_from(&state.mode_reason);
        status.forwarding = report::forwarding(&children);
        status.gstreamer.audio_restarts = state.interruptions;
        status.gstreamer.video_restarts = state.interruptions;
        status.problems.extend(state.problem.clone());
        for child in &children {
            if let Some(problem) = &child.problem {
                status.problems.push(format!("child {}: {problem}", child.name));
            }
        }
        self.show_tree(&state, &mut status);
        status.healthy = status.problems.is_empty();
        let running = state.problem.is_none() && status.gstreamer.audio_running;
        status.gstreamer.audio_running = running;
        status.gstreamer.video_running = running;
        status
    }

    /// `GET /children`.
    pub async fn children(&self) -> view::Children {
        view::Children { children: self.state.lock().await.children_views() }
    }

    /// `GET /streams`.
    pub async fn streams(&self) -> view::Streams {
        let state = self.state.lock().await;
        let names: BTreeMap<u32, &String> =
            state.children.iter().map(|(name, member)| (member.id, name)).collect();
        let audio = self.config.listen.ports[0];
        let streams = state
            .plane
            .streams()
            .iter()
            .map(|(key, stream)| {
                let own = state.routes.get(key).map(|subset| {
                    subset.iter().filter_map(|id| names.get(id).map(|name| (*name).clone())).collect()
                });
                report::stream(key, stream, audio, own)
            })
            .collect();
        view::Streams { streams }
    }

    /// `GET /topology`.
    pub async fn topology(&self) -> view::Topology {
        let state = self.state.lock().await;
        let tree = self.tree_view();
        view::Topology {
            node_id: self.config.node_id.clone(),
            node_type: "relay".to_owned(),
            parent: tree.as_ref().and_then(|tree| tree.topology.parent.clone()),
            children: match tree {
                Some(tree) => tree.topology.children,
                None => state.children.keys().cloned().collect(),
            },
        }
    }

    fn userspace_status(&self, state: &State) -> view::Status {
        let Plane::Userspace(sockets) = &state.plane else { unreachable!("asked only for userspace") };
        let streams = state.plane.streams();
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
                interface: self.config.interface.clone(),
                generation: *self.applied.borrow(),
                programs: Vec::new(),
                packets: streams.iter().map(|(_, stream)| stream.packets + stream.rtcp_packets).sum(),
                bytes: streams.iter().map(|(_, stream)| stream.bytes).sum(),
                drops: sockets
                    .drops()
                    .into_iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(reason, count)| (reason.name().to_owned(), count))
                    .collect(),
                egress: BTreeMap::new(),
                receive_overflow: Some(sockets.receive_overflow()),
            },
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl State {
    /// All children, sorted by name.
    pub(super) fn children_views(&self) -> Vec<view::Child> {
        self.children.keys().filter_map(|name| self.child_view(name)).collect()
    }

    /// One child.
    pub(super) fn child_view(&self, name: &str) -> Option<view::Child> {
        let member = self.children.get(name)?;
        let stats = match &self.plane {
            Plane::Kernel(plane) => plane.maps().stats_of(member.id),
            Plane::Userspace(sockets) => {
                let all = sockets.child_stats();
                all.iter().find(|(id, _)| *id == member.id).map(|(_, stats)| *stats).unwrap_or_default()
            }
        };
        let way = &member.way;
        let sent_to = match self.plane.mode() {
            Mode::Userspace => way.address.is_some(),
            Mode::Xdp | Mode::Tc => way.headers(member.id, member.spec.ports).is_some(),
        };
        Some(view::Child {
            name: name.to_owned(),
            host: member.spec.host.clone(),
            audio_port: member.spec.ports[0],
            video_port: member.spec.ports[1],
            state: match (sent_to && way.problem.is_none(), way.is_resolving()) {
                (true, _) => view::ChildState::Forwarding,
                (false, true) => view::ChildState::Resolving,
                (false, false) => view::ChildState::Unreachable,
            },
            problem: way.blocked.clone().or_else(|| way.problem.clone()),
            address: way.address.map(|address| address.to_string()),
            interface: way.hop.as_ref().map(|hop| hop.interface.name.clone()),
            mac: way.hop.as_ref().and_then(|hop| hop.mac).map(report::mac_text),
            packets: stats.packets,
            bytes: stats.bytes,
            errors: stats.errors,
            stale: false,
            held: false,
        })
    }
}

impl Relay {
    /// Starts a capture.
    pub async fn capture(&self, wish: Wish) -> Result<Pieces, RelayError> {
        let mut state = self.state.lock().await;
        match &mut state.plane {
            Plane::Userspace(sockets) => {
                let tap = sockets.tap(TapFilter { ssrc: wish.ssrc, port: wish.port });
                Ok(capture::from_tap(tap, wish))
            }
            Plane::Kernel(plane) => {
                let (ring, filter) = plane.capture_ring()?;
                capture::from_ring(ring, filter, wish).ok_or_else(|| {
                    RelayError::Conflict("another capture is running; only one can at a time".to_owned())
                })
            }
        }
    }
}
