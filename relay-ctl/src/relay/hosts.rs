//! Children whose host is a name: looked up apart from everything else, since a name server may take its time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Relay, way};
use crate::net::Change;

/// Names are looked up again after this long.
const AGAIN: Duration = Duration::from_secs(30);
/// The same while one has no address.
const AGAIN_WHEN_MISSING: Duration = Duration::from_secs(2);
/// A name server that takes longer has not answered.
const PATIENCE: Duration = Duration::from_secs(5);

impl Relay {
    /// Runs until cancelled.
    pub async fn keep_hosts(self: Arc<Relay>) {
        loop {
            let complete = self.look_up_hosts().await;
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
        let answers = join_all(hosts.iter().map(|(_, host)| async move {
            tokio::time::timeout(PATIENCE, way::resolve_host(host))
                .await
                .unwrap_or_else(|_| Err(format!("host '{host}': the name server does not answer")))
        }))
        .await;
        let (mut moved, mut complete) = (false, true);
        for ((name, host), answer) in hosts.into_iter().zip(answers) {
            let found = self.take_address(&name, &host, answer).await;
            moved |= found == Found::Moved;
            complete &= found != Found::Nothing;
        }
        if moved {
            self.follow(&[Change::Overrun]).await;
        }
        complete
    }

    async fn take_address(&self, name: &str, host: &str, answer: Result<IpAddr, String>) -> Found {
        let mut state = self.state.lock().await;
        let Some(spec) = state.children.get(name).map(|member| member.spec.clone()) else {
            return Found::Same;
        };
        if spec.host != host {
            // Moved while its name was looked up; the next round is for the new one.
            return Found::Nothing;
        }
        let checked = match answer {
            Ok(address) => match self.check_place(&state, &spec, address).await {
                Ok(()) => Ok(address),
                Err(error) => Err(error.to_string()),
            },
            Err(why) => Err(why),
        };
        let Some(member) = state.children.get_mut(name) else { return Found::Same };
        match checked {
            Ok(address) if member.way.address == Some(address) => Found::Same,
            Ok(address) => {
                tracing::info!("child {name}: {host} is {address}");
                member.way.address = Some(address);
                member.way.hop = None;
                Found::Moved
            }
            // What was known is better than nothing.
            Err(_) if member.way.address.is_some() => Found::Same,
            Err(why) => {
                member.way.problem = Some(why);
                Found::Nothing
            }
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
