//! The relay as a whole: its children, the way to each, the routes of streams, and the data plane that has them. Every
//! change goes through here, one at a time.

mod egress;
mod family;
mod feedback;
mod hosts;
mod plane;
mod probes;
mod sample;
mod sources;
mod start;
mod status;
mod tree;
mod watch;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use node::tree::Tree;
use relay_common::layout::{ChildInfo, HOST, MAX_CHILDREN, NAME, StreamKey};
use relay_common::stream::Stream;
use tokio::sync::{Mutex, Notify, watch as version};

use crate::config::{ChildSpec, Config, ConfigError};
use crate::fanout::{ChildId, FanoutError, Wanted};
use crate::kernel::{KernelError, Mode, padded};
use crate::metrics::Counters;
use crate::net::Netlink;
use crate::view;

use plane::Plane;
use probes::{Fallen, Looker, Probes};
pub use sample::{Forwarder, Sample, Told};
use sources::Sources;
pub use start::StartError;
use way::Way;
pub use way::{mapped, unmapped};

/// How long `child add` waits for the next hop's MAC before it answers "still resolving".
const RESOLVE_WAIT: Duration = Duration::from_secs(1);

/// How often a change is tried again that finds no room because earlier ones are still in their grace.
const BUSY_TRIES: u32 = 20;

/// A relay that runs.
pub struct Relay {
    config: Config,
    netlink: Netlink,
    state: Mutex<State>,
    /// Counts applied changes, for those who wait for one.
    applied: version::Sender<u64>,
    /// Some child's host name is to be looked up now.
    look_up_hosts: Notify,
    /// Asks interfaces whether they take XDP frames.
    looker: Looker,
    /// There is one that has to be asked now.
    look_at_egress: Notify,
    /// What has happened since the daemon started, for the metrics.
    counters: Counters,
    /// Held while streams and totals are added up, and while some go from the ones to the others.
    sums: Mutex<()>,
    /// Follows Redis, in a relay that is run with it.
    tree: OnceLock<Tree>,
    /// Where Redis is, as far as that is known.
    redis: OnceLock<SocketAddr>,
    /// ms since 1970 at which the daemon started.
    created: u64,
    /// What Redis told, as far as it is shown.
    told: std::sync::RwLock<Told>,
}

struct State {
    plane: Plane,
    mode_reason: String,
    /// Interface that the relay is attached to, as it is now.
    ifindex: u32,
    /// Its name, another than the configuration's when it stands in for that.
    interface: String,
    /// Local addresses that media is taken on.
    addresses: Vec<IpAddr>,
    children: BTreeMap<String, Member>,
    routes: BTreeMap<StreamKey, BTreeSet<ChildId>>,
    /// Where media is taken from.
    sources: Sources,
    /// Children that the tree wants and that cannot be, and why.
    refused: BTreeMap<String, String>,
    probes: Probes,
    /// It runs by tc because xdp stopped working, and looks whether it may return.
    fallen: Option<Fallen>,
    /// What is wrong with the relay itself.
    problem: Option<String>,
    /// Why its programs are not on the interface, while they are to be.
    not_attached: Option<String>,
    /// Who is before us in tc, if anybody.
    chain: Option<String>,
    /// What people should know although it works.
    warnings: Vec<String>,
    interruptions: u64,
    started: std::time::Instant,
}

#[derive(Clone)]
struct Member {
    id: ChildId,
    spec: ChildSpec,
    way: Way,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The data plane refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl From<ConfigError> for RelayError {
    fn from(error: ConfigError) -> Self {
        RelayError::Bad(error.0)
    }
}

impl Relay {
    /// What it was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What has happened since the daemon started.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds a child and waits a moment until it is forwarded to.
    pub async fn add_child(&self, spec: ChildSpec) -> Result<view::Child, RelayError> {
        let addresses = hosts::resolve(&spec.host).await.map_err(RelayError::Bad)?;
        let name = spec.name.clone();
        let streams = self.read_streams().await;
        let live = family::live(&streams, crate::report::monotonic_ns());
        {
            let mut state = self.state.lock().await;
            let address = family::choose(&addresses, None, live, state.listened())
                .ok_or_else(|| RelayError::Bad(format!("host '{}' has no address", spec.host)))?;
            self.check_new(&state, &spec, address, &streams).await?;
            let id = state.free_id().ok_or_else(|| {
                RelayError::Conflict(format!(
                    "a relay has at most {MAX_CHILDREN} children; put a relay between"
                ))
            })?;
            let mut way = Way::look_up(&self.netlink, address, state.plane.mode()).await;
            if let Some(refusal) = &way.refusal {
                return Err(RelayError::Conflict(format!("child {name}: {refusal}")));
            }
            way.addresses = addresses;
            state.plane.begin_child(id)?;
            state.children.insert(name.clone(), Member { id, spec, way });
            if let Err(error) = self.apply(&mut state).await {
                // Undo: a child that cannot be placed must not linger.
                state.children.remove(&name);
                let _ = state.plane.end_child(id);
                let _ = self.apply(&mut state).await;
                return Err(error);
            }
        }
        self.wait_for_way(&name).await;
        let state = self.state.lock().await;
        state.child_view(&name).ok_or_else(|| unknown_child(&name))
    }

    /// Removes a child. When this returns, no packet that comes in later is sent to it. When it fails, the child is there
    /// as before.
    pub async fn remove_child(&self, name: &str) -> Result<(), RelayError> {
        let mut state = self.state.lock().await;
        let routes = state.routes.clone();
        let member = state.children.remove(name).ok_or_else(|| unknown_child(name))?;
        for subset in state.routes.values_mut() {
            subset.remove(&member.id);
        }
        if let Err(error) = self.apply(&mut state).await {
            state.children.insert(name.to_owned(), member);
            state.routes = routes;
            // Back to what was, or as near to it as the kernel lets us.
            let _ = self.apply(&mut state).await;
            return Err(error);
        }
        state.plane.end_child(member.id)?;
        Ok(())
    }

    /// Gives a stream a fan-out set of its own, or the set of all children back.
    pub async fn route(&self, route: view::Route) -> Result<(), RelayError> {
        let mut state = self.state.lock().await;
        let ports = self.config.listen.ports;
        if !ports.contains(&route.port) {
            return Err(RelayError::Bad(format!(
                "port {} is not one that this relay listens on ({} or {})",
                route.port, ports[0], ports[1]
            )));
        }
        let key = StreamKey { port: route.port, reserved: [0; 2], ssrc: route.ssrc };
        let before = state.routes.get(&key).cloned();
        match route.children {
            None => {
                state.routes.remove(&key);
            }
            Some(names) => {
                let subset = names
                    .iter()
                    .map(|name| {
                        state.children.get(name).map(|member| member.id).ok_or_else(|| unknown_child(name))
                    })
                    .collect::<Result<BTreeSet<ChildId>, RelayError>>()?;
                state.routes.insert(key, subset);
            }
        }
        if let Err(error) = self.apply(&mut state).await {
            match before {
                Some(subset) => state.routes.insert(key, subset),
                None => state.routes.remove(&key),
            };
            let _ = self.apply(&mut state).await;
            return Err(error);
        }
        Ok(())
    }

    /// What must not become a child.
    async fn check_new(
        &self,
        state: &State,
        spec: &ChildSpec,
        address: IpAddr,
        streams: &[(StreamKey, Stream)],
    ) -> Result<(), RelayError> {
        if state.children.contains_key(&spec.name) {
            return Err(RelayError::Conflict(format!(
                "there is a child {} already; remove it first, or choose another name",
                spec.name
            )));
        }
        self.check_place(state, spec, address).await?;
        let sender = streams.iter().find(|(_, stream)| {
            way::unmapped(stream.source) == address && spec.ports.contains(&stream.source_port)
        });
        // No reason to refuse it: anybody can put an address on a packet. And a loop it is not, since the data plane leaves
        // out whoever a packet comes from.
        if let Some((key, _)) = sender {
            tracing::warn!(
                "child {} is where SSRC {} comes from: it gets no copies of that",
                spec.name,
                key.ssrc
            );
        }
        Ok(())
    }

    /// Where no child may be: where another one is, and where the relay itself listens. (A child that sends media is
    /// found by the data plane, packet by packet.)
    async fn check_place(&self, state: &State, spec: &ChildSpec, address: IpAddr) -> Result<(), RelayError> {
        if let Some(other) = state.children.values().find(|member| {
            member.spec.name != spec.name
                && member.way.address == Some(address)
                && member.spec.ports.iter().any(|port| spec.ports.contains(port))
        }) {
            return Err(RelayError::Conflict(format!(
                "child {} has the same address and port as {}, which would get everything twice",
                spec.name, other.spec.name
            )));
        }
        let own = self.config.listen.ports;
        // Sockets listen on every address of the host, unless told otherwise.
        let everywhere = state.plane.mode() == Mode::Userspace && self.config.listen.address.is_none();
        let mine = state.addresses.contains(&address)
            || (everywhere && self.netlink.is_local(address).await.unwrap_or(false));
        if mine && spec.ports.iter().any(|port| own.contains(port)) {
            return Err(RelayError::Conflict(format!(
                "child {} is this relay itself ({address}); media would go round in a loop",
                spec.name
            )));
        }
        Ok(())
    }

    /// Makes the data plane have what the state says.
    async fn apply(&self, state: &mut State) -> Result<(), RelayError> {
        self.check_egress(state).await;
        let mut tries = BUSY_TRIES;
        loop {
            match state.write() {
                Err(KernelError::Fanout(FanoutError::Busy)) if tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(Duration::from_millis(crate::fanout::GRACE_MS)).await;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => break,
            }
        }
        self.applied.send_modify(|version| *version += 1);
        Ok(())
    }

    async fn wait_for_way(&self, name: &str) {
        let mut applied = self.applied.subscribe();
        let deadline = tokio::time::Instant::now() + RESOLVE_WAIT;
        loop {
            let waiting = {
                let state = self.state.lock().await;
                state.children.get(name).is_some_and(|member| member.way.is_resolving())
            };
            if !waiting || tokio::time::timeout_at(deadline, applied.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl State {
    fn free_id(&self) -> Option<ChildId> {
        let used: BTreeSet<ChildId> = self.children.values().map(|member| member.id).collect();
        (0..MAX_CHILDREN).find(|id| !used.contains(id))
    }

    /// Children and routes as the fan-out wants them.
    fn wanted(&self) -> Wanted {
        Wanted {
            children: self
                .children
                .values()
                .filter_map(|member| Some((member.id, member.way.headers(member.id, member.spec.ports)?)))
                .collect(),
            routes: self.routes.clone(),
        }
    }

    fn write(&mut self) -> Result<(), KernelError> {
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
                sockets.publish(plane::userspace_plan(&self.children, &self.routes, self.sources.in_force()));
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

fn unknown_child(name: &str) -> RelayError {
    RelayError::NotFound(format!("no child {name}; `relay-ctl children` lists them"))
}
