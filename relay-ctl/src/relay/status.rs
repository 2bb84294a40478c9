//! What the running relay shows: the maps' view where there are maps, and what only the daemon knows.

use node::record::NodeType;
use node::topology::TopologyView;
use relay_common::layout::ChildStats;

use super::capture::{self, CaptureRequest, Pieces};
use super::plane::Plane;
use super::{Member, Relay, RelayError, State};
use crate::mode::Mode;
use crate::report;
use crate::userspace::TapFilter;
use crate::view;

impl Relay {
    /// `GET /status`.
    pub async fn status(&self) -> view::Status {
        self.sample().await.status
    }

    /// The data plane in force.
    pub async fn mode(&self) -> Mode {
        self.state.lock().await.plane.mode()
    }

    /// `GET /children`.
    pub async fn children(&self) -> view::Children {
        let mut children = self.state.lock().await.children_views();
        if let Some(tree) = self.membership.view() {
            mark(&mut children, &tree.topology);
        }
        view::Children { children }
    }

    /// `GET /streams`.
    pub async fn streams(&self) -> view::Streams {
        view::Streams { streams: self.sample().await.streams }
    }

    /// `GET /topology`.
    pub async fn topology(&self) -> view::Topology {
        let children = self.state.lock().await.children.keys().cloned().collect();
        let (parent, children) = match self.membership.view() {
            Some(tree) => (tree.topology.parent, tree.topology.children),
            None => (None, children),
        };
        view::Topology { node_id: self.config.node_id.clone(), node_type: NodeType::Relay, parent, children }
    }
}

/// Which children are forwarded to although Redis has no registration of theirs, or does not have them at all.
pub(super) fn mark(children: &mut [view::Child], topology: &TopologyView) {
    for child in children {
        child.stale = topology.stale.contains(&child.name);
        child.held = topology.held.contains(&child.name);
    }
}

impl State {
    /// All children, sorted by name.
    pub(super) fn children_views(&self) -> Vec<view::Child> {
        let stats = self.plane.child_stats(self.children.values().map(|member| member.id));
        let stats = |member: &Member| stats.get(&member.id).copied().unwrap_or_default();
        self.children.iter().map(|(name, member)| self.view_of(name, member, stats(member))).collect()
    }

    /// What is worth knowing of children and keeps none of them from getting media.
    pub(super) fn name_warnings(&self) -> Vec<String> {
        let warning = |(name, member): (&String, &Member)| {
            let (why, address) = (member.reach.unresolved.as_ref()?, member.reach.address?);
            Some(format!("child {name}: {why}; copies go on to {address}"))
        };
        self.children.iter().filter_map(warning).collect()
    }

    /// One child.
    pub(super) fn child_view(&self, name: &str) -> Option<view::Child> {
        let member = self.children.get(name)?;
        let stats = self.plane.child_stats([member.id].into_iter());
        Some(self.view_of(name, member, stats.get(&member.id).copied().unwrap_or_default()))
    }

    fn view_of(&self, name: &str, member: &Member, stats: ChildStats) -> view::Child {
        let reach = &member.reach;
        let sent_to = match self.plane.mode() {
            Mode::Userspace => reach.address.is_some(),
            Mode::Xdp | Mode::Tc => reach.headers(member.id, member.spec.ports).is_some(),
        };
        view::Child {
            name: name.to_owned(),
            host: member.spec.host.clone(),
            audio_port: member.spec.ports[0],
            video_port: member.spec.ports[1],
            state: match (
                sent_to && reach.problem.is_none() && reach.mismatch.is_none(),
                reach.is_resolving(),
            ) {
                (true, _) => view::ChildState::Forwarding,
                (false, true) => view::ChildState::Resolving,
                (false, false) => view::ChildState::Unreachable,
            },
            problem: reach.shown_problem(),
            address: reach.address.map(|address| address.to_string()),
            interface: reach.hop.as_ref().map(|hop| hop.interface.name.clone()),
            mac: reach.hop.as_ref().and_then(|hop| hop.mac).map(report::mac_text),
            packets: stats.packets,
            bytes: stats.bytes,
            errors: stats.errors,
            too_big: stats.too_big,
            stale: false,
            held: false,
        }
    }
}

impl Relay {
    /// Starts a capture.
    pub async fn capture(&self, request: CaptureRequest) -> Result<Pieces, RelayError> {
        let mut state = self.state.lock().await;
        match &mut state.plane {
            Plane::Userspace(sockets) => {
                let tap = sockets.tap(TapFilter { ssrc: request.ssrc, port: request.port });
                Ok(capture::from_tap(tap, request))
            }
            Plane::Kernel(plane) => {
                let (ring, filter) = plane.capture_ring()?;
                capture::from_ring(ring, filter, request).ok_or_else(|| RelayError::CaptureRunning)
            }
        }
    }
}
