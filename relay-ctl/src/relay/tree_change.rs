//! What Redis says of children, carried out as one change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use node::topology::ChildChange;
use relay_common::layout::{MAX_CHILDREN, StreamKey};
use tokio::time::timeout_at;

use super::reach::Reach;
use super::{ChildError, Member, Relay, RelayError, State};
use crate::config::ChildSpec;
use crate::fanout::ChildId;
use crate::net::Netlink;

/// How long a child that is taken out may stay while the next hop of one that comes is asked for its MAC.
const SWAP: Duration = Duration::from_millis(20);

/// A change of several children at once, and what there was before.
pub struct TreeChange<'a> {
    relay: &'a Relay,
    state: &'a mut State,
    commands: &'a [ChildChange],
    before: BTreeMap<String, Member>,
    routes: BTreeMap<StreamKey, BTreeSet<ChildId>>,
}

impl<'a> TreeChange<'a> {
    /// Nothing has changed yet.
    pub fn new(relay: &'a Relay, state: &'a mut State, commands: &'a [ChildChange]) -> TreeChange<'a> {
        let (before, routes) = (state.children.clone(), state.routes.clone());
        TreeChange { relay, state, commands, before, routes }
    }

    /// Carries out commands as one change, or none of them.
    pub async fn carry_out(mut self) -> Result<(), RelayError> {
        let refused = match self.plan().await {
            Ok(refused) => refused,
            Err(error) => {
                self.put_back();
                return Err(error);
            }
        };
        if self.commands.iter().any(|command| matches!(command, ChildChange::Remove { .. })) {
            self.wait_for_next_hops().await;
        }
        if let Err(error) = self.relay.apply(self.state).await {
            self.put_back();
            // Back to what was, or as near to it as the kernel lets us.
            let _ = self.relay.apply(self.state).await;
            return Err(error);
        }
        for (name, member) in &self.before {
            if !self.state.children.contains_key(name) {
                let counted = self.state.counted(member.id);
                self.state.removed.gone(name.clone(), counted);
                self.relay.repairs().forget(name, member.id);
                self.state.plane.end_child(member.id)?;
            }
        }
        self.state.refused.extend(refused);
        Ok(())
    }

    fn put_back(&mut self) {
        self.state.children = std::mem::take(&mut self.before);
        self.state.routes = std::mem::take(&mut self.routes);
    }

    /// Changes the children in the books. Gives those that are refused, and why.
    async fn plan(&mut self) -> Result<Vec<(String, String)>, RelayError> {
        let commands = self.commands;
        // All that moves is taken out first: two children may change places.
        for command in commands {
            if !matches!(command, ChildChange::Add { .. }) {
                self.state.children.remove(id(command));
            }
        }
        let mut refused = Vec::new();
        for command in commands {
            let (ChildChange::Add { id, place } | ChildChange::Move { id, place }) = command else {
                continue;
            };
            let member = match ChildSpec::new(id, &place.host, place.ports) {
                Ok(spec) => self.member(spec).await,
                Err(error) => Err(error.into()),
            };
            match member {
                Ok(member) => {
                    self.state.children.insert(id.clone(), member);
                }
                Err(RelayError::Kernel(error)) => return Err(error.into()),
                Err(RelayError::Child { error, .. }) => refused.push((id.clone(), error.to_string())),
                Err(error) => refused.push((id.clone(), error.to_string())),
            }
        }
        let left: BTreeSet<ChildId> = self.state.children.values().map(|member| member.id).collect();
        for subset in self.state.routes.values_mut() {
            subset.retain(|id| left.contains(id));
        }
        Ok(refused)
    }

    /// Where one child comes in another's place, the other goes when the one's next hop is known: whoever is served by
    /// either misses nothing. Not for long: it may be down.
    async fn wait_for_next_hops(&mut self) {
        let (relay, state, commands) = (self.relay, &mut *self.state, self.commands);
        let coming: BTreeSet<&str> = commands
            .iter()
            .filter(|command| !matches!(command, ChildChange::Remove { .. }))
            .map(id)
            .collect();
        let resolving = |state: &State| {
            coming.iter().any(|id| state.children.get(*id).is_some_and(|member| member.reach.is_resolving()))
        };
        if !resolving(state) {
            return;
        }
        // A socket of its own: whoever reads the relay's other one waits for the lock that is held here. Opened before
        // the question, or an answer between the two would be missed.
        let Ok(mut changes) = Netlink::subscribe() else { return };
        let mode = state.plane.mode();
        let deadline = tokio::time::Instant::now() + SWAP;
        loop {
            for id in &coming {
                if let Some(member) = state.children.get_mut(*id).filter(|member| member.reach.is_resolving())
                {
                    member.reach.refresh(&relay.netlink, mode).await;
                }
            }
            if !resolving(state) || !matches!(timeout_at(deadline, changes.next()).await, Ok(Some(_))) {
                return;
            }
        }
    }

    /// A child as it is to be, with the number it had if it was there before.
    async fn member(&mut self, spec: ChildSpec) -> Result<Member, RelayError> {
        let (relay, state, before) = (self.relay, &mut *self.state, &self.before);
        let reach = match spec.host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) => {
                state
                    .check_place(&relay.config, &relay.netlink, &spec, address)
                    .await
                    .map_err(RelayError::of(&spec.name))?;
                let reach = Reach::find(&relay.netlink, address, state.plane.mode()).await;
                if let Some(refusal) = reach.refusal {
                    return Err(RelayError::of(&spec.name)(ChildError::Unsendable(refusal)));
                }
                reach
            }
            Err(_) => {
                relay.names_due.notify_one();
                // Other ports, or back before it was gone: what its name resolved to still holds.
                let known = before.get(&spec.name).filter(|member| member.spec.host == spec.host);
                let known = known.filter(|member| member.reach.address.is_some());
                known.map_or_else(|| Reach::unresolved(&spec.host), |member| member.reach.clone())
            }
        };
        let known = before.get(&spec.name).map(|member| member.id);
        let id = match known {
            Some(id) => id,
            None => {
                let id =
                    state.fresh_id(before).ok_or_else(|| RelayError::of(&spec.name)(ChildError::TooMany))?;
                state.plane.begin_child(id)?;
                relay.repairs().begin(id);
                id
            }
        };
        Ok(Member { id, spec, reach })
    }
}

impl State {
    /// A number that no child has, nor had before this change: until the flip, copies count for the old one. Unless
    /// there is no other.
    fn fresh_id(&self, before: &BTreeMap<String, Member>) -> Option<ChildId> {
        let now: BTreeSet<ChildId> = self.children.values().map(|member| member.id).collect();
        let then: BTreeSet<ChildId> = before.values().map(|member| member.id).collect();
        let free = |id: &ChildId| !now.contains(id) && !then.contains(id);
        (0..MAX_CHILDREN).find(free).or_else(|| (0..MAX_CHILDREN).find(|id| !now.contains(id)))
    }
}

/// Which child a command is about.
pub fn id(command: &ChildChange) -> &str {
    let (ChildChange::Remove { id } | ChildChange::Move { id, .. } | ChildChange::Add { id, .. }) = command;
    id
}
