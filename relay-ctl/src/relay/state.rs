//! What a relay knows and has, behind the one lock that changes wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use node::metrics::Kept;
use relay_common::layout::{ChildInfo, HOST, MAX_CHILDREN, NAME, StreamKey};

use super::plane::{self, Plane};
use super::probes::{Fallen, Probes};
use super::reach::Reach;
use super::sources::Sources;
use crate::config::ChildSpec;
use crate::fanout::{ChildId, Wanted};
use crate::kernel::{KernelError, padded};

/// Everything that changes.
pub struct State {
    pub plane: Plane,
    pub mode_reason: String,
    /// Interface that the relay is attached to, as it is now.
    pub ifindex: u32,
    /// Its name, another than the configuration's when it stands in for that.
    pub interface: String,
    /// Local addresses that media is taken on.
    pub addresses: Vec<IpAddr>,
    pub children: BTreeMap<String, Member>,
    /// What children that were removed had counted: copies, their bytes, and those that failed.
    pub removed: Kept<String, 3>,
    pub routes: BTreeMap<StreamKey, BTreeSet<ChildId>>,
    /// Where media is taken from.
    pub sources: Sources,
    /// Children that the tree wants and that cannot be, and why.
    pub refused: BTreeMap<String, String>,
    pub probes: Probes,
    /// It runs by tc because xdp stopped working, and probes whether it may return.
    pub fallen: Option<Fallen>,
    /// What is wrong with the relay itself.
    pub problem: Option<String>,
    /// Why its programs are not on the interface, while they are to be.
    pub not_attached: Option<String>,
    /// Who is before us in tc, if anybody.
    pub chain: Option<String>,
    /// What people should know although it works.
    pub warnings: Vec<String>,
    pub interruptions: u64,
    pub started: Instant,
}

/// A child.
#[derive(Clone)]
pub struct Member {
    pub id: ChildId,
    pub spec: ChildSpec,
    pub reach: Reach,
}

impl State {
    pub fn free_id(&self) -> Option<ChildId> {
        let used: BTreeSet<ChildId> = self.children.values().map(|member| member.id).collect();
        (0..MAX_CHILDREN).find(|id| !used.contains(id))
    }

    /// Children and routes as the fan-out wants them.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            children: self
                .children
                .values()
                .filter_map(|member| Some((member.id, member.reach.headers(member.id, member.spec.ports)?)))
                .collect(),
            routes: self.routes.clone(),
        }
    }

    /// What a child has counted since it came: copies, their bytes, and those that failed.
    pub fn counted(&self, id: ChildId) -> [u64; 3] {
        let stats = self.plane.child_stats([id].into_iter()).get(&id).copied().unwrap_or_default();
        [stats.packets, stats.bytes, stats.errors]
    }

    pub fn write(&mut self) -> Result<(), KernelError> {
        let wanted = self.wanted();
        match &mut self.plane {
            Plane::Kernel(plane) => {
                plane.change(&wanted)?;
                for member in self.children.values() {
                    plane.name_child(member.id, Some(info(&member.spec)))?;
                }
                Ok(())
            }
            Plane::Userspace(sockets) => {
                sockets.publish(plane::userspace_plan(&self.children, &self.routes, &self.sources));
                Ok(())
            }
        }
    }
}

fn info(spec: &ChildSpec) -> ChildInfo {
    ChildInfo {
        name: padded::<NAME>(&spec.name),
        host: padded::<HOST>(&spec.host),
        ports: spec.ports,
        slot: 0,
    }
}
