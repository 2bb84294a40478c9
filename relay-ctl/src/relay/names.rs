//! Children and parents whose host is a name: resolved again and again, apart from everything else, since a name server may
//! take its time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Relay;
use super::family::{self, Families};
use super::reach::Problem;
use crate::net::Change;
use node::resolve;

/// Names are resolved again after this long.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// The same while one has no address.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Sees to it that children and parents are where their names say.
pub struct NameKeeper {
    relay: Arc<Relay>,
}

impl NameKeeper {
    /// For this relay.
    pub fn new(relay: Arc<Relay>) -> NameKeeper {
        NameKeeper { relay }
    }

    /// Runs until cancelled.
    pub async fn run(self) {
        loop {
            let (children, parents) = tokio::join!(self.resolve_children(), self.relay.resolve_parents());
            let complete = children && parents;
            let pause = if complete { RESOLVE_EVERY } else { RETRY_AFTER };
            let _ = tokio::time::timeout(pause, self.relay.names_due.notified()).await;
        }
    }

    /// True when every child has an address.
    async fn resolve_children(&self) -> bool {
        let hosts: Vec<(String, String)> = {
            let state = self.relay.state.lock().await;
            let named =
                state.children.iter().filter(|(_, member)| member.spec.host.parse::<IpAddr>().is_err());
            named.map(|(name, member)| (name.clone(), member.spec.host.clone())).collect()
        };
        if hosts.is_empty() {
            return true;
        }
        let answers = resolve::resolve_all(hosts.iter().map(|(_, host)| host.clone())).await;
        let live = self.relay.live_families().await;
        let (mut moved, mut complete) = (false, true);
        for (name, host) in hosts {
            let Some(answer) = answers.get(&host) else { continue };
            let found = self.take_addresses(&name, &host, answer.clone(), live).await;
            moved |= found == Found::Moved;
            complete &= found != Found::Nothing;
        }
        if moved {
            self.relay.follow(&[Change::Overrun]).await;
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
        let mut state = self.relay.state.lock().await;
        let Some(member) = state.children.get(name) else { return Found::Same };
        if member.spec.host != host {
            // Moved while its name was being resolved; the next round is for the new one.
            return Found::Nothing;
        }
        let answer = answer.map(|addresses| {
            (family::choose(&addresses, member.reach.address, live, state.listened()), addresses)
        });
        let checked = match answer {
            Ok((Some(address), addresses)) => {
                let spec = member.spec.clone();
                match state.check_place(&self.relay.config, &self.relay.netlink, &spec, address).await {
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
                member.reach.addresses = addresses;
                member.reach.unresolved = None;
                if member.reach.address == Some(address) {
                    return Found::Same;
                }
                tracing::info!("child {name}: {host} is {address}");
                member.reach.readdress(address);
                Found::Moved
            }
            // What was known is better than nothing.
            Err(why) if member.reach.address.is_some() => {
                if member.reach.unresolved.is_none() {
                    tracing::warn!("child {name}: {why}; copies go on to the address that it had");
                }
                member.reach.unresolved = Some(why);
                Found::Same
            }
            Err(why) => {
                member.reach.problem = Some(Problem::Host(why));
                Found::Nothing
            }
        }
    }
}

/// What resolving a name brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing new.
    Same,
    /// Another address than before, or the first.
    Moved,
    /// No address.
    Nothing,
}
