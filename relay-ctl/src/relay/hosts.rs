//! Children and parents whose host is a name: looked up apart from everything else, since a name server may take its time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use node::resolve::{Answers, resolve, resolve_all};
use relay_common::reason::Reason;
use tokio::time::MissedTickBehavior;

use super::family::{self, Families};
use super::plane::Plane;
use super::{Relay, State};
use crate::kernel;
use crate::net::Change;
use crate::report::monotonic_ns;

/// Names are looked up again after this long.
const AGAIN: Duration = Duration::from_secs(30);
/// The same while one has no address.
const AGAIN_WHEN_MISSING: Duration = Duration::from_secs(2);
/// How often is looked whether copies are missing because a child is of another IP version than the media.
const FAMILIES: Duration = Duration::from_secs(1);

impl Relay {
    /// Runs until cancelled.
    pub async fn keep_hosts(self: Arc<Relay>) {
        tokio::join!(self.keep_names(), self.keep_families());
    }

    async fn keep_names(&self) {
        loop {
            let (children, parent) = tokio::join!(self.look_up_hosts(), self.look_up_parent());
            let complete = children && parent;
            let pause = if complete { AGAIN } else { AGAIN_WHEN_MISSING };
            let _ = tokio::time::timeout(pause, self.look_up_hosts.notified()).await;
        }
    }

    /// True when every child has an address.
    async fn look_up_hosts(&self) -> bool {
        let hosts: Vec<(String, String)> = {
            let state = self.state.lock().await;
            let named =
                state.children.iter().filter(|(_, member)| member.spec.host.parse::<IpAddr>().is_err());
            named.map(|(name, member)| (name.clone(), member.spec.host.clone())).collect()
        };
        if hosts.is_empty() {
            return true;
        }
        let answers = resolve_all(hosts.iter().map(|(_, host)| host.clone())).await;
        let live = self.live_families().await;
        let (mut moved, mut complete) = (false, true);
        for (name, host) in hosts {
            let Some(answer) = answers.get(&host) else { continue };
            let found = self.take_addresses(&name, &host, answer.clone(), live).await;
            moved |= found == Found::Moved;
            complete &= found != Found::Nothing;
        }
        if moved {
            self.follow(&[Change::Overrun]).await;
        }
        complete
    }

    async fn take_addresses(
        &self,
        name: &str,
        host: &str,
        answer: Result<Vec<IpAddr>, String>,
        live: Families,
    ) -> Found {
        let mut state = self.state.lock().await;
        let Some(member) = state.children.get(name) else { return Found::Same };
        if member.spec.host != host {
            // Moved while its name was looked up; the next round is for the new one.
            return Found::Nothing;
        }
        let answer = answer.map(|addresses| {
            (family::choose(&addresses, member.way.address, live, state.listened()), addresses)
        });
        let checked = match answer {
            Ok((Some(address), addresses)) => {
                let spec = member.spec.clone();
                match self.check_place(&state, &spec, address).await {
                    Ok(()) => Ok((address, addresses)),
                    Err(error) => Err(error.to_string()),
                }
            }
            Ok((None, _)) => Err(format!("host '{host}' has no address")),
            Err(why) => Err(why),
        };
        let Some(member) = state.children.get_mut(name) else { return Found::Same };
        match checked {
            Ok((address, addresses)) => {
                member.way.addresses = addresses;
                member.way.unresolved = None;
                if member.way.address == Some(address) {
                    return Found::Same;
                }
                tracing::info!("child {name}: {host} is {address}");
                member.way.readdress(address);
                Found::Moved
            }
            // What was known is better than nothing.
            Err(why) if member.way.address.is_some() => {
                if member.way.unresolved.is_none() {
                    tracing::warn!("child {name}: {why}; copies go on to the address that it had");
                }
                member.way.unresolved = Some(why);
                Found::Same
            }
            Err(why) => {
                member.way.problem = Some(why);
                Found::Nothing
            }
        }
    }

    /// Sees to it that children get media: one that has addresses of both IP versions is sent to at the one that the
    /// media has, and one that has not says so.
    async fn keep_families(&self) {
        let mut tick = tokio::time::interval(FAMILIES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missing = 0;
        loop {
            tick.tick().await;
            let (now, mismatched) = {
                let state = self.state.lock().await;
                let mismatched = state.children.values().any(|member| member.way.mismatch.is_some());
                (state.copies_of_other_family(), mismatched)
            };
            // The streams are read only when there is something to find out.
            if now != missing || mismatched {
                missing = now;
                self.follow_families().await;
            }
        }
    }

    async fn follow_families(&self) {
        let live = self.live_families().await;
        let mut state = self.state.lock().await;
        let listened = state.listened();
        let names: Vec<String> = state.children.keys().cloned().collect();
        let mut moved = false;
        for name in names {
            let Some(member) = state.children.get(&name) else { continue };
            let chosen = family::choose(&member.way.addresses, member.way.address, live, listened)
                .filter(|chosen| member.way.address != Some(*chosen));
            let spec = member.spec.clone();
            let chosen = match chosen {
                Some(address) if self.check_place(&state, &spec, address).await.is_ok() => Some(address),
                _ => None,
            };
            let Some(member) = state.children.get_mut(&name) else { continue };
            if let Some(address) = chosen {
                tracing::info!("child {name}: the media is of the IP version of {address}, which it has too");
                member.way.readdress(address);
                moved = true;
            }
            let mismatch = member.way.address.and_then(|address| family::mismatch(address, live));
            if let Some(why) = mismatch.as_ref().filter(|_| member.way.mismatch.is_none()) {
                tracing::warn!("child {name}: {why}");
            }
            member.way.mismatch = mismatch;
        }
        drop(state);
        if moved {
            self.follow(&[Change::Overrun]).await;
        }
    }

    /// IP versions of the media that there is.
    async fn live_families(&self) -> Families {
        family::live(&self.read_streams().await, monotonic_ns())
    }
}

impl State {
    /// IP versions of the addresses that media is taken on.
    pub(super) fn listened(&self) -> Families {
        self.addresses.iter().copied().collect()
    }

    /// Copies that were not made because a child is of another IP version. Sockets convert.
    fn copies_of_other_family(&self) -> u64 {
        match &self.plane {
            Plane::Kernel(plane) => {
                kernel::drops(plane.maps()).get(Reason::OtherFamily.name()).copied().unwrap_or_default()
            }
            Plane::Userspace(_) => 0,
        }
    }
}

/// What a look-up brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing new.
    Same,
    /// Another address than before, or the first.
    Moved,
    /// No address.
    Nothing,
}
