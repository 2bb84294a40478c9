//! What happens by itself: the kernel's tables change, host names move, neighbours want to be asked again, streams end.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use relay_common::layout::{MAX_STREAMS, StreamKey};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::plane::Plane;
use super::start::{interface_of, listen_addresses, listeners};
use super::{Relay, StartError, State};
use crate::kernel::{KernelError, Mode, ModeWanted, Pins, StockOrder, probe};
use crate::net::{Change, Changes, Interface, NetError, Netlink};

/// Changes of the kernel's tables come in bursts; one look answers them all.
const SETTLE: Duration = Duration::from_millis(2);
/// XDP's copies do not pass the stack, so nothing else keeps the neighbour entries fresh.
const REFRESH: Duration = Duration::from_secs(5);
/// Everything is looked at again, in case an event was missed.
const LOOK: Duration = Duration::from_secs(30);
/// A stream that was silent for this long is forgotten.
const SILENT: u64 = 600_000_000_000;
/// The same when the table of streams is three quarters full.
const SILENT_WHEN_FULL: u64 = 30_000_000_000;

impl Relay {
    /// Runs until cancelled, or until the data plane has been detached.
    pub async fn watch(self: Arc<Relay>, mut changes: Changes) {
        let mut refresh = tokio::time::interval(REFRESH);
        let mut look = tokio::time::interval(LOOK);
        look.tick().await;
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(first) => {
                        let burst = gather(first, &mut changes).await;
                        self.follow(&burst).await;
                    }
                    None => {
                        // Without events the periodic look is what is left; it is said loudly.
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
                    if self.is_detached().await {
                        return;
                    }
                    if self.state.lock().await.not_attached.is_some() {
                        self.follow(&[Change::Overrun]).await;
                    }
                    self.look_at_chain().await;
                    self.keep_neighbours().await;
                }
                _ = look.tick() => {
                    self.follow(&[Change::Overrun]).await;
                    self.forget_silent(SILENT, SILENT_WHEN_FULL).await;
                }
            }
        }
    }

    /// Looks at everything again, as if word of any change could have been missed. The error says why Redis cannot be
    /// read.
    pub async fn refresh(&self) -> Result<(), String> {
        self.look_up_hosts.notify_one();
        self.follow(&[Change::Overrun]).await;
        match self.tree.get() {
            Some(tree) => tree.refresh().await,
            None => Ok(()),
        }
    }

    /// Looks again at what the changes may concern, and brings the data plane up to date.
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
                || member.way.hop.as_ref().is_none_or(|hop| neighbours.contains(&hop.via))
                || member.way.problem.is_some();
            if concerned && member.way.refresh(&self.netlink, mode).await {
                changed = true;
                match &member.way.problem {
                    Some(problem) => tracing::info!("child {name}: {problem}"),
                    None => tracing::info!("child {name}: the way to it is known"),
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
        let addresses = addresses_now(
            &state.addresses,
            listen_addresses(&self.netlink, &interface, &self.config.listen).await,
        );
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
            self.register_again(state).await;
        }
        if let Plane::Kernel(plane) = &mut state.plane {
            plane.listen(listeners)?;
        }
        if state.ifindex != interface.index || state.not_attached.is_some() {
            match self.attach_again(state, &interface) {
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

    /// The interface was gone and is back, or another stands in for it: its links went with it.
    fn attach_again(&self, state: &mut State, interface: &Interface) -> Result<(), KernelError> {
        if state.not_attached.is_none() {
            if interface.name == self.config.interface {
                tracing::warn!(
                    "{} came back with index {}; attaching again",
                    interface.name,
                    interface.index
                );
            } else {
                tracing::warn!("{} is gone; {} takes its place", self.config.interface, interface.name);
            }
        }
        state.probes.forget_all();
        let mut attached = Ok(());
        if let Plane::Kernel(plane) = &mut state.plane {
            plane.move_to(interface.index);
            attached = plane
                .describe(&self.config.node_id, self.config.listen.ports, &state.mode_reason, false)
                .and_then(|()| plane.attach());
        }
        if let Err(error) = attached {
            // An interface that takes no XDP program may still take one of tc's.
            let auto = self.config.mode == ModeWanted::Auto && state.plane.mode() == Mode::Xdp;
            if !auto {
                return Err(error);
            }
            let why = format!(
                "{} takes no XDP program in its driver: {}",
                interface.name,
                probe::root_cause(&error)
            );
            state.switch(Mode::Tc, &self.config, format!("no xdp: {why}"))?;
        }
        state.ifindex = interface.index;
        state.interface.clone_from(&interface.name);
        state.interruptions += 1;
        Ok(())
    }

    /// Programs that see packets before ours in tc may keep them from us.
    async fn look_at_chain(&self) {
        let mut state = self.state.lock().await;
        let Plane::Kernel(plane) = &state.plane else { return };
        // An interface that is gone has no chain.
        let before = plane.before_ours().unwrap_or_default();
        let warning = (!before.is_empty()).then(|| {
            let names: Vec<String> = before.iter().map(ToString::to_string).collect();
            format!(
                "{} before ours in tc on {}: what it ends or changes does not come to the relay; a restart of relay-ctl puts \
                 ours first again",
                names.join(", "),
                state.interface
            )
        });
        if let Some(warning) = &warning
            && state.chain.as_ref() != Some(warning)
        {
            tracing::warn!("{warning}");
        }
        state.chain = warning;
    }

    /// Somebody ran `relay-ctl detach`.
    async fn is_detached(&self) -> bool {
        let state = self.state.lock().await;
        matches!(state.plane, Plane::Kernel(_))
            && !Pins::new(&self.config.pin_root, &self.config.interface).is_there()
    }

    async fn keep_neighbours(&self) {
        let state = self.state.lock().await;
        if state.plane.mode() == Mode::Userspace {
            return;
        }
        let mut asked = BTreeSet::new();
        for hop in state.children.values().filter_map(|member| member.way.hop.as_ref()) {
            if asked.insert((hop.interface.index, hop.via))
                && let Err(error) = self.netlink.probe(hop).await
            {
                tracing::debug!("{}: {error}", hop.via);
            }
        }
    }

    /// Forgets streams that were silent for so many ns; `when_full`: the same when the table is three quarters full.
    pub(super) async fn forget_silent(&self, limit: u64, when_full: u64) {
        // Nobody adds up streams and totals while some of them go from here to there.
        let _sums = self.sums.lock().await;
        let streams = self.read_streams().await;
        let limit = if streams.len() * 4 > MAX_STREAMS as usize * 3 { when_full } else { limit };
        let now = crate::report::monotonic_ns();
        let silent: Vec<StreamKey> = streams
            .iter()
            .filter(|(_, stream)| now.saturating_sub(stream.last_seen) > limit)
            .map(|(key, _)| *key)
            .collect();
        if silent.is_empty() {
            return;
        }
        let mut state = self.state.lock().await;
        if let Err(error) = state.plane.forget(&silent, self.config.listen.ports) {
            tracing::warn!("silent streams stay in the table: {error}");
        }
    }
}

impl Relay {
    /// Keeps devmaps ready for the changes that are likely to come, so that they need not wait for the kernel.
    pub async fn keep_stock(self: Arc<Relay>) {
        let mut applied = self.applied.subscribe();
        loop {
            while self.fill_orders().await {}
            if applied.changed().await.is_err() {
                return;
            }
        }
    }

    /// True when there were orders, and one could be filled.
    async fn fill_orders(&self) -> bool {
        let orders: Vec<StockOrder> = {
            let mut state = self.state.lock().await;
            let Plane::Kernel(plane) = &mut state.plane else { return false };
            std::iter::from_fn(|| plane.stock_order()).collect()
        };
        // Together and without the lock: this is the wait that changes are to be spared, and one wait of the kernel's
        // does for all.
        let filling = orders.into_iter().map(|order| async move {
            let (size, instance) = (order.size, order.instance);
            let filled = tokio::task::spawn_blocking(move || order.fill()).await;
            let devmap = match filled {
                Ok(Ok(devmap)) => Some(devmap),
                Ok(Err(error)) => {
                    tracing::warn!("no devmap in stock for {size} children: {error}");
                    None
                }
                Err(_) => None,
            };
            let filled = devmap.is_some();
            if let Plane::Kernel(plane) = &mut self.state.lock().await.plane {
                plane.stocked(size, instance, devmap);
            }
            filled
        });
        join_all(filling).await.contains(&true)
    }
}

/// The addresses to listen on: a question that failed says nothing about them.
fn addresses_now(before: &[IpAddr], answer: Result<Vec<IpAddr>, StartError>) -> Vec<IpAddr> {
    match answer {
        Ok(addresses) => addresses,
        // The one address asked for with --listen is not there.
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

impl Relay {
    /// Passes on what the eBPF programs log: rare events, never packets.
    pub async fn log_programs(self: Arc<Relay>) {
        let mut state = self.state.lock().await;
        let Plane::Kernel(plane) = &mut state.plane else { return };
        let logger = match aya_log::EbpfLogger::init(plane.programs().ebpf()) {
            Ok(logger) => logger,
            Err(error) => {
                tracing::warn!("the programs' log cannot be read: {error}");
                return;
            }
        };
        // SAFETY: the logger owns its file descriptor and keeps it open for as long as it lives.
        let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let Ok(mut logger) = logger else {
            tracing::warn!("the programs' log cannot be waited for");
            return;
        };
        tokio::spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
        });
    }
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
