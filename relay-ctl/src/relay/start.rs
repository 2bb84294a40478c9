//! Starting: everything is checked first, then opened, and attached last of all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use relay_common::layout::{AUDIO, Child, ChildInfo, Listener, ListenerKey, MODE_XDP, VIDEO};
use tokio::sync::{Mutex, Notify, watch};

use super::family::{self, Families};
use super::hosts::{self, Answers};
use super::plane::Plane;
use super::probes::{Fallen, Looker, Probes, Standing};
use super::sources::Sources;
use super::way::{self, Way};
use super::{Member, Relay, RelayError, State, Told};
use crate::config::{ChildSpec, Config, ConfigError, Listen, ONLINE};
use crate::fanout::ChildId;
use crate::kernel::{
    self, Before, DataPlane, Facts, Found, Inherited, KernelError, Maps, Mode, ModeWanted, Pins, Start,
    choose, pins, probe,
};
use crate::metrics::Counters;
use crate::net::{Interface, NetError, Netlink};
use crate::userspace::{self, Userspace, UserspaceError};

/// Some cards set up their link anew when a program is attached, which takes them seconds.
const LINK_SETUP: Duration = Duration::from_secs(8);

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Bad configuration, exit code 64.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Netlink.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The kernel data plane.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The sockets.
    #[error(transparent)]
    Userspace(#[from] UserspaceError),
    /// A child.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

impl Relay {
    /// Starts a relay, or takes over the one that a predecessor left forwarding.
    pub async fn start(config: Config) -> Result<Relay, StartError> {
        let netlink = Netlink::connect()?;
        let interface = interface_of(&netlink, &config).await.map_err(|error| match error {
            NetError::UnknownInterface { .. } => StartError::Config(ConfigError(error.to_string())),
            other => other.into(),
        })?;
        let addresses = listen_addresses(&netlink, &interface, &config.listen).await?;
        let cpus = cpus(&config)?;
        // What a predecessor left says which names have to resolve, before anything is opened.
        let left = predecessors(&Pins::new(&config.pin_root, &config.interface));
        let specs = config.children.iter().chain(left.iter().map(|(spec, _)| spec));
        let mut answers = hosts::resolve_all(specs.map(|spec| spec.host.clone())).await;
        check_hosts(&config.children, &left, &answers)?;

        let looker = Looker::default();
        let mut kernel = open_kernel(&config, &interface, &looker)?;
        if let Some((plane, _)) = &mut kernel.plane {
            plane.spread_over(cpus);
        }
        let mut looked = Looked { bpf: kernel.bpf, ..Looked::default() };
        let (plane, inherited, decided) = match kernel.plane {
            Some((mut plane, inherited)) => {
                let left = left_behind(plane.maps(), &inherited.children);
                // Those that an older layout had.
                let unasked =
                    left.iter().map(|(spec, _)| &spec.host).filter(|host| !answers.contains_key(*host));
                let more = hosts::resolve_all(unasked.cloned()).await;
                answers.extend(more);
                let destinations = destinations(&config.children, &left, &answers, &addresses);
                let decided = decide(
                    &netlink,
                    &config,
                    &interface,
                    &destinations,
                    &mut plane,
                    &inherited,
                    &looker,
                    &mut looked,
                )
                .await;
                (Some(plane), inherited, decided)
            }
            None => (None, Inherited::default(), choose(config.mode, &looked.facts())),
        };
        let fresh = inherited.relay.is_none();
        let (mode, mode_reason) = match (decided, &plane) {
            (Ok((Mode::Userspace, _)), Some(plane)) if !fresh => Err((
                "a kernel data plane is attached there and takes the packets".to_owned(),
                format!("run `relay-ctl detach {}` first", config.interface),
            )),
            (decided, _) => decided,
        }
        .map_err(|(why, cure)| {
            if let Some(plane) = &plane {
                let _ = plane.withdraw(fresh);
            }
            KernelError::Mode { mode: config.mode.name(), interface: config.interface.clone(), why, cure }
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
        let inherited_sources = match &plane {
            Plane::Kernel(plane) => plane.maps().prefixes(),
            Plane::Userspace(_) => BTreeSet::new(),
        };
        let in_tree = config.tree.is_some();
        let state = State {
            plane,
            sources: Sources::new(&config.sources, in_tree, inherited_sources),
            mode_reason,
            ifindex: interface.index,
            interface: interface.name.clone(),
            addresses,
            children: BTreeMap::new(),
            routes: BTreeMap::new(),
            refused: BTreeMap::new(),
            probes: looked.probes,
            fallen: looked.fallen,
            problem: None,
            not_attached: None,
            chain: None,
            warnings: Vec::new(),
            interruptions: 0,
            started: std::time::Instant::now(),
        };
        let relay = Relay {
            config,
            netlink,
            state: Mutex::new(state),
            applied: watch::Sender::new(0),
            look_up_hosts: Notify::new(),
            looker,
            look_at_egress: Notify::new(),
            counters: Counters::new(),
            sums: Mutex::default(),
            tree: OnceLock::new(),
            redis: OnceLock::new(),
            created: crate::report::now_ms(),
            told: std::sync::RwLock::new(Told::default()),
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
        let live = family::live(&streams, crate::report::monotonic_ns());
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
            let way = self.inherited_way(answers.get(&spec.host), record, live, state.listened(), mode).await;
            if let Some(why) = &way.unresolved {
                tracing::warn!("child {}: {why}; copies go on to the address that it had", spec.name);
            }
            state.children.insert(spec.name.clone(), Member { id, spec, way });
        }
        state.routes = inherited.routes;
        for spec in &self.config.children {
            if state.children.contains_key(&spec.name) {
                continue;
            }
            let addresses = match answers.get(&spec.host) {
                Some(Ok(addresses)) => addresses.clone(),
                Some(Err(why)) => return Err(child_error(spec, why).into()),
                None => Vec::new(),
            };
            let address = family::choose(&addresses, None, live, state.listened())
                .ok_or_else(|| child_error(spec, "its host has no address"))?;
            self.check_new(&state, spec, address, &streams)
                .await
                .map_err(|error| child_error(spec, &error.to_string()))?;
            let mut way = Way::look_up(&self.netlink, address, mode).await;
            if let Some(refusal) = &way.refusal {
                return Err(child_error(spec, refusal).into());
            }
            way.addresses = addresses;
            let id = state.free_id().ok_or_else(|| child_error(spec, "too many children"))?;
            state.plane.begin_child(id)?;
            state.children.insert(spec.name.clone(), Member { id, spec: spec.clone(), way });
        }
        Ok(())
    }

    /// The way to a child that a predecessor had, whose record in the kernel is right until something better is known.
    async fn inherited_way(
        &self,
        answer: Option<&Result<Vec<IpAddr>, String>>,
        record: Option<Child>,
        live: Families,
        listened: Families,
        mode: Mode,
    ) -> Way {
        let known = record.map(|record| way::unmapped(record.destination));
        let chosen = match answer {
            Some(Ok(addresses)) => family::choose(addresses, known, live, listened),
            Some(Err(_)) | None => known,
        };
        let mut way = match (chosen, record) {
            (Some(address), Some(record)) if known == Some(address) => {
                Way::take_over(&self.netlink, &record, mode).await
            }
            (Some(address), _) => Way::look_up(&self.netlink, address, mode).await,
            (None, _) => Way::default(),
        };
        match answer {
            Some(Ok(addresses)) => way.addresses.clone_from(addresses),
            Some(Err(why)) if way.address.is_some() => way.unresolved = Some(why.clone()),
            Some(Err(why)) => way.problem = Some(why.clone()),
            None => {}
        }
        way
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
            plane.take_from(sources.in_force())?;
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

/// A child of a predecessor's, and the record of it that the data plane uses, if it was resolved.
type Left = (ChildSpec, Option<Child>);

/// The children of a predecessor of this layout, as far as its maps can be read.
fn predecessors(pins: &Pins) -> Vec<Left> {
    match pins.inspect() {
        Ok(Found::DataPlane) => {
            Maps::open(pins).map(|maps| left_behind(&maps, &maps.known_children())).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn left_behind(maps: &Maps, children: &[(ChildId, ChildInfo)]) -> Vec<Left> {
    children.iter().map(|(id, info)| (spec_of(info), record_of(maps, *id, info))).collect()
}

fn spec_of(info: &ChildInfo) -> ChildSpec {
    ChildSpec { name: kernel::unpadded(&info.name), host: kernel::unpadded(&info.host), ports: info.ports }
}

/// What a child's copies are made from. A daemon that died in a change may have left word of a slot that is another's.
fn record_of(maps: &Maps, id: ChildId, info: &ChildInfo) -> Option<Child> {
    let slot = info.slot.checked_sub(1)?;
    maps.children.get(&slot, 0).ok().filter(|child| child.counter == id && child.ifindex != 0)
}

/// A name in the configuration has to resolve, unless a predecessor knew it: that child goes on being forwarded to.
fn check_hosts(configured: &[ChildSpec], left: &[Left], answers: &Answers) -> Result<(), ConfigError> {
    for spec in configured {
        let known = left.iter().any(|(other, record)| {
            record.is_some() && (&other.name, &other.host) == (&spec.name, &spec.host)
        });
        if let Some(Err(why)) = answers.get(&spec.host)
            && !known
        {
            return Err(child_error(spec, why));
        }
    }
    Ok(())
}

/// Where copies will most likely go.
fn destinations(
    configured: &[ChildSpec],
    left: &[Left],
    answers: &Answers,
    listened: &[IpAddr],
) -> Vec<IpAddr> {
    let listened: Families = listened.iter().copied().collect();
    let named = |host: &str, known: Option<IpAddr>| match answers.get(host) {
        Some(Ok(addresses)) => family::choose(addresses, known, Families::default(), listened),
        Some(Err(_)) | None => known,
    };
    let configured = configured.iter().filter_map(|spec| named(&spec.host, None));
    let left = left.iter().filter_map(|(spec, record)| {
        named(&spec.host, record.map(|record| way::unmapped(record.destination)))
    });
    configured.chain(left).collect()
}

/// The kernel's side of a start, as far as there are rights to it.
struct Kernel {
    bpf: Result<(), String>,
    plane: Option<(DataPlane, Inherited)>,
}

/// Opens the data plane, if a mode of the kernel's is wanted and possible. The lock comes first: whose interface another
/// daemon looks after is not even looked at.
fn open_kernel(config: &Config, interface: &Interface, looker: &Looker) -> Result<Kernel, StartError> {
    let pins = Pins::new(&config.pin_root, &config.interface);
    let found = pins.inspect()?;
    let there = matches!(found, Found::DataPlane | Found::Older(_));
    let in_the_way = |mode: &'static str| KernelError::Mode {
        mode,
        interface: config.interface.clone(),
        why: "a kernel data plane is attached there and takes the packets".to_owned(),
        cure: format!("run `relay-ctl detach {}` first", config.interface),
    };
    if config.mode == ModeWanted::Userspace {
        if there {
            return Err(in_the_way("userspace").into());
        }
        return Ok(Kernel { bpf: Ok(()), plane: None });
    }
    let bpf = looker.prepare().and(match interface.mac {
        Some(_) => Ok(()),
        None => Err(format!("{} is no Ethernet interface", interface.name)),
    });
    if bpf.is_err() {
        if there && config.mode == ModeWanted::Auto {
            return Err(in_the_way("userspace").into());
        }
        return Ok(Kernel { bpf, plane: None });
    }
    pins::ensure_bpffs(&config.pin_root)?;
    let plane = DataPlane::open(pins, interface.index, config.constants)?;
    Ok(Kernel { bpf, plane: Some(plane) })
}

/// What was looked at on the way to a mode.
struct Looked {
    bpf: Result<(), String>,
    attach: Result<(), String>,
    transmit: Result<String, String>,
    program: Result<(), String>,
    veth: bool,
    probes: Probes,
    fallen: Option<Fallen>,
    /// Interfaces that a program was attached to for it.
    taken: Vec<u32>,
}

impl Default for Looked {
    fn default() -> Looked {
        Looked {
            bpf: Ok(()),
            attach: Ok(()),
            transmit: Err("not looked at".to_owned()),
            program: Ok(()),
            veth: false,
            probes: Probes::default(),
            fallen: None,
            taken: Vec::new(),
        }
    }
}

impl Looked {
    fn facts(&self) -> Facts {
        Facts {
            bpf: self.bpf.clone(),
            xdp_attach: self.attach.clone(),
            xdp_transmit: self.transmit.clone(),
            xdp_program: self.program.clone(),
            veth: self.veth,
            tcx: probe::tcx(),
        }
    }
}

/// The mode, and why. What was attached for looking and is not needed is taken off again.
#[allow(clippy::too_many_arguments, reason = "a start's whole circumstances, once")]
async fn decide(
    netlink: &Netlink,
    config: &Config,
    interface: &Interface,
    destinations: &[IpAddr],
    plane: &mut DataPlane,
    inherited: &Inherited,
    looker: &Looker,
    looked: &mut Looked,
) -> Result<(Mode, String), (String, String)> {
    let attached = plane.is_attached().unwrap_or(false);
    let before = inherited.relay.map(|relay| Before {
        mode: if relay.mode == MODE_XDP { Mode::Xdp } else { Mode::Tc },
        reason: kernel::unpadded(&relay.mode_reason),
        attached,
    });
    let mut chosen = match kernel::start(config.mode, before.as_ref(), &interface.name) {
        Start::Keep { mode: Mode::Xdp, reason } => {
            // Copies leave already, as far as anybody knows: the first look must not stop them.
            for egress in egresses(netlink, interface, destinations).await {
                let not_held = hold(netlink, plane, &egress).await.err();
                looked.probes.add(egress.index, &egress.name, not_held, Standing::Works { warning: None });
            }
            looked.transmit = Ok(reason.clone());
            Ok((Mode::Xdp, reason))
        }
        Start::Keep { mode, reason } => {
            // XDP lets everything pass there: the predecessor fell back, and looked whether it may return.
            let auto = config.mode == ModeWanted::Auto;
            looked.fallen = (auto && plane.holds_main()).then(|| Fallen::again(None));
            return Ok((mode, reason));
        }
        Start::Look => {
            if config.mode != ModeWanted::Tc {
                look(netlink, interface, destinations, plane, looker, looked).await;
            }
            choose(config.mode, &looked.facts())
        }
    };
    if matches!(chosen, Ok((Mode::Xdp, _)))
        && let Err(error) = plane.verify(Mode::Xdp)
    {
        tracing::warn!("{error}");
        looked.program = Err(error.to_string());
        chosen = choose(config.mode, &looked.facts());
    }
    if !matches!(chosen, Ok((Mode::Xdp, _))) {
        for ifindex in looked.taken.drain(..) {
            let _ = plane.let_go(ifindex);
        }
        looked.probes.forget_all();
    }
    chosen
}

/// Attaches what stays attached while xdp is in force, and asks whether frames get through then.
async fn look(
    netlink: &Netlink,
    interface: &Interface,
    destinations: &[IpAddr],
    plane: &mut DataPlane,
    looker: &Looker,
    looked: &mut Looked,
) {
    match hold(netlink, plane, interface).await {
        Ok(true) => looked.taken.push(interface.index),
        Ok(false) => {}
        Err(why) => {
            looked.attach = Err(why);
            return;
        }
    }
    let mut names = Vec::new();
    let mut warnings = Vec::new();
    for egress in egresses(netlink, interface, destinations).await {
        let not_held = match hold(netlink, plane, &egress).await {
            Ok(now) => {
                looked.taken.extend(now.then_some(egress.index));
                None
            }
            Err(why) => Some(why),
        };
        let verdict = looker.series(egress.index, egress.mac.unwrap_or_default(), true).await;
        looked.probes.add(egress.index, &egress.name, not_held, Standing::Looking);
        looked.probes.hear(egress.index, verdict);
        if let Some(why) = looked.probes.refusal(&BTreeSet::from([egress.index])) {
            looked.veth = egress.kind.as_deref() == Some("veth");
            looked.transmit = Err(why);
            return;
        }
        names.push(egress.name);
    }
    warnings.extend(looked.probes.warnings());
    let seen = format!("native XDP, and a probe frame got through on {}", names.join(", "));
    looked.transmit = Ok(std::iter::once(seen).chain(warnings).collect::<Vec<_>>().join("; "));
}

/// The interfaces that copies would leave by; without children the one attached to. Those that are down say nothing.
async fn egresses(netlink: &Netlink, interface: &Interface, destinations: &[IpAddr]) -> Vec<Interface> {
    let mut interfaces = BTreeMap::new();
    for address in destinations {
        if let Ok(hop) = netlink.next_hop(*address).await
            && hop.interface.mac.is_some()
            && hop.interface.up
        {
            interfaces.insert(hop.interface.index, hop.interface);
        }
    }
    if interfaces.is_empty() {
        interfaces.insert(interface.index, interface.clone());
    }
    interfaces.into_values().collect()
}

/// Holds an interface for xdp, and waits until it is up again if that made its card set up the link anew. True when a
/// program was attached to it now; the error says whose program is in the way, or why there can be none.
pub(super) async fn hold(
    netlink: &Netlink,
    plane: &mut DataPlane,
    interface: &Interface,
) -> Result<bool, String> {
    let (index, name) = (interface.index, &interface.name);
    if plane.holds(index) {
        return Ok(false);
    }
    if let Ok(Some(foreign)) = netlink.xdp_program(index).await {
        return Err(probe::in_the_way(name, &kernel::program(foreign)));
    }
    let now = plane.hold(index).map_err(|error| {
        format!("{name} takes no XDP program in its driver: {}", probe::root_cause(&error))
    })?;
    if now && interface.up && !netlink.wait_until_up(index, LINK_SETUP).await {
        tracing::warn!("{name} is down since an XDP program was attached to it");
    }
    Ok(now)
}

fn bind_sockets(config: &Config) -> Result<Userspace, StartError> {
    let addresses = config.listen.address.into_iter().collect();
    Ok(Userspace::bind(&userspace::Listen { addresses, ports: config.listen.ports })?)
}

/// The interface to attach to or, when there is none of that name, the one that may stand in for it.
pub(super) async fn interface_of(netlink: &Netlink, config: &Config) -> Result<Interface, NetError> {
    let gone = match netlink.interface(&config.interface).await {
        Err(error @ NetError::UnknownInterface { .. }) => error,
        found => return found,
    };
    let Some(prefix) = &config.stand_in else { return Err(gone) };
    stand_in(netlink.interfaces().await?, prefix).ok_or(gone)
}

/// Of several the one that is up, and of those the one that came last.
fn stand_in(interfaces: Vec<Interface>, prefix: &str) -> Option<Interface> {
    let like = |interface: &Interface| {
        interface.name.starts_with(prefix) && !interface.loopback && interface.mac.is_some()
    };
    interfaces.into_iter().filter(like).max_by_key(|interface| (interface.up, interface.index))
}

/// The local addresses that media is taken on.
pub(super) async fn listen_addresses(
    netlink: &Netlink,
    interface: &Interface,
    listen: &Listen,
) -> Result<Vec<IpAddr>, StartError> {
    let mut all = netlink.addresses(interface.index).await?;
    all.sort();
    match listen.address {
        None => Ok(all),
        Some(address) if all.contains(&address) => Ok(vec![address]),
        Some(address) => Err(ConfigError(format!(
            "--listen {address} is not an address of {}; it has: {}",
            interface.name,
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))
        .into()),
    }
}

/// The `LISTENERS` map: per address the four ports, and port 0 that only says "ours".
pub(super) fn listeners(
    addresses: &[IpAddr],
    mac: [u8; 6],
    ports: [u16; 2],
) -> HashMap<ListenerKey, Listener> {
    let mut map = HashMap::new();
    for address in addresses {
        let key = |port| ListenerKey { address: way::mapped(*address), port, reserved: [0; 2] };
        let entry = |kind, port, rtcp| Listener { mac, port, kind, rtcp, routed: 0, reserved: [0; 5] };
        map.insert(key(0), entry(0, 0, 0));
        for (kind, port) in [(AUDIO, ports[0]), (VIDEO, ports[1])] {
            map.insert(key(port), entry(kind, port, 0));
            map.insert(key(port + 1), entry(kind, port, 1));
        }
    }
    map
}

fn child_error(spec: &ChildSpec, why: &str) -> ConfigError {
    ConfigError(if why.contains(&spec.name) { why.to_owned() } else { format!("child {}: {why}", spec.name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, up: bool) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            mac: (name != "tun0").then_some([2, 0, 0, 0, 0, 1]),
            up,
            mtu: 1500,
            kind: None,
            loopback: name == "lo",
        }
    }

    #[test]
    fn the_newest_that_is_up_stands_in() {
        let all = || vec![interface(1, "lo", true), interface(5, "eth1", true), interface(9, "eth2", false)];
        let name = |prefix: &str| stand_in(all(), prefix).map(|interface| interface.name);
        assert_eq!(name("eth").as_deref(), Some("eth1"));
        assert_eq!(name("eth2").as_deref(), Some("eth2"));
        assert_eq!((name("wlan"), name("lo")), (None, None));
        let newer = all().into_iter().chain([interface(12, "eth3", true)]).collect();
        assert_eq!(stand_in(newer, "eth").unwrap().name, "eth3");
        assert!(stand_in(vec![interface(3, "tun0", true)], "tun").is_none());
    }
}
