//! What nobody asks for: the kernel's tables change, host names move, neighbours want to be asked again, streams end.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use relay_common::layout::{MAX_STREAMS, StreamKey};
use relay_common::stream::Stream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::MissedTickBehavior;

use super::plane::Plane;
use super::start::{interface_of, listen_addresses, listeners};
use super::{Relay, StartError, State};
use crate::kernel::{self, KernelError, Pins, StockOrder, probe};
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
/// Streams that are many: half of what the table holds.
const CROWDED: usize = MAX_STREAMS as usize / 2;
/// Streams that are forgotten at a time, so that changes need not wait for all of them.
const AT_A_TIME: usize = 1_000;
/// Streams are forgotten by this.
const PATIENCE: Patience =
    Patience { silent: 600_000_000_000, when_full: 30_000_000_000, single: 2_000_000_000 };

/// For how many ns a stream may be silent before it is forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Any stream.
    pub silent: u64,
    /// The same when the table is three quarters full.
    pub when_full: u64,
    /// A stream of one packet, or of RTCP only, when the table is half full: those go first that may be none.
    pub single: u64,
}

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
                    if self.is_detached().await {
                        return;
                    }
                    if self.state.lock().await.not_attached.is_some() {
                        self.follow(&[Change::Overrun]).await;
                    }
                    self.look_at_chain().await;
                    self.keep_neighbours().await;
                }
                _ = resync.tick() => {
                    self.follow(&[Change::Overrun]).await;
                    self.forget_silent(PATIENCE).await;
                }
                _ = crowd.tick() => if self.is_crowded().await {
                    self.forget_silent(PATIENCE).await;
                },
            }
        }
    }

    /// Reads everything again, as if word of any change could have been missed. The error says why Redis cannot be
    /// read.
    pub async fn refresh(&self) -> Result<(), String> {
        self.look_up_hosts.notify_one();
        self.follow(&[Change::Overrun]).await;
        match self.tree.get() {
            Some(tree) => tree.refresh().await,
            None => Ok(()),
        }
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
            // An interface that cannot run an XDP program may still run one of tc's.
            let auto = self.config.mode == ModeWanted::Auto && state.plane.mode() == Mode::Xdp;
            if !auto || probe::tcx().is_err() {
                return Err(error);
            }
            let why = format!(
                "{} cannot run an XDP program in its driver: {}",
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
        for hop in state.children.values().filter_map(|member| member.reach.hop.as_ref()) {
            if asked.insert((hop.interface.index, hop.via))
                && let Err(error) = self.netlink.probe(hop).await
            {
                tracing::debug!("{}: {error}", hop.via);
            }
        }
    }

    /// Is the table of streams more than half full? Counts no further than that.
    async fn is_crowded(&self) -> bool {
        let pins = match &self.state.lock().await.plane {
            Plane::Userspace(sockets) => return sockets.known() > CROWDED,
            Plane::Kernel(_) => Pins::new(&self.config.pin_root, &self.config.interface),
        };
        let counting = tokio::task::spawn_blocking(move || kernel::has_more_streams(&pins, CROWDED));
        matches!(counting.await, Ok(Ok(true)))
    }

    /// Forgets streams that were silent for longer than our patience lasts.
    pub(super) async fn forget_silent(&self, patience: Patience) {
        // Nobody adds up streams and totals while some of them go from here to there.
        let _sums = self.sums.lock().await;
        let streams = self.read_streams().await;
        self.forget(&to_forget(&streams, crate::clock::monotonic_ns(), patience)).await;
    }

    /// Forgets streams. Hold `sums`.
    pub(super) async fn forget(&self, keys: &[StreamKey]) {
        for keys in keys.chunks(AT_A_TIME) {
            let mut state = self.state.lock().await;
            if let Err(error) = state.plane.forget(keys, self.config.listen.ports) {
                tracing::warn!("streams stay in the table: {error}");
            }
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

/// Which streams to forget, at a moment on the clock of `last_seen`.
fn to_forget(streams: &[(StreamKey, Stream)], now: u64, patience: Patience) -> Vec<StreamKey> {
    let most = MAX_STREAMS as usize;
    let limit = if streams.len() * 4 > most * 3 { patience.when_full } else { patience.silent };
    let crowded = streams.len() > CROWDED;
    let goes = |stream: &Stream| {
        let silent = now.saturating_sub(stream.last_seen);
        silent > limit || (crowded && stream.packets <= 1 && silent > patience.single)
    };
    streams.iter().filter(|(_, stream)| goes(stream)).map(|(key, _)| *key).collect()
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

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 1_000 * SECOND;

    /// `count` streams of so many packets, silent for so long; their SSRCs begin at `first`.
    fn streams(first: u32, count: u32, packets: u64, silent: u64) -> Vec<(StreamKey, Stream)> {
        let begun = Stream::begin_with_rtcp(NOW - silent, [0; 16], 5004);
        let stream = Stream { packets, ..begun };
        let key = |ssrc| StreamKey { port: 5004, reserved: [0; 2], ssrc };
        (first..first + count).map(|ssrc| (key(ssrc), stream)).collect()
    }

    /// How many of the streams from each of these SSRCs on are forgotten.
    fn forgotten(parts: &[(u32, u64, u64)]) -> Vec<usize> {
        let starts: Vec<u32> = (0..parts.len() as u32).map(|part| part * MAX_STREAMS).collect();
        let all: Vec<_> = starts
            .iter()
            .zip(parts)
            .flat_map(|(first, (count, packets, silent))| streams(*first, *count, *packets, *silent))
            .collect();
        let gone = to_forget(&all, NOW, PATIENCE);
        let of = |first: &u32| {
            gone.iter().filter(|key| (*first..*first + MAX_STREAMS).contains(&key.ssrc)).count()
        };
        starts.iter().map(of).collect()
    }

    #[test]
    fn streams_of_one_packet_go_first_when_the_table_is_half_full() {
        let half = MAX_STREAMS / 2;
        // Real ones that pause, a flood that has gone by, RTCP alone, and what has just come.
        let parts =
            |flood| [(10, 2, 20 * SECOND), (flood, 1, 3 * SECOND), (10, 0, 3 * SECOND), (10, 1, SECOND)];
        assert_eq!(forgotten(&parts(half - 30)), [0, 0, 0, 0]);
        assert_eq!(forgotten(&parts(half)), [0, half as usize, 10, 0]);
    }

    #[test]
    fn silent_streams_go_sooner_when_the_table_is_nearly_full() {
        let most = MAX_STREAMS * 3 / 4;
        let parts = |live| [(live, 9, SECOND), (10, 9, 40 * SECOND), (10, 9, 700 * SECOND)];
        assert_eq!(forgotten(&parts(100)), [0, 0, 10]);
        assert_eq!(forgotten(&parts(most)), [0, 10, 10]);
    }

    #[test]
    fn a_failed_question_for_addresses_removes_none() {
        let before = ["10.0.0.1".parse().unwrap()];
        let failed = StartError::Net(NetError::Timeout { doing: "listing".to_owned() });
        assert_eq!(addresses_now(&before, Err(failed)), before);
        assert!(addresses_now(&before, Err(ConfigError("not there".to_owned()).into())).is_empty());
        assert!(addresses_now(&before, Ok(Vec::new())).is_empty());
    }
}
