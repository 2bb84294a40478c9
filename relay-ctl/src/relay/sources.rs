//! Where media is taken from: what [`node::sources`] decides is brought about in the data plane.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use node::record::MAX_ADDRESSES;
use node::resolve;
use node::sources::{Known, MAX_CONFIGURED};
use node::topology::Upstream;
use relay_common::layout::{MAX_SOURCES, StreamKey};
use relay_common::stream::Stream;

use super::plane::Plane;
use super::{Relay, State};
use crate::address::Prefix;

/// When a parent moves, old and new sources are there together for a moment.
const _: () = assert!(MAX_CONFIGURED + MAX_ADDRESSES <= MAX_SOURCES as usize / 2);

/// What is known, and what follows from it.
pub struct Sources {
    known: Known,
    in_force: BTreeSet<Prefix>,
    warning: Option<String>,
}

impl Sources {
    /// Before Redis has said anything. `inherited`: where a predecessor's data plane takes media from.
    pub fn new(configured: &BTreeSet<Prefix>, in_tree: bool, inherited: BTreeSet<Prefix>) -> Sources {
        let in_force = match (in_tree, configured.is_empty()) {
            (false, true) => BTreeSet::from([Prefix::ANY]),
            (false, false) => configured.clone(),
            (true, _) if inherited.is_empty() || inherited.contains(&Prefix::ANY) => {
                BTreeSet::from([Prefix::ANY])
            }
            // Its parent is most likely ours.
            (true, _) => inherited.union(configured).copied().collect(),
        };
        Sources { known: Known::new(configured), in_force, warning: None }
    }

    /// Where media is taken from now.
    pub fn in_force(&self) -> &BTreeSet<Prefix> {
        &self.in_force
    }

    /// The same as people write it.
    pub fn shown(&self) -> Vec<String> {
        self.in_force.iter().map(ToString::to_string).collect()
    }

    /// What people should know of it.
    pub fn warning(&self) -> Option<&String> {
        self.warning.as_ref()
    }
}

/// What became of a change of where media is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// There was none.
    AsBefore,
    /// It is in force.
    Anew,
    /// The data plane refused it; it is tried again.
    Not,
}

impl Relay {
    /// Redis says where media is to come from.
    pub(super) async fn take_from_upstream(&self, upstream: Upstream) {
        let mut state = self.state.lock().await;
        state.sources.known.hear(upstream);
        let taken = state.take_from();
        drop(state);
        if taken == Taken::Anew {
            self.forget_strangers().await;
        }
        // A name is looked up apart from everything else.
        self.names_due.notify_one();
    }

    /// Forgets the streams of sources that media is no longer taken from: what comes from another source now is no
    /// collision with them (RFC 3550 section 8.2), wherever its sequence is.
    async fn forget_strangers(&self) {
        let sources = self.state.lock().await.sources.in_force.clone();
        let taken = |source: &[u8; 16]| sources.iter().any(|prefix| prefix.covers(source));
        let strangers = |streams: &[(StreamKey, Stream)]| {
            streams.iter().filter(|(_, stream)| !taken(&stream.source)).map(|(key, _)| *key).collect()
        };
        self.streams.forget(&self.state, strangers).await;
    }

    /// Resolves the parent's host. True when there is nothing left to find out.
    pub(super) async fn resolve_parent(&self) -> bool {
        let host = self.state.lock().await.sources.known.parents_host().map(str::to_owned);
        let Some(host) = host else { return self.state.lock().await.take_from() != Taken::Not };
        let answer = resolve::resolve(&host).await;
        if let Err(why) = &answer {
            tracing::debug!("the parent: {why}");
        }
        let found = answer.is_ok();
        let mut state = self.state.lock().await;
        // Another parent may have been named meanwhile; the next round is for that one.
        if state.sources.known.parents_host() != Some(&host) {
            return false;
        }
        state.sources.known.resolved(host, answer.unwrap_or_default());
        let taken = state.take_from();
        drop(state);
        if taken == Taken::Anew {
            self.forget_strangers().await;
        }
        taken != Taken::Not && found
    }
}

impl State {
    /// Makes the data plane take media from where it is to come from, if that is known.
    fn take_from(&mut self) -> Taken {
        let Some((sources, warning)) = self.sources.known.decide() else { return Taken::AsBefore };
        if let Some(why) = warning.as_ref().filter(|why| self.sources.warning.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        self.sources.warning = warning;
        if sources == self.sources.in_force {
            return Taken::AsBefore;
        }
        let before = std::mem::replace(&mut self.sources.in_force, sources);
        let done = match &mut self.plane {
            Plane::Kernel(plane) => plane.take_from(&self.sources.in_force),
            Plane::Userspace(sockets) => {
                sockets.publish(super::plane::userspace_plan(
                    &self.children,
                    &self.routes,
                    &self.sources.in_force,
                ));
                Ok(())
            }
        };
        match done {
            Ok(()) => tracing::info!("media is taken from {}", self.sources.shown().join(", ")),
            Err(error) => {
                tracing::error!("media is taken from where it was before: {error}");
                self.sources.in_force = before;
                return Taken::Not;
            }
        }
        Taken::Anew
    }

    /// Where the parent takes feedback for a stream that nothing is known of: the table may have been full when it came.
    pub(super) fn parent_of(&self, key: &StreamKey, ports: [u16; 2]) -> Option<SocketAddr> {
        let pair = ports.iter().position(|port| *port == key.port)?;
        self.sources.known.parent(pair)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn prefixes(addresses: &[&str]) -> BTreeSet<Prefix> {
        addresses.iter().map(|address| Prefix::from(address.parse::<IpAddr>().unwrap())).collect()
    }

    #[test]
    fn before_redis_has_answered_a_predecessors_sources_hold() {
        let sources = |configured: &[&str], in_tree, inherited: &[&str]| {
            Sources::new(&prefixes(configured), in_tree, prefixes(inherited)).shown().join(" ")
        };
        assert_eq!(sources(&[], false, &["10.0.0.1"]), "any");
        assert_eq!(sources(&["10.9.0.1"], false, &["10.0.0.1"]), "10.9.0.1/32");
        assert_eq!(sources(&["10.9.0.1"], true, &[]), "any");
        assert_eq!(sources(&["10.9.0.1"], true, &["10.0.0.1"]), "10.0.0.1/32 10.9.0.1/32");
    }
}
