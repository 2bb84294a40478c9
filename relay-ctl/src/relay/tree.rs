//! The relay in its tree: what Redis says becomes children, many at once if need be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use node::config::RedisServer;
use node::record::{NodeType, Place, Registration};
use node::sessions::Session;
use node::topology::{ChildChange, Upstream};
use node::tree::{Follows, Tree};
use relay_common::layout::MAX_CHILDREN;
use tokio::time::timeout_at;

use super::way::Way;
use super::{Member, Relay, RelayError, State};
use crate::config::ChildSpec;
use crate::fanout::ChildId;
use crate::net::{NetError, Netlink, Usable, primary};

/// How long a child that is taken out may stay while the next hop of one that comes is asked for its MAC.
const SWAP: Duration = Duration::from_millis(20);

/// A name server that takes longer does not say in time where Redis is.
const REDIS_LOOK_UP: Duration = Duration::from_secs(2);

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
        if let Err(error) = self.reconcile(&mut state, &commands).await {
            // One that cannot be carried out must not keep the others from being.
            tracing::debug!("{} commands together: {error}", commands.len());
            for command in &commands {
                if let Err(error) = self.reconcile(&mut state, std::slice::from_ref(command)).await {
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
                // Tried again at every look; said once.
                Some(why) if refused_before.get(id(command)) == Some(why) => {}
                Some(why) => tracing::warn!("child {}: {why}", id(command)),
            }
        }
    }

    async fn upstream(&self, upstream: Upstream) {
        self.take_from_upstream(upstream).await;
    }

    async fn sessions(&self, sessions: Vec<Session>) {
        self.show_sessions(&sessions);
    }

    async fn health(&self) -> String {
        let state = self.state.lock().await;
        if state.problem.is_none() { "active" } else { "degraded" }.to_owned()
    }
}

impl Relay {
    /// Follows the tree from now on.
    pub fn in_tree(&self, tree: &Tree) {
        self.show_tree(tree.view());
        let _ = self.tree.set(tree.clone());
    }

    /// What the relay says of itself in Redis.
    pub async fn registration(&self) -> Registration {
        if self.config.host.is_none() {
            self.find_redis().await;
        }
        let state = self.state.lock().await;
        let host = self.own_address(&state).await.unwrap_or_else(|error| {
            tracing::warn!("registering the lowest address: {error}");
            state.addresses.first().copied()
        });
        self.registration_at(host)
    }

    fn registration_at(&self, own: Option<IpAddr>) -> Registration {
        let host = self.config.host.clone().or_else(|| own.map(|own| own.to_string()));
        Registration {
            id: self.config.node_id.clone(),
            node_type: NodeType::Relay,
            tree_id: self.config.tree_id.clone(),
            host: host.unwrap_or_default(),
            port: self.config.api.port(),
            media: self.config.listen.ports,
            created: self.created,
        }
    }

    /// The interface's addresses changed: other nodes may have to send media elsewhere.
    pub(super) async fn register_again(&self, state: &State) {
        let Some(tree) = self.tree.get() else { return };
        match self.own_address(state).await {
            Ok(own) => tree.register_as(self.registration_at(own)),
            Err(error) => tracing::warn!("the registration stays as it was: {error}"),
        }
    }

    /// The registered host, when it is an address.
    pub(super) async fn registered_address(&self, state: &State) -> Option<IpAddr> {
        match &self.config.host {
            Some(host) => host.parse().ok(),
            None => self.own_address(state).await.ok().flatten(),
        }
    }

    /// The address that other nodes reach this one by, unless `--node-host` says another.
    async fn own_address(&self, state: &State) -> Result<Option<IpAddr>, NetError> {
        let mut usable = self.netlink.usable(state.ifindex).await?;
        usable.retain(|usable| state.addresses.contains(&usable.address));
        let towards_redis = self.redis.get().and_then(|redis| source_towards(*redis));
        Ok(registered(towards_redis, &usable))
    }

    /// Looks up where Redis is, once: which of our addresses it is reached from is asked again and again.
    async fn find_redis(&self) {
        let Some(tree) = &self.config.tree else { return };
        let place = match &tree.redis.server {
            RedisServer::Single { host, port } => (host.clone(), *port),
            RedisServer::Sentinel { sentinels, .. } => match sentinels.first() {
                Some(sentinel) => sentinel.clone(),
                None => return,
            },
        };
        let found = tokio::time::timeout(REDIS_LOOK_UP, node::resolve::server(&place.0, place.1)).await;
        if let Ok(Ok(place)) = found {
            let _ = self.redis.set(place);
        }
    }

    /// Carries out commands as one change, or none of them.
    async fn reconcile(&self, state: &mut State, commands: &[ChildChange]) -> Result<(), RelayError> {
        let before = state.children.clone();
        let routes = state.routes.clone();
        let refused = self.plan(state, commands, &before).await?;
        if commands.iter().any(|command| matches!(command, ChildChange::Remove { .. })) {
            self.wait_for_ways(state, commands).await;
        }
        if let Err(error) = self.apply(state).await {
            state.children = before;
            state.routes = routes;
            // Back to what was, or as near to it as the kernel lets us.
            let _ = self.apply(state).await;
            return Err(error);
        }
        for (name, member) in &before {
            if !state.children.contains_key(name) {
                state.plane.end_child(member.id)?;
            }
        }
        state.refused.extend(refused);
        Ok(())
    }

    /// Changes the children in the books. Gives those that are refused, and why.
    async fn plan(
        &self,
        state: &mut State,
        commands: &[ChildChange],
        before: &BTreeMap<String, Member>,
    ) -> Result<Vec<(String, String)>, RelayError> {
        // All that moves is taken out first: two children may change places.
        for command in commands {
            if !matches!(command, ChildChange::Add { .. }) {
                state.children.remove(id(command));
            }
        }
        let mut refused = Vec::new();
        for command in commands {
            let (ChildChange::Add { id, place } | ChildChange::Move { id, place }) = command else {
                continue;
            };
            let member = match ChildSpec::new(id, &place.host, place.ports) {
                Ok(spec) => self.member(state, spec, before).await,
                Err(error) => Err(error.into()),
            };
            match member {
                Ok(member) => {
                    state.children.insert(id.clone(), member);
                }
                Err(RelayError::Kernel(error)) => return Err(error.into()),
                Err(error) => refused.push((id.clone(), error.to_string())),
            }
        }
        let left: BTreeSet<ChildId> = state.children.values().map(|member| member.id).collect();
        for subset in state.routes.values_mut() {
            subset.retain(|id| left.contains(id));
        }
        Ok(refused)
    }

    /// Where one child comes in another's place, the other goes when the way to the one is known: whoever is served by
    /// either misses nothing. Not for long: it may be down.
    async fn wait_for_ways(&self, state: &mut State, commands: &[ChildChange]) {
        let coming: BTreeSet<&str> = commands
            .iter()
            .filter(|command| !matches!(command, ChildChange::Remove { .. }))
            .map(id)
            .collect();
        let resolving = |state: &State| {
            coming.iter().any(|id| state.children.get(*id).is_some_and(|member| member.way.is_resolving()))
        };
        if !resolving(state) {
            return;
        }
        // A socket of its own: whoever reads the relay's other one waits for the lock that is held here. Opened before
        // the look, or an answer between the two would be missed.
        let Ok(mut changes) = Netlink::subscribe() else { return };
        let mode = state.plane.mode();
        let deadline = tokio::time::Instant::now() + SWAP;
        loop {
            for id in &coming {
                if let Some(member) = state.children.get_mut(*id).filter(|member| member.way.is_resolving()) {
                    member.way.refresh(&self.netlink, mode).await;
                }
            }
            if !resolving(state) || !matches!(timeout_at(deadline, changes.next()).await, Ok(Some(_))) {
                return;
            }
        }
    }

    /// A child as it is to be, with the number it had if it was there before.
    async fn member(
        &self,
        state: &mut State,
        spec: ChildSpec,
        before: &BTreeMap<String, Member>,
    ) -> Result<Member, RelayError> {
        let way = match spec.host.parse::<IpAddr>() {
            Ok(address) => {
                self.check_place(state, &spec, address).await?;
                let way = Way::look_up(&self.netlink, address, state.plane.mode()).await;
                if let Some(refusal) = way.refusal {
                    return Err(RelayError::Conflict(refusal));
                }
                way
            }
            Err(_) => {
                self.look_up_hosts.notify_one();
                // Other ports, or back before it was gone: what its name resolved to still holds.
                let known = before.get(&spec.name).filter(|member| member.spec.host == spec.host);
                let known = known.filter(|member| member.way.address.is_some());
                known.map_or_else(|| Way::unnamed(&spec.host), |member| member.way.clone())
            }
        };
        let known = before.get(&spec.name).map(|member| member.id);
        let id = match known {
            Some(id) => id,
            None => {
                let id = state.fresh_id(before).ok_or_else(|| {
                    RelayError::Conflict(format!(
                        "a relay has at most {MAX_CHILDREN} children; put a relay between"
                    ))
                })?;
                state.plane.begin_child(id)?;
                id
            }
        };
        Ok(Member { id, spec, way })
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

/// The address to be registered: the one that Redis is reached from, if it is one that media is taken on, or else the
/// primary one of those.
fn registered(towards_redis: Option<IpAddr>, usable: &[Usable]) -> Option<IpAddr> {
    let ours = |address: &IpAddr| usable.iter().any(|usable| usable.address == *address);
    towards_redis.filter(ours).or_else(|| primary(usable))
}

/// The address that the kernel would send from. Nothing is sent.
fn source_towards(place: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match place {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(place).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn id(command: &ChildChange) -> &str {
    let (ChildChange::Remove { id } | ChildChange::Move { id, .. } | ChildChange::Add { id, .. }) = command;
    id
}
