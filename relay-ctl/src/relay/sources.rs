//! Where media is taken from: what [`node::sources`] decides is brought about in the data plane.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use node::record::MAX_ADDRESSES;
use node::resolve;
use node::sources::{HEARD_EVERY, Known, MAX_CONFIGURED};
use node::topology::Upstream;
use relay_common::layout::{MAX_SOURCES, StreamKey};
use relay_common::stream::Stream;
use tokio::time::sleep;

use super::plane::Plane;
use super::{Relay, State};
use crate::address::Prefix;
use crate::clock::monotonic_ns;

/// A parent, a former one and those that stand by are there together; while it changes, what is needed no more goes first if there is
/// no room.
const _: () = assert!(MAX_CONFIGURED + 3 * MAX_ADDRESSES <= MAX_SOURCES as usize);

/// What is known, and what follows from it.
pub struct Sources {
    known: Known,
    in_force: BTreeSet<Prefix>,
    twins: BTreeSet<Prefix>,
    warning: Option<String>,
}

impl Sources {
    /// Before Redis has said anything. `inherited`: where a predecessor's data plane takes media from, `twins`: which of them send the
    /// same.
    pub fn new(
        configured: &BTreeSet<Prefix>,
        in_tree: bool,
        inherited: BTreeSet<Prefix>,
        twins: BTreeSet<Prefix>,
    ) -> Sources {
        let in_force = match (in_tree, configured.is_empty()) {
            (false, true) => BTreeSet::from([Prefix::ANY]),
            (false, false) => configured.clone(),
            (true, _) if inherited.is_empty() || inherited.contains(&Prefix::ANY) => {
                BTreeSet::from([Prefix::ANY])
            }
            // Its parent is most likely ours.
            (true, _) => inherited.union(configured).copied().collect(),
        };
        let twins = twins.into_iter().filter(|twin| in_tree && in_force.contains(twin)).collect();
        Sources { known: Known::new(configured).overlapping(), in_force, twins, warning: None }
    }

    /// Where media is taken from now.
    pub fn in_force(&self) -> &BTreeSet<Prefix> {
        &self.in_force
    }

    /// Those of them that send the same: two parents.
    pub fn twins(&self) -> &BTreeSet<Prefix> {
        &self.twins
    }

    /// Where media is taken from, as people write it.
    pub fn shown(&self) -> Vec<String> {
        self.in_force.iter().map(ToString::to_string).collect()
    }

    /// All that is known.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Who the parent is.
    pub fn parent(&self) -> Option<&str> {
        self.known.parents_name()
    }

    /// There are two parents for a moment; if it lasts, the new one does not send.
    pub fn overlap(&self) -> Option<String> {
        self.known.overlap()
    }

    /// Of a relay with standby parents: whether media comes from each of its parents.
    pub fn heard(&self, streams: &[Stream], now: u64) -> Vec<(String, bool)> {
        self.known.heard(streams, now)
    }

    /// What people should know of it.
    pub fn warning(&self) -> Option<&String> {
        self.warning.as_ref()
    }
}

impl Relay {
    /// Redis says where media is to come from.
    pub(super) async fn take_from_upstream(&self, upstream: Upstream) {
        // What has come so far came from whoever has been the parent.
        self.totals().await;
        let mut state = self.state.lock().await;
        state.sources.known.hear(upstream);
        self.take_from_now(&mut state);
        drop(state);
        // A name is looked up apart from everything else.
        self.names_due.notify_one();
    }

    /// While media is taken from a former parent as well, looks whether it is needed; for ever.
    pub async fn keep_parent(self: Arc<Self>) {
        let mut applied = self.between.subscribe();
        while applied.wait_for(|between| *between).await.is_ok() {
            sleep(HEARD_EVERY).await;
            let streams = self.streams.read(&self.state).await;
            let mut state = self.state.lock().await;
            let streams: Vec<Stream> = streams.into_iter().map(|(_, stream)| stream).collect();
            if state.sources.known.is_superseded(&streams, monotonic_ns()) {
                state.sources.known.settle();
                self.take_from_now(&mut state);
            }
        }
    }

    /// Takes media from where it is to come from, and says whether there are two parents.
    /// `false`: the data plane refused that; it is tried again.
    fn take_from_now(&self, state: &mut State) -> bool {
        let taken = state.take_from();
        let between = state.sources.known.is_between();
        let changes = self.between.send_if_modified(|known| std::mem::replace(known, between) != between);
        if changes {
            self.membership.register_now();
        }
        taken
    }

    /// It has a new parent, and takes media from the former one, too.
    pub(super) fn is_between_parents(&self) -> bool {
        *self.between.borrow()
    }

    /// Resolves the parents' hosts. True when there is nothing left to find out.
    pub(super) async fn resolve_parents(&self) -> bool {
        let hosts = self.state.lock().await.sources.known.hosts();
        let mut found = true;
        for host in hosts {
            let answer = resolve::resolve(&host).await;
            if let Err(why) = &answer {
                tracing::debug!("a parent: {why}");
            }
            found &= answer.is_ok();
            // Of one that is none any more nothing is kept.
            self.state.lock().await.sources.known.resolved(&host, answer.unwrap_or_default());
        }
        let mut state = self.state.lock().await;
        self.take_from_now(&mut state) && found
    }
}

impl State {
    /// Makes the data plane take media from where it is to come from, if that is known.
    fn take_from(&mut self) -> bool {
        let Some((sources, warning)) = self.sources.known.decide() else { return true };
        if let Some(why) = warning.as_ref().filter(|why| self.sources.warning.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        self.sources.warning = warning;
        let twins = self.sources.known.twins();
        if (&sources, &twins) == (&self.sources.in_force, &self.sources.twins) {
            return true;
        }
        let before = (
            std::mem::replace(&mut self.sources.in_force, sources),
            std::mem::replace(&mut self.sources.twins, twins),
        );
        let done = match &mut self.plane {
            Plane::Kernel(plane) => plane.take_from(&self.sources.in_force, &self.sources.twins),
            Plane::Userspace(sockets) => {
                sockets.publish(super::plane::userspace_plan(&self.children, &self.routes, &self.sources));
                Ok(())
            }
        };
        match done {
            Ok(()) => tracing::info!("media is taken from {}", self.sources.shown().join(", ")),
            Err(error) => {
                tracing::error!("media is taken from where it was before: {error}");
                (self.sources.in_force, self.sources.twins) = before;
                return false;
            }
        }
        true
    }

    /// Where the parents take feedback for a stream that nothing is known of: the table may have been full when it came.
    pub(super) fn parents_of(&self, key: &StreamKey, ports: [u16; 2]) -> Vec<SocketAddr> {
        let pair = ports.iter().position(|port| *port == key.port);
        pair.map(|pair| self.sources.known.parents_at(pair)).unwrap_or_default()
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
            let twins = prefixes(inherited);
            let sources = Sources::new(&prefixes(configured), in_tree, prefixes(inherited), twins);
            assert!(sources.twins().is_subset(sources.in_force()));
            sources.shown().join(" ")
        };
        assert_eq!(sources(&[], false, &["10.0.0.1"]), "any");
        assert_eq!(sources(&["10.9.0.1"], false, &["10.0.0.1"]), "10.9.0.1/32");
        assert_eq!(sources(&["10.9.0.1"], true, &[]), "any");
        assert_eq!(sources(&["10.9.0.1"], true, &["10.0.0.1"]), "10.0.0.1/32 10.9.0.1/32");
    }
}
