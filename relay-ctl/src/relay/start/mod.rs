//! Starting: everything is checked first, then opened, and attached last of all.

mod decide;
mod predecessor;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use node::drain::Drain;
use node::http::Limits;
use node::metrics::Kept;
use node::tasks::Tasks;
use node::watch::Redirector;
use relay_common::layout::Child;
use tokio::sync::{Mutex, Notify, watch};

use super::egress::Egress;
use super::family::{self, Families};
use super::interface::{interface_of, listen_addresses, listeners};
use super::plane::Plane;
use super::probes::EgressProber;
use super::reach::{Problem, Reach};
use super::sources::Sources;
use super::streams::StreamTable;
use super::{ChildError, Counters, Member, Membership, Relay, RelayError, Repairs, StartError, State};
use crate::address::unmapped;
use crate::clock::monotonic_ns;
use crate::config::{Config, ConfigError, ONLINE};
use crate::kernel::{Inherited, KernelError, Pins};
use crate::mode::{Mode, choose};
use crate::net::{Interface, NetError, Netlink};
use crate::userspace::{self, Userspace};
use node::resolve::{self, Answers};

use decide::{Circumstances, Findings, open_kernel};
use predecessor::{check_hosts, destinations, left_behind, predecessors, record_of, spec_of};

impl Relay {
    /// Starts a relay, or takes over the one that a predecessor left forwarding.
    pub async fn start(config: Config) -> Result<Relay, StartError> {
        let netlink = Netlink::connect()?;
        let interface = interface_of(&netlink, &config).await.map_err(|error| match error {
            NetError::UnknownInterface { .. } => StartError::Config(ConfigError(error.to_string())),
            other => other.into(),
        })?;
        let addresses = listen_addresses(&netlink, &interface, &config).await?;
        let cpus = cpus(&config)?;
        // What a predecessor left says which names have to resolve, before anything is opened.
        let left = predecessors(&Pins::new(&config.pin_root, &config.interface));
        let specs = config.children.iter().chain(left.iter().map(|(spec, _)| spec));
        let mut answers = resolve::resolve_all(specs.map(|spec| spec.host.clone())).await;
        check_hosts(&config.children, &left, &answers)?;

        let prober = EgressProber::default();
        let mut kernel = open_kernel(&config, &interface, &prober)?;
        if let Some((plane, _)) = &mut kernel.plane {
            plane.spread_over(cpus);
        }
        let mut findings = Findings { bpf: kernel.bpf, ..Findings::default() };
        let (plane, inherited, decided) = match kernel.plane {
            Some((mut plane, inherited)) => {
                let left = left_behind(plane.maps(), &inherited.children);
                // Those that an older layout had.
                let unasked =
                    left.iter().map(|(spec, _)| &spec.host).filter(|host| !answers.contains_key(*host));
                let more = resolve::resolve_all(unasked.cloned()).await;
                answers.extend(more);
                let circumstances = Circumstances {
                    netlink: &netlink,
                    config: &config,
                    interface: &interface,
                    destinations: destinations(&config.children, &left, &answers, &addresses),
                    prober: &prober,
                };
                let decided = circumstances.mode(&mut plane, &inherited, &mut findings).await;
                (Some(plane), inherited, decided)
            }
            None => (None, Inherited::default(), choose(config.mode, &findings.facts())),
        };
        let fresh = inherited.relay.is_none();
        let (mode, mode_reason) = match (decided, &plane) {
            (Ok((Mode::Userspace, _)), Some(plane)) if !fresh => Err((
                "a kernel data plane is attached there and takes the packets".to_owned(),
                format!("run `relay-ctl detach {}` first", config.interface),
            )),
            (decided, _) => decided,
        }
        .map_err(|(why, fix)| {
            if let Some(plane) = &plane {
                let _ = plane.withdraw(fresh);
            }
            KernelError::Mode { mode: config.mode.name(), interface: config.interface.clone(), why, fix }
        })?;
        let plane = match (mode, plane) {
            (Mode::Userspace, plane) => {
                if let Some(plane) = plane {
                    plane.withdraw(fresh)?;
                }
                Plane::Userspace(bind_sockets(&config)?)
            }
            (Mode::Xdp | Mode::Tc, Some(plane)) => Plane::Kernel(Box::new(plane)),
            (Mode::Xdp | Mode::Tc, None) => unreachable!("no kernel mode is chosen without rights"),
        };
        if config.cpus.is_some() && mode != Mode::Xdp {
            tracing::warn!("--cpus has no effect in {mode}: streams are spread over CPUs in xdp only");
        }
        let (inherited_sources, twins) = match &plane {
            Plane::Kernel(plane) => (plane.maps().prefixes(), plane.maps().twins()),
            Plane::Userspace(_) => Default::default(),
        };
        let in_tree = config.tree.is_some();
        let state = State {
            plane,
            sources: Sources::new(&config.sources, in_tree, inherited_sources, twins),
            mode_reason,
            ifindex: interface.index,
            interface: interface.name.clone(),
            addresses,
            children: BTreeMap::new(),
            removed: Kept::default(),
            routes: BTreeMap::new(),
            refused: BTreeMap::new(),
            probes: findings.probes,
            fallen: findings.fallen,
            problem: None,
            not_attached: None,
            chain: None,
            warnings: Vec::new(),
            interruptions: 0,
            started: std::time::Instant::now(),
        };
        let streams = StreamTable::new(Pins::new(&config.pin_root, &config.interface), config.listen.ports);
        let relay = Relay {
            limits: Limits::new(config.http.clone()),
            redirector: Arc::new(Redirector::new(&config)),
            drain: Drain::new(config.drain_limit, "children"),
            unheard: std::sync::Mutex::default(),
            between: watch::Sender::new(false),
            repairs: std::sync::Mutex::new(Repairs::new(config.repair_within)),
            tasks: Tasks::default(),
            config,
            netlink,
            state: Mutex::new(state),
            applied: watch::Sender::new(0),
            names_due: Notify::new(),
            egress: Egress::new(prober),
            streams,
            membership: Membership::begin(),
            counters: Counters::new(),
            parents: Default::default(),
            overflow: Default::default(),
        };
        let started = match relay.populate(inherited, &answers, mode).await {
            Ok(()) => relay.go(&interface, mode, fresh).await,
            Err(error) => Err(error),
        };
        if started.is_err()
            && let Plane::Kernel(plane) = &relay.state.lock().await.plane
        {
            // Nothing forwards yet: leave nothing behind. What a predecessor attached stays as it is.
            let _ = plane.withdraw(fresh);
        }
        // Not before: of a start that is refused, one line says why.
        if started.is_ok() && !in_tree && relay.config.sources.is_empty() {
            tracing::warn!("media is taken from anybody; --source CIDR limits it");
        }
        started.map(|()| relay)
    }

    /// Children that a predecessor had, then those of the configuration.
    async fn populate(&self, inherited: Inherited, answers: &Answers, mode: Mode) -> Result<(), StartError> {
        let mut state = self.state.lock().await;
        let streams = state.plane.streams();
        let live = family::live(&streams, monotonic_ns());
        for (id, info) in inherited.children {
            let spec = spec_of(&info);
            let record = match &state.plane {
                Plane::Kernel(plane) => record_of(plane.maps(), id, &info),
                Plane::Userspace(_) => None,
            };
            let configured = self.config.children.iter().find(|other| other.name == spec.name);
            // One that is to be elsewhere now is not where it was.
            let record = record.filter(|_| configured.is_none_or(|configured| configured.host == spec.host));
            let spec = configured.cloned().unwrap_or(spec);
            let reach =
                self.inherited_reach(answers.get(&spec.host), record, live, state.listened(), mode).await;
            if let Some(why) = &reach.unresolved {
                tracing::warn!("child {}: {why}; copies go on to the address that it had", spec.name);
            }
            state.children.insert(spec.name.clone(), Member { id, spec, reach });
        }
        state.routes = inherited.routes;
        for spec in &self.config.children {
            if state.children.contains_key(&spec.name) {
                continue;
            }
            let addresses = match answers.get(&spec.host) {
                Some(Ok(addresses)) => addresses.clone(),
                Some(Err(why)) => return Err(refused(&spec.name)(ChildError::Host(why.clone()))),
                None => Vec::new(),
            };
            let address = family::choose(&addresses, None, live, state.listened())
                .ok_or_else(|| refused(&spec.name)(ChildError::no_address(&spec.host)))?;
            state
                .check_new(&self.config, &self.netlink, spec, address, &streams)
                .await
                .map_err(refused(&spec.name))?;
            let mut reach = Reach::find(&self.netlink, address, mode).await;
            if let Some(refusal) = reach.refusal {
                return Err(refused(&spec.name)(ChildError::Unsendable(refusal)));
            }
            reach.addresses = addresses;
            let id = state.free_id().ok_or_else(|| refused(&spec.name)(ChildError::TooMany))?;
            state.plane.begin_child(id)?;
            state.children.insert(spec.name.clone(), Member { id, spec: spec.clone(), reach });
        }
        Ok(())
    }

    /// How a child that a predecessor had is reached. Its record in the kernel is right until something better is known.
    async fn inherited_reach(
        &self,
        answer: Option<&Result<Vec<IpAddr>, String>>,
        record: Option<Child>,
        live: Families,
        listened: Families,
        mode: Mode,
    ) -> Reach {
        let known = record.map(|record| unmapped(record.destination));
        let chosen = match answer {
            Some(Ok(addresses)) => family::choose(addresses, known, live, listened),
            Some(Err(_)) | None => known,
        };
        let mut reach = match (chosen, record) {
            (Some(address), Some(record)) if known == Some(address) => {
                Reach::take_over(&self.netlink, &record, mode).await
            }
            (Some(address), _) => Reach::find(&self.netlink, address, mode).await,
            (None, _) => Reach::default(),
        };
        match answer {
            Some(Ok(addresses)) => reach.addresses.clone_from(addresses),
            Some(Err(why)) if reach.address.is_some() => reach.unresolved = Some(why.clone()),
            Some(Err(why)) => reach.problem = Some(Problem::Host(why.clone())),
            None => {}
        }
        reach
    }

    /// Fills the maps, then attaches: from its first packet the relay forwards to all children.
    async fn go(&self, interface: &Interface, mode: Mode, fresh: bool) -> Result<(), StartError> {
        let mut state = self.state.lock().await;
        let listeners =
            listeners(&state.addresses, interface.mac.unwrap_or_default(), self.config.listen.ports);
        let reason = state.mode_reason.clone();
        let State { plane, sources, .. } = &mut *state;
        if let Plane::Kernel(plane) = plane {
            plane.prepare(mode)?;
            plane.take_from(sources.in_force(), sources.twins())?;
            // An older layout version's maps describe themselves, and these are as new as at a first start.
            if fresh || plane.is_upgrade() {
                plane.describe(&self.config.node_id, self.config.listen.ports, &reason, true)?;
            }
            plane.listen(listeners)?;
        }
        self.apply(&mut state).await?;
        let State { plane, warnings, .. } = &mut *state;
        if let Plane::Kernel(plane) = plane {
            let upgraded = plane.is_upgrade().then(|| {
                "taken over from an older layout version: counters began anew, children and routes are the same".to_owned()
            });
            plane.attach()?;
            if let Some(upgraded) = upgraded {
                tracing::warn!("{upgraded}");
                warnings.push(upgraded);
            }
            if !fresh {
                // Only now is the mode what it says; a crash before must not make the next daemon believe it.
                plane.describe(&self.config.node_id, self.config.listen.ports, &reason, false)?;
            }
        }
        Ok(())
    }
}

/// The CPUs that streams are spread over; none: they are not.
fn cpus(config: &Config) -> Result<Vec<u32>, ConfigError> {
    let Some(cpus) = &config.cpus else { return Ok(Vec::new()) };
    let online = std::fs::read_to_string(ONLINE)
        .map_err(|error| ConfigError(format!("--cpus: cannot read {ONLINE}: {error}")))?;
    cpus.of(&online)
}

fn bind_sockets(config: &Config) -> Result<Userspace, StartError> {
    let addresses = config.listen.address.into_iter().collect();
    let sockets = Userspace::bind(&userspace::Listen { addresses, ports: config.listen.ports })?;
    sockets.keep_history(config.history);
    Ok(sockets)
}

/// A child of the configuration that cannot be: bad configuration, whatever is wrong with it.
fn refused(child: &str) -> impl Fn(ChildError) -> StartError + '_ {
    move |error| ConfigError(RelayError::of(child)(error).to_string()).into()
}
