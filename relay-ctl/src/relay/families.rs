//! Children and the IP version of the media: one that has addresses of both is sent to at the one that the media has, and one
//! that has not says so.

use std::sync::Arc;
use std::time::Duration;

use relay_common::reason::Reason;
use tokio::time::MissedTickBehavior;

use super::family::{self, Families};
use super::plane::Plane;
use super::{Relay, State};
use crate::clock::monotonic_ns;
use crate::kernel;
use crate::net::Change;

/// How often is checked whether copies are missing because a child is of another IP version than the media.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Sees to it that children get the media that there is.
pub struct FamilyKeeper {
    relay: Arc<Relay>,
    /// Copies that were missing at the last check.
    missing: u64,
}

impl FamilyKeeper {
    /// For this relay.
    pub fn new(relay: Arc<Relay>) -> FamilyKeeper {
        FamilyKeeper { relay, missing: 0 }
    }

    /// Runs until cancelled.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(CHECK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (now, mismatched) = {
                let state = self.relay.state.lock().await;
                let mismatched = state.children.values().any(|member| member.reach.mismatch.is_some());
                (state.copies_of_other_family(), mismatched)
            };
            // The streams are read only when there is something to find out.
            if now != self.missing || mismatched {
                self.missing = now;
                self.follow_media().await;
            }
        }
    }

    async fn follow_media(&self) {
        let live = self.relay.live_families().await;
        let mut state = self.relay.state.lock().await;
        let (config, netlink) = (&self.relay.config, &self.relay.netlink);
        let listened = state.listened();
        let names: Vec<String> = state.children.keys().cloned().collect();
        let mut moved = false;
        for name in names {
            let Some(member) = state.children.get(&name) else { continue };
            let chosen = family::choose(&member.reach.addresses, member.reach.address, live, listened)
                .filter(|chosen| member.reach.address != Some(*chosen));
            let spec = member.spec.clone();
            let chosen = match chosen {
                Some(address) if state.check_place(config, netlink, &spec, address).await.is_ok() => {
                    Some(address)
                }
                _ => None,
            };
            let Some(member) = state.children.get_mut(&name) else { continue };
            if let Some(address) = chosen {
                tracing::info!("child {name}: the media is of the IP version of {address}, which it has too");
                member.reach.readdress(address);
                moved = true;
            }
            let mismatch = member.reach.address.and_then(|address| family::mismatch(address, live));
            if let Some(why) = mismatch.as_ref().filter(|_| member.reach.mismatch.is_none()) {
                tracing::warn!("child {name}: {why}");
            }
            member.reach.mismatch = mismatch;
        }
        drop(state);
        if moved {
            self.relay.follow(&[Change::Overrun]).await;
        }
    }
}

impl Relay {
    /// IP versions of the media that there is.
    pub(super) async fn live_families(&self) -> Families {
        family::live(&self.streams.read(&self.state).await, monotonic_ns())
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
