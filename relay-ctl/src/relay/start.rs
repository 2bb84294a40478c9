//! Starting: everything is checked first, then opened, and attached last of all.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::OnceLock;

use relay_common::layout::{AUDIO, Child, ChildInfo, Listener, ListenerKey, VIDEO};
use tokio::sync::{Mutex, Notify, watch};

use super::family::{self, Families};
use super::hosts::{self, Answers};
use super::plane::Plane;
use super::probes::Probes;
use super::way::{self, Way};
use super::{Member, Relay, RelayError, State, Told};
use crate::config::{ChildSpec, Config, ConfigError, Listen};
use crate::fanout::ChildId;
use crate::kernel::{
    self, DataPlane, Facts, Found, Inherited, KernelError, Maps, Mode, ModeWanted, Pins, choose, pins, probe,
};
use crate::metrics::Counters;
use crate::net::{Interface, NetError, Netlink};
use crate::userspace::{self, Userspace, UserspaceError};

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
        let pins = Pins::new(&config.pin_root, &config.interface);
        let found = inspect(&pins, config.mode)?;
        let left = if found == Found::DataPlane { left_behind(&Maps::open(&pins)?) } else { Vec::new() };
        let specs = config.children.iter().chain(left.iter().map(|(spec, _)| spec));
        let answers = hosts::resolve_all(specs.map(|spec| spec.host.clone())).await;
        check_hosts(&config.children, &left, &answers)?;
        let mut probes = Probes::default();
        let destinations = destinations(&config.children, &left, &answers, &addresses);
        let facts = find_out(&netlink, &config, &interface, &destinations, found, &pins, &mut probes).await;
        let (mode, mode_reason) = choose(config.mode, &facts).map_err(|(why, cure)| KernelError::Mode {
            mode: match config.mode {
                ModeWanted::Xdp => "xdp",
                ModeWanted::Tc => "tc",
                ModeWanted::Auto | ModeWanted::Userspace => "userspace",
            },
            interface: config.interface.clone(),
            why,
            cure,
        })?;
        if mode == Mode::Userspace && found == Found::DataPlane {
            return Err(KernelError::Mode {
                mode: "userspace",
                interface: config.interface.clone(),
                why: "a kernel data plane is attached there and takes the packets".to_owned(),
                cure: format!("run `relay-ctl detach {}` first", config.interface),
            }
            .into());
        }

        let (plane, inherited) = match mode {
            Mode::Userspace => (Plane::Userspace(bind_sockets(&config)?), Inherited::default()),
            Mode::Xdp | Mode::Tc => {
                pins::ensure_bpffs(&config.pin_root)?;
                let (plane, inherited) = DataPlane::open(pins, interface.index, config.constants)?;
                (Plane::Kernel(Box::new(plane)), inherited)
            }
        };
        let fresh = inherited.relay.is_none();
        let state = State {
            plane,
            mode_reason,
            ifindex: interface.index,
            interface: interface.name.clone(),
            addresses,
            children: BTreeMap::new(),
            routes: BTreeMap::new(),
            refused: BTreeMap::new(),
            probes,
            problem: None,
            interruptions: 0,
            started: std::time::Instant::now(),
        };
        let relay = Relay {
            config,
            netlink,
            state: Mutex::new(state),
            applied: watch::Sender::new(0),
            look_up_hosts: Notify::new(),
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
        if started.is_err() && fresh && mode != Mode::Userspace {
            // Nothing forwards yet: leave nothing behind. What a predecessor attached stays as it is.
            let _ = Pins::new(&relay.config.pin_root, &relay.config.interface).remove();
        }
        started.map(|()| relay)
    }

    /// Children that a predecessor had, then those of the configuration.
    async fn populate(&self, inherited: Inherited, answers: &Answers, mode: Mode) -> Result<(), StartError> {
        let mut state = self.state.lock().await;
        let streams = state.plane.streams();
        let live = Families::live(&streams, crate::report::monotonic_ns());
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
        if let Plane::Kernel(plane) = &mut state.plane {
            plane.prepare(mode)?;
            if fresh {
                plane.describe(&self.config.node_id, self.config.listen.ports, &reason, true)?;
            }
            plane.listen(listeners)?;
        }
        self.apply(&mut state).await?;
        if let Plane::Kernel(plane) = &mut state.plane {
            plane.attach()?;
            if !fresh {
                // Only now is the mode what it says; a crash before must not make the next daemon believe it.
                plane.describe(&self.config.node_id, self.config.listen.ports, &reason, false)?;
            }
        }
        Ok(())
    }
}

/// A child of a predecessor's, and the record of it that the data plane uses, if it was resolved.
type Left = (ChildSpec, Option<Child>);

/// The predecessor's children.
fn left_behind(maps: &Maps) -> Vec<Left> {
    let children = maps.known_children().into_iter();
    children.map(|(id, info)| (spec_of(&info), record_of(maps, id, &info))).collect()
}

fn spec_of(info: &ChildInfo) -> ChildSpec {
    ChildSpec { name: kernel::unpadded(&info.name), host: kernel::unpadded(&info.host), ports: info.ports }
}

/// What a child's copies are made from. A daemon that died in a change may have left word of a slot that is another's.
fn record_of(maps: &Maps, id: ChildId, info: &ChildInfo) -> Option<Child> {
    let slot = info.slot.checked_sub(1)?;
    maps.children.get(&slot, 0).ok().filter(|child| child.counter == id)
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

/// Without rights there is nothing to look at, and userspace mode does not need it.
fn inspect(pins: &Pins, mode: ModeWanted) -> Result<Found, StartError> {
    match pins.inspect() {
        Ok(found) => Ok(found),
        Err(KernelError::PinFolder { .. }) if matches!(mode, ModeWanted::Userspace | ModeWanted::Auto) => {
            Ok(Found::Nothing)
        }
        Err(error) => Err(error.into()),
    }
}

async fn find_out(
    netlink: &Netlink,
    config: &Config,
    interface: &Interface,
    destinations: &[IpAddr],
    found: Found,
    pins: &Pins,
    probes: &mut Probes,
) -> Facts {
    let nothing = || Err("not looked at".to_owned());
    if config.mode == ModeWanted::Userspace {
        return Facts { bpf: Ok(()), xdp_attach: Ok(()), xdp_transmit: nothing(), tcx: Ok(()) };
    }
    let bpf = probe::bpf_rights().and(match interface.mac {
        Some(_) => Ok(()),
        None => Err(format!("{} is no Ethernet interface", interface.name)),
    });
    let mut facts = Facts { bpf, xdp_attach: Ok(()), xdp_transmit: nothing(), tcx: probe::tcx() };
    if facts.bpf.is_err() || config.mode == ModeWanted::Tc {
        return facts;
    }
    // A link of our own is proof enough, and in the way of another attempt.
    let attached = found == Found::DataPlane && pins.file(pins::LINK_XDP).exists();
    if !attached {
        facts.xdp_attach = probe::xdp_attach(interface.index, &interface.name);
    }
    if facts.xdp_attach.is_ok() {
        facts.xdp_transmit = transmit(netlink, interface, destinations, probes).await;
    }
    facts
}

/// Probes every interface that copies would leave by; without children the one attached to.
async fn transmit(
    netlink: &Netlink,
    interface: &Interface,
    destinations: &[IpAddr],
    probes: &mut Probes,
) -> Result<String, String> {
    let mut interfaces = BTreeMap::new();
    for address in destinations {
        if let Ok(hop) = netlink.next_hop(*address).await
            && let Some(mac) = hop.interface.mac
        {
            interfaces.insert(hop.interface.index, (hop.interface.name, mac));
        }
    }
    if interfaces.is_empty() {
        interfaces.insert(interface.index, (interface.name.clone(), interface.mac.unwrap_or_default()));
    }
    let mut names = Vec::new();
    for (ifindex, (name, mac)) in interfaces {
        probes.ask(ifindex, &name, mac)?;
        names.push(name);
    }
    Ok(format!("native XDP, and a probe frame got through on {}", names.join(", ")))
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
