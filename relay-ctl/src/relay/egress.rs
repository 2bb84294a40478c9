//! The interfaces that copies leave by as XDP frames: held while xdp is in force, probed again and again, and what
//! follows when one of them stops taking frames, or takes them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plane::Plane;
use super::probes::{Fallen, standing};
use super::start::hold;
use super::{Relay, RelayError, State};
use crate::config::Config;
use crate::kernel::probe::Verdict;
use crate::kernel::{KernelError, probe};
use crate::mode::{Mode, ModeWanted};
use crate::net::Interface;

/// Every interface is probed again after this long.
const PROBE_EVERY: Duration = Duration::from_secs(5);

impl Relay {
    /// Runs until cancelled.
    pub async fn keep_egress(self: Arc<Relay>) {
        loop {
            let _ = tokio::time::timeout(PROBE_EVERY, self.probe_egress.notified()).await;
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
            if !state.looks_at_xdp() {
                return Ok(());
            }
            state.let_idle_go();
            state.egresses()
        };
        // Without the lock: a series takes a second where frames are refused.
        let mut verdicts = Vec::new();
        for (ifindex, interface) in &interfaces {
            let verdict = self.prober.series(*ifindex, interface.mac.unwrap_or_default(), false).await;
            // An interface that is down takes nothing either; that says nothing about XDP.
            let refused = !matches!(verdict, Ok(Verdict::Works { .. }));
            if refused && !self.netlink.interface_by_index(*ifindex).await.is_ok_and(|now| now.up) {
                continue;
            }
            verdicts.push((*ifindex, verdict));
        }
        let mut state = self.state.lock().await;
        for (ifindex, verdict) in verdicts {
            // Somebody else's program was good enough, and is gone: with ours there, the next probe may say otherwise.
            if matches!(verdict, Ok(Verdict::Cannot(_)))
                && let Plane::Kernel(plane) = &mut state.plane
                && let Some(interface) = interfaces.get(&ifindex)
                && matches!(hold(&self.netlink, plane, interface).await, Ok(true))
            {
                self.probe_egress.notify_one();
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

    /// Copies leave by xdp only where probe frames get through. A new interface is held, and asked once; what does not
    /// settle it is left to the series that follow.
    pub(super) async fn check_egress(&self, state: &mut State) {
        if !state.looks_at_xdp() {
            return;
        }
        for (ifindex, interface) in state.egresses() {
            if !state.probes.is_new(ifindex) {
                continue;
            }
            let Plane::Kernel(plane) = &mut state.plane else { return };
            let not_held = hold(&self.netlink, plane, &interface).await.err();
            let verdict = self.prober.once(ifindex, interface.mac.unwrap_or_default());
            let first = match &verdict {
                Ok(verdict @ Verdict::Works { .. }) => standing(&interface.name, verdict, None),
                _ => standing(&interface.name, &Verdict::Unsure, None),
            };
            state.probes.add(ifindex, &interface.name, not_held, first);
            if !matches!(verdict, Ok(Verdict::Works { .. })) {
                self.probe_egress.notify_one();
            }
        }
        state.block();
    }
}

impl State {
    /// True while copies leave by xdp, or may do so again.
    fn looks_at_xdp(&self) -> bool {
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
