//! The relay in its tree: what Redis says becomes children, many at once if need be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use node::directory::Particulars;
use node::flow::Received;
use node::record::{Place, Registration};
use node::sessions::SessionChange;
use node::topology::{ChildChange, Upstream};
use node::tree::{Follows, TreeView};

use super::tree_change::{TreeChange, id};
use super::{Member, Relay, State};

impl Follows for Relay {
    async fn have(&self) -> BTreeMap<String, Place> {
        let state = self.state.lock().await;
        let place = |member: &Member| Place { host: member.spec.host.clone(), ports: member.spec.ports };
        state.children.iter().map(|(name, member)| (name.clone(), place(member))).collect()
    }

    async fn carry_out(&self, commands: Vec<ChildChange>, seen: Instant) {
        let mut state = self.state.lock().await;
        let refused_before = state.refused.clone();
        for command in &commands {
            state.refused.remove(id(command));
        }
        if let Err(error) = TreeChange::new(self, &mut state, &commands).carry_out().await {
            // One that cannot be carried out must not keep the others from being.
            tracing::debug!("{} commands together: {error}", commands.len());
            for command in &commands {
                if let Err(error) =
                    TreeChange::new(self, &mut state, std::slice::from_ref(command)).carry_out().await
                {
                    state.refused.insert(id(command).to_owned(), error.to_string());
                }
            }
        }
        self.counters.change_took(seen.elapsed());
        let refused = state.refused.clone();
        drop(state);
        let count = |is: fn(&ChildChange) -> bool| {
            commands.iter().filter(|command| is(command) && !refused.contains_key(id(command))).count() as u64
        };
        let newly = |command: &&ChildChange| {
            let why = refused.get(id(command));
            why.is_some() && why != refused_before.get(id(command))
        };
        self.counters.changed(
            count(|command| matches!(command, ChildChange::Add { .. })),
            count(|command| matches!(command, ChildChange::Remove { .. })),
            count(|command| matches!(command, ChildChange::Move { .. })),
            commands.iter().filter(newly).count() as u64,
        );
        for command in &commands {
            match refused.get(id(command)) {
                None => tracing::info!("{command}"),
                // Tried again at every reading of Redis; said once.
                Some(why) if refused_before.get(id(command)) == Some(why) => {}
                Some(why) => tracing::warn!("child {}: {why}", id(command)),
            }
        }
    }

    async fn upstream(&self, upstream: Upstream) {
        self.take_from_upstream(upstream).await;
    }

    async fn sessions(&self, changes: Vec<SessionChange>) {
        self.membership.sessions_changed(changes);
    }

    async fn health(&self) -> String {
        let state = self.state.lock().await;
        let is_well = state.problem.is_none() && self.refused_children(&state).is_empty();
        let word = if is_well { "active" } else { "degraded" };
        self.drain.word().unwrap_or(word).to_owned()
    }

    fn particulars(&self) -> Particulars {
        Particulars {
            draining: self.drain.is_on(),
            drain_problem: self.drain.problem(),
            between_parents: self.is_between_parents(),
            unheard: self.unheard(),
            ..Particulars::default()
        }
    }

    async fn received(&self) -> Option<Received> {
        Some(self.totals().await)
    }
}

impl Relay {
    /// Children that Redis names and that cannot be, and why.
    pub(super) fn refused_children(&self, state: &State) -> BTreeMap<String, String> {
        let Some(TreeView { topology, .. }) = self.membership.view() else { return BTreeMap::new() };
        let own = state.refused.iter().filter(|(name, _)| topology.children.contains(name));
        let mut refused = topology.refused.clone();
        refused.extend(own.map(|(name, why)| (name.clone(), why.clone())));
        refused
    }

    /// What the relay says of itself in Redis.
    pub async fn registration(&self) -> Registration {
        if self.config.host.is_none() {
            self.membership.find_redis(&self.config).await;
        }
        let state = self.state.lock().await;
        let own = self.membership.own_address(&self.netlink, state.ifindex, &state.addresses).await;
        let own = own.unwrap_or_else(|error| {
            tracing::warn!("registering the lowest address: {error}");
            state.addresses.first().copied()
        });
        self.membership.registration(&self.config, own)
    }

    /// The registered host, when it is an address. Nobody waits for the relay's state while the kernel is asked.
    pub(super) async fn registered_address(&self) -> Option<IpAddr> {
        match &self.config.host {
            Some(host) => host.parse().ok(),
            None => {
                let (ifindex, addresses) = {
                    let state = self.state.lock().await;
                    (state.ifindex, state.addresses.clone())
                };
                let own = self.membership.own_address(&self.netlink, ifindex, &addresses).await;
                own.ok().flatten()
            }
        }
    }
}
