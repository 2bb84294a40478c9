//! Children and routes, as the API changes them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use super::family;
use super::reach::Reach;
use super::{ChildError, Member, Relay, RelayError, State};
use crate::address::unmapped;
use crate::clock::monotonic_ns;
use crate::config::{ChildSpec, Config};
use crate::fanout::ChildId;
use crate::mode::Mode;
use crate::net::Netlink;
use crate::view;
use node::resolve;

impl Relay {
    /// Adds a child and waits a moment until it is forwarded to.
    pub async fn add_child(&self, spec: ChildSpec) -> Result<view::Child, RelayError> {
        let addresses = resolve::resolve(&spec.host)
            .await
            .map_err(|why| RelayError::of(&spec.name)(ChildError::Host(why)))?;
        let name = spec.name.clone();
        let streams = self.streams.read(&self.state).await;
        let live = family::live(&streams, monotonic_ns());
        {
            let mut state = self.state.lock().await;
            let address = family::choose(&addresses, None, live, state.listened())
                .ok_or_else(|| RelayError::of(&name)(ChildError::no_address(&spec.host)))?;
            state
                .check_new(&self.config, &self.netlink, &spec, address, &streams)
                .await
                .map_err(RelayError::of(&name))?;
            let id = state.free_id().ok_or_else(|| RelayError::of(&name)(ChildError::TooMany))?;
            let mut reach = Reach::find(&self.netlink, address, state.plane.mode()).await;
            if let Some(refusal) = reach.refusal {
                return Err(RelayError::of(&name)(ChildError::Unsendable(refusal)));
            }
            reach.addresses = addresses;
            state.plane.begin_child(id)?;
            self.repairs().begin(id);
            state.children.insert(name.clone(), Member { id, spec, reach });
            if let Err(error) = self.apply(&mut state).await {
                // Undo: a child that cannot be placed must not linger.
                state.children.remove(&name);
                let _ = state.plane.end_child(id);
                let _ = self.apply(&mut state).await;
                return Err(error);
            }
        }
        self.wait_for_reach(&name).await;
        let state = self.state.lock().await;
        state.child_view(&name).ok_or(RelayError::UnknownChild(name))
    }

    /// Removes a child. When this returns, no packet that comes in later is sent to it. When it fails, the child is there
    /// as before.
    pub async fn remove_child(&self, name: &str) -> Result<(), RelayError> {
        let mut state = self.state.lock().await;
        let routes = state.routes.clone();
        let member = state.children.remove(name).ok_or_else(|| RelayError::UnknownChild(name.to_owned()))?;
        for subset in state.routes.values_mut() {
            subset.remove(&member.id);
        }
        if let Err(error) = self.apply(&mut state).await {
            state.children.insert(name.to_owned(), member);
            state.routes = routes;
            // Back to what was, or as near to it as the kernel lets us.
            let _ = self.apply(&mut state).await;
            return Err(error);
        }
        let counted = state.counted(member.id);
        state.removed.gone(name.to_owned(), counted);
        self.repairs().forget(name, member.id);
        state.plane.end_child(member.id)?;
        Ok(())
    }

    /// Gives a stream a fan-out set of its own, or the set of all children back.
    pub async fn route(&self, route: view::Route) -> Result<(), RelayError> {
        let mut state = self.state.lock().await;
        let ports = self.config.listen.ports;
        if !ports.contains(&route.port) {
            return Err(RelayError::NotListening { port: route.port, listened: ports });
        }
        let key = StreamKey { port: route.port, reserved: [0; 2], ssrc: route.ssrc };
        let before = state.routes.get(&key).cloned();
        match route.children {
            None => {
                state.routes.remove(&key);
            }
            Some(names) => {
                let subset = names
                    .iter()
                    .map(|name| {
                        state
                            .children
                            .get(name)
                            .map(|member| member.id)
                            .ok_or_else(|| RelayError::UnknownChild(name.clone()))
                    })
                    .collect::<Result<BTreeSet<ChildId>, RelayError>>()?;
                state.routes.insert(key, subset);
            }
        }
        if let Err(error) = self.apply(&mut state).await {
            match before {
                Some(subset) => state.routes.insert(key, subset),
                None => state.routes.remove(&key),
            };
            let _ = self.apply(&mut state).await;
            return Err(error);
        }
        Ok(())
    }
}

impl State {
    /// What must not become a child.
    pub async fn check_new(
        &self,
        config: &Config,
        netlink: &Netlink,
        spec: &ChildSpec,
        address: IpAddr,
        streams: &[(StreamKey, Stream)],
    ) -> Result<(), ChildError> {
        if self.children.contains_key(&spec.name) {
            return Err(ChildError::NameTaken);
        }
        self.check_place(config, netlink, spec, address).await?;
        let sender = streams.iter().find(|(_, stream)| {
            unmapped(stream.source) == address && spec.ports.contains(&stream.source_port)
        });
        // No reason to refuse it: anybody can put an address on a packet. And a loop it is not, since the data plane leaves
        // out whoever a packet comes from.
        if let Some((key, _)) = sender {
            tracing::warn!(
                "child {} is where SSRC {} comes from: it gets no copies of that",
                spec.name,
                key.ssrc
            );
        }
        Ok(())
    }

    /// Where no child may be: where another one is, and where the relay itself listens. (A child that sends media is
    /// found by the data plane, packet by packet.)
    pub async fn check_place(
        &self,
        config: &Config,
        netlink: &Netlink,
        spec: &ChildSpec,
        address: IpAddr,
    ) -> Result<(), ChildError> {
        if let Some(other) = self.children.values().find(|member| {
            member.spec.name != spec.name
                && member.reach.address == Some(address)
                && member.spec.ports.iter().any(|port| spec.ports.contains(port))
        }) {
            return Err(ChildError::PlaceTaken { other: other.spec.name.clone() });
        }
        let own = config.listen.ports;
        // Sockets listen on every address of the host, unless told otherwise.
        let everywhere = self.plane.mode() == Mode::Userspace && config.listen.address.is_none();
        let mine = self.addresses.contains(&address)
            || (everywhere && netlink.is_local(address).await.unwrap_or(false));
        if mine && spec.ports.iter().any(|port| own.contains(port)) {
            return Err(ChildError::Itself { address });
        }
        Ok(())
    }
}
