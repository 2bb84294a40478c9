//! Where media is taken from: what [`node::sources`] decides is brought about in the data plane.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use node::record::MAX_ADDRESSES;
use node::resolve;
use node::sources::{Known, MAX_CONFIGURED};
use node::topology::Upstream;
use relay_common::layout::{MAX_SOURCES, StreamKey};
use relay_common::stream::Stream;
use tokio::time::sleep;

use super::plane::Plane;
use super::{Relay, State};
use crate::address::Prefix;
use crate::clock::monotonic_ns;

/// While it changes, a former parent, that of before and a new one are there together.
const _: () = assert!(MAX_CONFIGURED + 3 * MAX_ADDRESSES <= MAX_SOURCES as usize);
/// Between two parents, it is looked so often whether media comes from the new one.
const HEARD_EVERY: Duration = Duration::from_millis(50);
/// A stream from which nothing has come for so long is waited for no more, ns.
const SILENT: u64 = 1_000_000_000;

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
        Sources { known: Known::new(configured).overlapping(), in_force, warning: None }
    }

    /// Where media is taken from now.
    pub fn in_force(&self) -> &BTreeSet<Prefix> {
        &self.in_force
    }

    /// The same as people write it.
    pub fn shown(&self) -> Vec<String> {
        self.in_force.iter().map(ToString::to_string).collect()
    }

    /// Who the parent is.
    pub fn parent(&self) -> Option<&str> {
        self.known.parents_name()
    }

    /// There are two parents for a moment; if it lasts, the new one does not send.
    pub fn overlap(&self) -> Option<String> {
        let parent = self.known.parents_name().filter(|_| self.known.is_between())?;
        Some(format!(
            "no media has come yet from the new parent {parent}; until it does, it is taken from the former one"
        ))
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

    /// While media comes from a former parent and not from the new one yet, looks whether it does; for ever.
    pub async fn keep_parent(self: Arc<Self>) {
        let mut applied = self.between.subscribe();
        while applied.wait_for(|between| *between).await.is_ok() {
            sleep(HEARD_EVERY).await;
            let streams = self.streams.read(&self.state).await;
            let mut state = self.state.lock().await;
            let known = &state.sources.known;
            let is_parents = |address: &[u8; 16]| known.is_parents(address);
            let is_formers = |address: &[u8; 16]| known.is_formers(address);
            if is_heard(&streams, monotonic_ns(), is_parents, is_formers) {
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

    /// Resolves the parent's host. True when there is nothing left to find out.
    pub(super) async fn resolve_parent(&self) -> bool {
        let host = self.state.lock().await.sources.known.parents_host().map(str::to_owned);
        let Some(host) = host else { return self.take_from_now(&mut *self.state.lock().await) };
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
        let taken = self.take_from_now(&mut state);
        taken && found
    }
}

/// No stream goes on that comes from the former parent alone.
fn is_heard(
    streams: &[(StreamKey, Stream)],
    now: u64,
    is_parents: impl Fn(&[u8; 16]) -> bool,
    is_formers: impl Fn(&[u8; 16]) -> bool,
) -> bool {
    let recent = |at: u64| now.saturating_sub(at) < SILENT;
    let formers = streams.iter().map(|(_, stream)| stream);
    let mut formers = formers.filter(|stream| recent(stream.last_seen) && is_formers(&stream.source));
    formers.all(|stream| stream.other_port != 0 && recent(stream.other_seen) && is_parents(&stream.other))
}

impl State {
    /// Makes the data plane take media from where it is to come from, if that is known.
    fn take_from(&mut self) -> bool {
        let Some((sources, warning)) = self.sources.known.decide() else { return true };
        if let Some(why) = warning.as_ref().filter(|why| self.sources.warning.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        self.sources.warning = warning;
        if sources == self.sources.in_force {
            return true;
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
                return false;
            }
        }
        true
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
    fn a_parent_is_heard_when_no_stream_that_goes_on_comes_from_the_former_one_alone() {
        fn address(last: u8) -> [u8; 16] {
            crate::address::mapped([10, 0, 0, last].into())
        }
        let now = 10 * SILENT;
        let stream = |source: u8, silent: u64, other: Option<(u8, u64)>| {
            let begun =
                Stream { last_seen: now - silent, ..Stream::begin_with_rtcp(0, address(source), 5004) };
            let stream = other.map_or(begun, |(other, silent)| Stream {
                other: address(other),
                other_port: 5004,
                other_seen: now - silent,
                ..begun
            });
            (StreamKey { port: 5004, reserved: [0; 2], ssrc: 7 }, stream)
        };
        let is = |last| move |source: &[u8; 16]| *source == address(last);
        let heard = |streams: &[(StreamKey, Stream)]| is_heard(streams, now, is(2), is(1));
        assert!(heard(&[]) && heard(&[stream(2, 0, None)]));
        assert!(!heard(&[stream(1, 0, None)]));
        assert!(heard(&[stream(1, 2 * SILENT, None)]), "it has ended");
        assert!(heard(&[stream(9, 0, None)]), "it is of neither (--source)");
        assert!(heard(&[stream(1, 0, Some((2, 0)))]), "by the longer way");
        assert!(!heard(&[stream(1, 0, Some((2, 2 * SILENT)))]) && !heard(&[stream(1, 0, Some((3, 0)))]));
        assert!(!heard(&[stream(2, 0, None), stream(1, 0, None)]), "not all of it");
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
