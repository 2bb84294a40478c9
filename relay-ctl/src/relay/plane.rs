//! The data plane in use, whichever it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use relay_common::layout::{ChildStats, StreamKey, Total};
use relay_common::stream::Stream;

use super::Member;
use super::sources::Sources;
use crate::fanout::ChildId;
use crate::kernel::{self, DataPlane, KernelError};
use crate::mode::Mode;
use crate::userspace::{Plan, Target, Userspace};

/// Kernel or sockets.
pub enum Plane {
    /// xdp or tc.
    Kernel(Box<DataPlane>),
    /// userspace.
    Userspace(Userspace),
}

impl Plane {
    /// The mode in force.
    pub fn mode(&self) -> Mode {
        match self {
            Plane::Kernel(plane) => plane.mode(),
            Plane::Userspace(_) => Mode::Userspace,
        }
    }

    /// Streams and their statistics, sorted.
    pub fn streams(&self) -> Vec<(StreamKey, Stream)> {
        match self {
            Plane::Kernel(plane) => kernel::streams(plane.maps()),
            Plane::Userspace(sockets) => {
                let mut streams = sockets.streams();
                streams.sort_by_key(|(key, _)| *key);
                streams
            }
        }
    }

    /// One stream.
    pub fn stream(&self, key: &StreamKey) -> Option<Stream> {
        match self {
            Plane::Kernel(plane) => plane.maps().streams.get(key, 0).ok(),
            Plane::Userspace(sockets) => sockets.stream(key),
        }
    }

    /// Removes streams from the statistics; what they counted stays in [`Plane::forgotten`].
    pub fn forget(&mut self, keys: &[StreamKey], ports: [u16; 2]) -> Result<(), KernelError> {
        match self {
            Plane::Kernel(plane) => plane.forget(keys, ports),
            Plane::Userspace(sockets) => {
                sockets.forget(keys);
                Ok(())
            }
        }
    }

    /// What forgotten streams had, by kind.
    pub fn forgotten(&self) -> [Total; 2] {
        match self {
            Plane::Kernel(plane) => plane.maps().totals(),
            Plane::Userspace(sockets) => sockets.forgotten(),
        }
    }

    /// Bytes of the smallest receive buffer, where sockets take the media.
    pub fn receive_buffer(&self) -> Option<usize> {
        match self {
            Plane::Kernel(_) => None,
            Plane::Userspace(sockets) => sockets.receive_buffer(),
        }
    }

    /// Counters of every child that has any.
    pub fn child_stats(&self, ids: impl Iterator<Item = ChildId>) -> HashMap<ChildId, ChildStats> {
        match self {
            Plane::Kernel(plane) => ids.map(|id| (id, plane.maps().stats_of(id))).collect(),
            Plane::Userspace(sockets) => sockets.child_stats().into_iter().collect(),
        }
    }

    /// A number gets a new child: its counters begin at zero.
    pub fn begin_child(&mut self, id: ChildId) -> Result<(), KernelError> {
        match self {
            Plane::Kernel(plane) => plane.maps_mut().clear_stats(id),
            Plane::Userspace(sockets) => {
                sockets.reset_child(id);
                Ok(())
            }
        }
    }

    /// A number has no child any more.
    pub fn end_child(&mut self, id: ChildId) -> Result<(), KernelError> {
        match self {
            Plane::Kernel(plane) => plane.name_child(id, None),
            Plane::Userspace(_) => Ok(()),
        }
    }
}

/// What the sockets are to do.
pub fn userspace_plan(
    children: &BTreeMap<String, Member>,
    routes: &BTreeMap<StreamKey, BTreeSet<ChildId>>,
    sources: &Sources,
) -> Plan {
    let reachable: Vec<&Member> = children.values().filter(|member| member.reach.address.is_some()).collect();
    let targets = reachable
        .iter()
        .filter_map(|member| {
            Some(Target { counter: member.id, address: member.reach.address?, ports: member.spec.ports })
        })
        .collect();
    let index: HashMap<ChildId, usize> =
        reachable.iter().enumerate().map(|(at, member)| (member.id, at)).collect();
    Plan {
        children: targets,
        all: (0..reachable.len()).collect(),
        routes: routes
            .iter()
            .map(|(key, subset)| (*key, subset.iter().filter_map(|id| index.get(id).copied()).collect()))
            .collect(),
        sources: sources.in_force().clone(),
        twins: sources.twins().clone(),
    }
}
