//! The interfaces that copies leave by as XDP frames: held while xdp is in force, probed again and again, and what
//! follows when one of them stops taking frames, or takes them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::interface::{hold, wait_for_link};
use super::plane::Plane;
use super::probes::{EgressProber, Fallen, standing};
use super::{Relay, RelayError, State};
use crate::config::Config;
use crate::kernel::probe::Verdict;
use crate::kernel::{KernelError, probe};
use crate::mode::{Mode, ModeWanted};
use crate::net::{Interface, Netlink};

/// Every interface is probed again after this long.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Asks interfaces whether they transmit XDP frames.
#[derive(Default)]
pub struct Egress {
    prober: EgressProber,
    /// There is one that has to be asked now.
    due: Notify,
}

impl Egress {
    /// With a prober that may have been used already.
    pub fn new(prober: EgressProber) -> Egress {
        Egress { prober, due: Notify::new() }
    }

    /// Returns when interfaces are to be asked.
    async fn due(&self) {
        let _ = tokio::time::timeout(PROBE_EVERY, self.due.notified()).await;
    }

    /// Asks these interfaces. What one says that is down says nothing about XDP, and is left out.
    async fn ask(
        &self,
        netlink: &Netlink,
        interfaces: &BTreeMap<u32, Interface>,
    ) -> Vec<(u32, Result<Verdict, String>)> {
        let mut verdicts = Vec::new();
        for (ifindex, interface) in interfaces {
            wait_for_link(netlink, interface).await;
            let verdict = self.prober.series(*ifindex, interface.mac.unwrap_or_default(), false).await;
            let refused = !matches!(verdict, Ok(Verdict::Works { .. }));
            if refused && !netlink.interface_by_index(*ifindex).await.is_ok_and(|now| now.up) {
                continue;
            }
            verdicts.push((*ifindex, verdict));
        }
        verdicts
    }

    /// Copies leave by xdp only where probe frames get through. A new interface is held, and asked once; what does not
    /// settle it, and a card that sets up its link anew, is left to the series that follow without the lock.
    pub async fn check(&self, state: &mut State, netlink: &Netlink) {
        if !state.may_use_xdp() {
            return;
        }
        for (ifindex, interface) in state.egresses() {
            if !state.probes.is_new(ifindex) {
                // Its link may be back just now.
                if state.probes.is_unsettled(ifindex) {
                    self.due.notify_one();
                }
                continue;
            }
            let Plane::Kernel(plane) = &mut state.plane else { return };
            let not_held = hold(netlink, plane, &interface).await.err();
            let verdict = self.prober.once(ifindex, interface.mac.unwrap_or_default());
            let first = match &verdict {
                Ok(verdict @ Verdict::Works { .. }) => standing(&interface.name, verdict, None),
                _ => standing(&interface.name, &Verdict::Unsure, None),
            };
            state.probes.add(ifindex, &interface.name, not_held, first);
            if !matches!(verdict, Ok(Verdict::Works { .. })) {
                self.due.notify_one();
            }
        }
        state.block();
    }
}

impl Relay {
    /// Runs until cancelled.
    pub async fn keep_egress(self: Arc<Relay>) {
        loop {
            self.egress.due().await;
            if let Err(error) = self.probe_egress().await {
                tracing::error!("the data plane could not be changed: {error}");
            }
        }
    }

    /// An interface that could not transmit XDP frames may by now, and the other way round: a veth stops when its other end
    /// turns GRO off, and the kernel then leaves its copies out without a word.
    async fn probe_egress(&self) -> Result<(), RelayError> {
        let interfaces = {
            let mut state = self.state.lock().await;
            if !state.may_use_xdp() {
                return Ok(());
            }
            state.let_idle_go();
            state.egresses()
        };
        // Without the lock: a series takes a second where frames are refused, and a card seconds to set up its link.
        let verdicts = self.egress.ask(&self.netlink, &interfaces).await;
        let mut state = self.state.lock().await;
        for (ifindex, verdict) in verdicts {
            // Somebody else's program was good enough, and is gone: with ours there, the next probe may say otherwise.
            if matches!(verdict, Ok(Verdict::Cannot(_)))
                && let Plane::Kernel(plane) = &mut state.plane
                && let Some(interface) = interfaces.get(&ifindex)
                && matches!(hold(&self.netlink, plane, interface).await, Ok(true))
            {
                self.egress.due.notify_one();
                continue;
            }
            if state.probes.hear(ifindex, verdict) {
                state.probes.say(ifindex);
            }
        }
        let asked: BTreeSet<u32> = interfaces.keys().copied().collect();
        self.act_on_it(&mut state, &asked).await
    }

    async fn act_on_it(&self, state: &mut State, asked: &BTreeSet<u32>) -> Result<(), RelayError> {
        let auto = self.config.mode == ModeWanted::Auto;
        match state.plane.mode() {
            Mode::Xdp => {
                if auto
                    && probe::tcx().is_ok()
                    && let Some(why) = state.probes.refusal(asked)
                {
                    tracing::warn!("{why}; using tc");
                    match state.switch(Mode::Tc, &self.config, format!("no xdp: {why}")) {
                        Ok(()) => {
                            state.fallen = Some(Fallen::again(state.fallen));
                            return Ok(());
                        }
                        // What can be saved is: those behind other interfaces.
                        Err(error) => tracing::error!("tc cannot take over: {error}"),
                    }
                }
                if state.block() { self.apply(state).await } else { Ok(()) }
            }
            Mode::Tc => {
                let works = state.probes.all_work(asked) && !asked.is_empty();
                let Some(fallen) = &mut state.fallen else { return Ok(()) };
                if !fallen.may_return(works) {
                    return Ok(());
                }
                let reason = "native XDP: probe frames get through again, as they did not for a while";
                let returned = state.switch(Mode::Xdp, &self.config, reason.to_owned());
                match &returned {
                    Ok(()) => tracing::warn!("back to xdp: {reason}"),
                    Err(_) => state.fallen = Some(Fallen::again(state.fallen)),
                }
                Ok(returned?)
            }
            Mode::Userspace => Ok(()),
        }
    }
}

impl State {
    /// True while copies leave by xdp, or may do so again.
    fn may_use_xdp(&self) -> bool {
        self.plane.mode() == Mode::Xdp || (self.plane.mode() == Mode::Tc && self.fallen.is_some())
    }

    /// The interfaces that children are behind and that are up.
    fn egresses(&self) -> BTreeMap<u32, Interface> {
        let hops = self.children.values().filter_map(|member| member.reach.hop.as_ref());
        let up = hops.filter(|hop| hop.interface.up && hop.interface.mac.is_some());
        up.map(|hop| (hop.interface.index, hop.interface.clone())).collect()
    }

    /// Cuts children off whose interface cannot transmit XDP frames, and no others. True when that changes anything.
    fn block(&mut self) -> bool {
        let xdp = self.plane.mode() == Mode::Xdp;
        let mut changed = false;
        for member in self.children.values_mut() {
            let behind = member.reach.hop.as_ref().map(|hop| hop.interface.index);
            let blocked = behind.filter(|_| xdp).and_then(|ifindex| self.probes.blocked(ifindex));
            changed |= member.reach.blocked != blocked;
            member.reach.blocked = blocked;
        }
        changed
    }

    /// Takes our program off interfaces that no child has been behind for a while.
    fn let_idle_go(&mut self) {
        let needed: BTreeSet<u32> = self
            .children
            .values()
            .filter_map(|member| member.reach.hop.as_ref())
            .map(|hop| hop.interface.index)
            .collect();
        let idle = self.probes.take_idle(&needed, Instant::now());
        let Plane::Kernel(plane) = &self.plane else { return };
        for ifindex in idle.into_iter().filter(|ifindex| *ifindex != self.ifindex) {
            if let Err(error) = plane.let_go(ifindex) {
                tracing::warn!("{error}");
            }
        }
    }

    /// Goes from xdp to tc or back while media flows: everything is built for the other mode beside what is there, then its
    /// program is attached, then the one before is taken out of the way. What fails is undone: the books must not say tc
    /// while XDP has the packets.
    pub(super) fn switch(&mut self, to: Mode, config: &Config, reason: String) -> Result<(), KernelError> {
        let from = self.plane.mode();
        let attempt = self.try_switch(to).and_then(|()| match &mut self.plane {
            Plane::Kernel(plane) => plane.describe(&config.node_id, config.listen.ports, &reason, false),
            Plane::Userspace(_) => Ok(()),
        });
        match attempt {
            Ok(()) => self.mode_reason = reason,
            Err(_) => {
                if let Err(error) = self.try_switch(from) {
                    tracing::error!("nor could it be undone: {error}");
                }
            }
        }
        attempt
    }

    fn try_switch(&mut self, to: Mode) -> Result<(), KernelError> {
        if let Plane::Kernel(plane) = &mut self.plane {
            plane.prepare(to)?;
        }
        // Which children may be sent to depends on the mode.
        self.block();
        let wanted = self.wanted();
        if let Plane::Kernel(plane) = &mut self.plane {
            plane.change(&wanted)?;
            plane.attach()?;
        }
        Ok(())
    }
}
