//! What nobody asks for: the kernel's tables change, host names move, neighbours want to be asked again, streams end.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::interface::{interface_of, listen_addresses, listeners};
use super::plane::Plane;
use super::streams::PATIENCE;
use super::{Relay, StartError, State};
use crate::config::Config;
use crate::kernel::{KernelError, Pins, probe};
use crate::mode::{Mode, ModeWanted};
use crate::net::{Change, Changes, Interface, NetError, Netlink};

/// Changes of the kernel's tables come in bursts; one reading answers them all.
const SETTLE: Duration = Duration::from_millis(2);
/// XDP's copies do not pass the stack, so nothing else keeps the neighbour entries fresh.
const KEEP_NEIGHBOURS_EVERY: Duration = Duration::from_secs(5);
/// Everything is read again, in case an event was missed.
const RESYNC_EVERY: Duration = Duration::from_secs(30);
/// How often is looked whether the table of streams is filling up: somebody may send with a new SSRC in every packet.
const COUNT_STREAMS_EVERY: Duration = Duration::from_secs(1);
impl Relay {
    /// Runs until cancelled, or until the data plane has been detached.
    pub async fn watch(self: Arc<Relay>, mut changes: Changes) {
        let mut refresh = tokio::time::interval(KEEP_NEIGHBOURS_EVERY);
        let mut resync = tokio::time::interval(RESYNC_EVERY);
        resync.tick().await;
        let mut crowd = tokio::time::interval(COUNT_STREAMS_EVERY);
        crowd.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(first) => {
                        let burst = gather(first, &mut changes).await;
                        self.follow(&burst).await;
                    }
                    None => {
                        // Without events the periodic resync is what is left; it is said loudly.
                        tracing::error!("no more events from netlink; opening another socket");
                        changes = match Netlink::subscribe() {
                            Ok(again) => again,
                            Err(_) => {
                                refresh.tick().await;
                                self.follow(&[Change::Overrun]).await;
                                continue;
                            }
                        };
                    }
                },
                _ = refresh.tick() => {
                    let (detached, not_attached) = {
                        let state = self.state.lock().await;
                        (state.is_detached(&self.config), state.not_attached.is_some())
                    };
                    if detached {
                        return;
                    }
                    if not_attached {
                        self.follow(&[Change::Overrun]).await;
                    }
                    let mut state = self.state.lock().await;
                    state.check_chain();
                    state.keep_neighbours(&self.netlink).await;
                }
                _ = resync.tick() => {
                    self.follow(&[Change::Overrun]).await;
                    self.streams.forget_silent(&self.state, PATIENCE).await;
                }
                _ = crowd.tick() => if self.streams.is_crowded(&self.state).await {
                    self.streams.forget_silent(&self.state, PATIENCE).await;
                },
            }
        }
    }

    /// Reads everything again, as if word of any change could have been missed. The error says why Redis cannot be
    /// read.
    pub async fn refresh(&self) -> Result<(), String> {
        self.names_due.notify_one();
        self.follow(&[Change::Overrun]).await;
        self.membership.refresh().await
    }

    /// Reads again what the changes may concern, and brings the data plane up to date.
    pub(super) async fn follow(&self, changes: &[Change]) {
        let mut state = self.state.lock().await;
        let everything = changes.iter().any(|change| !matches!(change, Change::Neighbour { .. }));
        if everything && let Err(error) = self.follow_interface(&mut state).await {
            tracing::warn!("{}: {error}", self.config.interface);
        }
        let neighbours: BTreeSet<IpAddr> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Neighbour { address, .. } => Some(*address),
                _ => None,
            })
            .collect();
        let mode = state.plane.mode();
        let mut changed = false;
        for (name, member) in &mut state.children {
            // A child without a whole next hop may be waiting for any of them.
            let concerned = everything
                || member.reach.hop.as_ref().is_none_or(|hop| neighbours.contains(&hop.via))
                || member.reach.problem.is_some();
            if concerned && member.reach.refresh(&self.netlink, mode).await {
                changed = true;
                match &member.reach.problem {
                    Some(problem) if problem.is_resolving() => tracing::info!("child {name}: {problem}"),
                    Some(problem) => tracing::warn!("child {name}: {problem}"),
                    None => tracing::info!("child {name}: route and MAC address resolved"),
                }
            }
        }
        if changed && let Err(error) = self.apply(&mut state).await {
            tracing::error!("the change could not be applied: {error}");
        }
    }

    /// Addresses or MAC of the interface attached to may change, and it may go and come back under another index.
    async fn follow_interface(&self, state: &mut State) -> Result<(), StartError> {
        let interface = match interface_of(&self.netlink, &self.config).await {
            Ok(interface) => interface,
            Err(error @ NetError::UnknownInterface { .. }) => {
                if state.problem.is_none() {
                    tracing::error!("{error}; waiting for it to come back");
                }
                state.problem = Some(format!("interface {} is gone", self.config.interface));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let addresses =
            addresses_now(&state.addresses, listen_addresses(&self.netlink, &interface, &self.config).await);
        state.problem = match (interface.up, addresses.is_empty()) {
            (false, _) => {
                Some(format!("interface {} is down; `ip link set {} up`", interface.name, interface.name))
            }
            (true, true) => Some(format!("interface {} has no address to take media on", interface.name)),
            (true, false) => None,
        };
        let listeners = listeners(&addresses, interface.mac.unwrap_or_default(), self.config.listen.ports);
        if state.addresses != addresses {
            state.addresses = addresses;
            let State { ifindex, addresses, .. } = &*state;
            self.membership.register_again(&self.config, &self.netlink, *ifindex, addresses).await;
        }
        if let Plane::Kernel(plane) = &mut state.plane {
            plane.listen(listeners)?;
        }
        if state.ifindex != interface.index || state.not_attached.is_some() {
            match state.attach_again(&self.config, &interface) {
                Ok(()) => state.not_attached = None,
                Err(error) => {
                    let why = format!("cannot attach to {} again: {error}", interface.name);
                    if state.not_attached.as_ref() != Some(&why) {
                        tracing::error!("{why}; trying again until it can be, or `relay-ctl detach`");
                    }
                    state.not_attached = Some(why);
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// The interface was gone and is back, or another stands in for it: its links went with it.
    fn attach_again(&mut self, config: &Config, interface: &Interface) -> Result<(), KernelError> {
        if self.not_attached.is_none() {
            if interface.name == config.interface {
                tracing::warn!(
                    "{} came back with index {}; attaching again",
                    interface.name,
                    interface.index
                );
            } else {
                tracing::warn!("{} is gone; {} takes its place", config.interface, interface.name);
            }
        }
        self.probes.forget_all();
        let mut attached = Ok(());
        if let Plane::Kernel(plane) = &mut self.plane {
            plane.move_to(interface.index);
            attached = plane
                .describe(&config.node_id, config.listen.ports, &self.mode_reason, false)
                .and_then(|()| plane.attach());
        }
        if let Err(error) = attached {
            // An interface that cannot run an XDP program may still run one of tc's.
            let auto = config.mode == ModeWanted::Auto && self.plane.mode() == Mode::Xdp;
            if !auto || probe::tcx().is_err() {
                return Err(error);
            }
            let why = format!(
                "{} cannot run an XDP program in its driver: {}",
                interface.name,
                probe::root_cause(&error)
            );
            self.switch(Mode::Tc, config, format!("no xdp: {why}"))?;
        }
        self.ifindex = interface.index;
        self.interface.clone_from(&interface.name);
        self.interruptions += 1;
        Ok(())
    }

    /// Programs that see packets before ours in tc may keep them from us.
    fn check_chain(&mut self) {
        let Plane::Kernel(plane) = &self.plane else { return };
        // An interface that is gone has no chain.
        let before = plane.before_ours().unwrap_or_default();
        let warning = (!before.is_empty()).then(|| {
            let names: Vec<String> = before.iter().map(ToString::to_string).collect();
            format!(
                "{} before ours in tc on {}: what it ends or changes does not come to the relay; a restart of relay-ctl puts \
                 ours first again",
                names.join(", "),
                self.interface
            )
        });
        if let Some(warning) = &warning
            && self.chain.as_ref() != Some(warning)
        {
            tracing::warn!("{warning}");
        }
        self.chain = warning;
    }

    /// Somebody ran `relay-ctl detach`.
    fn is_detached(&self, config: &Config) -> bool {
        matches!(self.plane, Plane::Kernel(_)) && !Pins::new(&config.pin_root, &config.interface).is_there()
    }

    /// Asks the kernel to confirm the next hops that copies go by.
    async fn keep_neighbours(&self, netlink: &Netlink) {
        if self.plane.mode() == Mode::Userspace {
            return;
        }
        let mut asked = BTreeSet::new();
        for hop in self.children.values().filter_map(|member| member.reach.hop.as_ref()) {
            if asked.insert((hop.interface.index, hop.via))
                && let Err(error) = netlink.probe(hop).await
            {
                tracing::debug!("{}: {error}", hop.via);
            }
        }
    }
}

/// The addresses to listen on: a question that failed says nothing about them.
fn addresses_now(before: &[IpAddr], answer: Result<Vec<IpAddr>, StartError>) -> Vec<IpAddr> {
    match answer {
        Ok(addresses) => addresses,
        // The one address asked for is not there.
        Err(StartError::Config(_)) => Vec::new(),
        Err(error) => {
            tracing::warn!("the addresses stay as they were: {error}");
            before.to_vec()
        }
    }
}

async fn gather(first: Change, changes: &mut Changes) -> Vec<Change> {
    let mut burst = vec![first];
    let deadline = tokio::time::Instant::now() + SETTLE;
    while let Ok(Some(change)) = tokio::time::timeout_at(deadline, changes.next()).await {
        burst.push(change);
    }
    burst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    #[test]
    fn a_failed_question_for_addresses_removes_none() {
        let before = ["10.0.0.1".parse().unwrap()];
        let failed = StartError::Net(NetError::Timeout { doing: "listing".to_owned() });
        assert_eq!(addresses_now(&before, Err(failed)), before);
        assert!(addresses_now(&before, Err(ConfigError("not there".to_owned()).into())).is_empty());
        assert!(addresses_now(&before, Ok(Vec::new())).is_empty());
    }
}
