//! Where media is taken from: anywhere unless told otherwise, in a tree from the parent, and besides from what `--source`
//! says.
//!
//! An outage would be worse than media of a stranger's: where a parent is that is named is not known, media is taken from
//! anybody, and `status` says so. What was known of a parent is kept when its registration expires, and also when the parent
//! is taken out of Redis, until another one is named.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use node::record::MAX_ADDRESSES;
use node::topology::Upstream;
use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use super::plane::Plane;
use super::{Relay, State};
use crate::address::Prefix;
use node::resolve;

/// What is known, and what follows from it.
pub struct Sources {
    /// `--source`.
    configured: BTreeSet<Prefix>,
    /// What Redis says. `None`: the relay is run without, or Redis has not answered yet.
    upstream: Option<Upstream>,
    /// The parent's host as it was looked up last, and what that brought.
    host: String,
    resolved: Vec<IpAddr>,
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
        Sources {
            configured: configured.clone(),
            upstream: None,
            host: String::new(),
            resolved: Vec::new(),
            in_force,
            warning: None,
        }
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

    /// The parent's host, to be looked up.
    fn parents_host(&self) -> Option<&str> {
        let origin = self.upstream.as_ref()?.origin.as_ref()?;
        Some(&origin.place.host)
    }

    /// The parent's host has these addresses. None: it could not be looked up, and what was known of it still holds.
    fn resolved(&mut self, host: String, addresses: Vec<IpAddr>) {
        if self.host != host || !addresses.is_empty() {
            self.resolved = addresses;
            self.host = host;
        }
    }

    fn hear(&mut self, upstream: Upstream) {
        self.upstream = Some(upstream);
        let host = self.parents_host().map(str::to_owned).unwrap_or_default();
        if self.host != host {
            self.resolved = host.parse().map(|address: IpAddr| address.to_canonical()).into_iter().collect();
            self.host = host;
        }
    }

    /// Where the parent sends media of the pair with this number from, which is where it takes feedback.
    fn parent(&self, pair: usize) -> Option<SocketAddr> {
        let origin = self.upstream.as_ref()?.origin.as_ref()?;
        let address = self.resolved.first().or_else(|| origin.addresses.first())?;
        Some(SocketAddr::new(*address, origin.place.ports[pair]))
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

/// From what is known to where media is taken from, and what people should know of that.
fn decide(
    configured: &BTreeSet<Prefix>,
    upstream: &Upstream,
    resolved: &[IpAddr],
) -> (BTreeSet<Prefix>, Option<String>) {
    let any = BTreeSet::from([Prefix::ANY]);
    let Some(parent) = &upstream.parent else {
        return match configured.is_empty() {
            true => {
                let why = "Redis names no parent: media is taken from anybody; `SET parent:…` or --source CIDR limits it";
                (any, Some(why.to_owned()))
            }
            false => (configured.clone(), None),
        };
    };
    let own = upstream.origin.iter().flat_map(|origin| &origin.addresses);
    let mut seen = BTreeSet::new();
    let addresses = resolved.iter().chain(own).filter(|address| seen.insert(**address));
    let addresses: BTreeSet<Prefix> = addresses.take(MAX_ADDRESSES).copied().map(Prefix::from).collect();
    if addresses.is_empty() {
        let why = match (&upstream.problem, &upstream.origin) {
            (Some(problem), _) => problem.clone(),
            (None, Some(origin)) => format!("its host '{}' has not been resolved", origin.place.host),
            (None, None) => "nothing is known of it".to_owned(),
        };
        return (any, Some(format!("parent {parent}: {why}; until it is, media is taken from anybody")));
    }
    let warning = upstream
        .problem
        .as_ref()
        .map(|why| format!("parent {parent}: {why}; media is taken from the addresses that it had"));
    (addresses.union(configured).copied().collect(), warning)
}

impl Relay {
    /// Redis says where media is to come from.
    pub(super) async fn take_from_upstream(&self, upstream: Upstream) {
        let mut state = self.state.lock().await;
        state.sources.hear(upstream);
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
        let host = self.state.lock().await.sources.parents_host().map(str::to_owned);
        let Some(host) = host else { return self.state.lock().await.take_from() != Taken::Not };
        let answer = resolve::resolve(&host).await;
        if let Err(why) = &answer {
            tracing::debug!("the parent: {why}");
        }
        let found = answer.is_ok();
        let mut state = self.state.lock().await;
        // Another parent may have been named meanwhile; the next round is for that one.
        if state.sources.parents_host() != Some(&host) {
            return false;
        }
        state.sources.resolved(host, answer.unwrap_or_default());
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
        let Some(upstream) = &self.sources.upstream else { return Taken::AsBefore };
        let (sources, warning) = decide(&self.sources.configured, upstream, &self.sources.resolved);
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
        self.sources.parent(pair)
    }
}

#[cfg(test)]
mod tests {
    use node::record::{Origin, Place};

    use super::*;

    fn upstream(parent: Option<&str>, host: &str, addresses: &[&str]) -> Upstream {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let place = Place { host: host.to_owned(), ports: [6002, 6004] };
        Upstream {
            parent: parent.map(str::to_owned),
            origin: Some(Origin { place, addresses }),
            problem: None,
        }
    }

    fn unknown(parent: Option<&str>, problem: Option<&str>) -> Upstream {
        Upstream { parent: parent.map(str::to_owned), origin: None, problem: problem.map(str::to_owned) }
    }

    fn prefixes(addresses: &[&str]) -> BTreeSet<Prefix> {
        addresses.iter().map(|address| Prefix::from(address.parse::<IpAddr>().unwrap())).collect()
    }

    /// Where media is taken from, and whether there is a warning.
    fn decided(configured: &[&str], upstream: &Upstream, resolved: &[&str]) -> (String, bool) {
        let resolved: Vec<IpAddr> = resolved.iter().map(|address| address.parse().unwrap()).collect();
        let (sources, warning) = decide(&prefixes(configured), upstream, &resolved);
        let texts: Vec<String> = sources.iter().map(ToString::to_string).collect();
        (texts.join(" "), warning.is_some())
    }

    #[test]
    fn media_is_taken_from_the_parents_addresses_and_from_those_configured() {
        let parent = upstream(Some("a"), "10.0.0.1", &["10.0.0.1", "10.1.0.1", "fd00::1"]);
        let wanted = "10.0.0.1/32 10.1.0.1/32 fd00::1/128";
        assert_eq!(decided(&[], &parent, &["10.0.0.1"]), (wanted.to_owned(), false));
        assert_eq!(
            decided(&["10.9.0.1"], &parent, &["10.0.0.1"]).0,
            "10.0.0.1/32 10.1.0.1/32 10.9.0.1/32 fd00::1/128"
        );
        // An older version says only its host.
        let older = upstream(Some("a"), "parent.example", &[]);
        assert_eq!(decided(&[], &older, &["10.0.0.3"]), ("10.0.0.3/32".to_owned(), false));
    }

    #[test]
    fn where_the_parent_is_not_known_media_is_taken_from_anybody() {
        let any = || ("any".to_owned(), true);
        assert_eq!(decided(&[], &unknown(Some("a"), Some("it is not registered")), &[]), any());
        assert_eq!(decided(&["10.9.0.1"], &unknown(Some("a"), Some("it is not registered")), &[]), any());
        assert_eq!(decided(&[], &upstream(Some("a"), "no.such.host", &[]), &[]), any());
        assert_eq!(decided(&[], &unknown(None, None), &[]), any());
        // The first of a tree, that an encoder feeds.
        assert_eq!(decided(&["10.9.0.1"], &unknown(None, None), &[]), ("10.9.0.1/32".to_owned(), false));
    }

    #[test]
    fn a_parent_that_is_gone_is_where_it_was() {
        let gone = Upstream {
            problem: Some("it is not registered".to_owned()),
            ..upstream(Some("a"), "10.0.0.1", &["10.0.0.1"])
        };
        assert_eq!(decided(&[], &gone, &["10.0.0.1"]), ("10.0.0.1/32".to_owned(), true));
    }

    #[test]
    fn a_parent_with_many_addresses_does_not_fill_the_map() {
        let many: Vec<String> = (0..200).map(|last| format!("10.0.0.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (sources, _) =
            decide(&BTreeSet::new(), &upstream(Some("a"), "x", &many), &["10.9.9.9".parse().unwrap()]);
        assert_eq!(sources.len(), MAX_ADDRESSES);
        assert!(sources.is_superset(&prefixes(&["10.9.9.9"])), "its host is always among them");
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

    #[test]
    fn feedback_goes_to_where_the_parent_sends_from() {
        let mut sources = Sources::new(&BTreeSet::new(), true, BTreeSet::new());
        assert_eq!(sources.parent(0), None);
        sources.hear(upstream(Some("a"), "parent.example", &["10.1.0.1"]));
        assert_eq!(sources.parent(0), Some(([10, 1, 0, 1], 6002).into()));
        sources.resolved("parent.example".to_owned(), vec![[10, 0, 0, 1].into()]);
        assert_eq!(sources.parent(1), Some(([10, 0, 0, 1], 6004).into()));
        // Not found this time.
        sources.resolved("parent.example".to_owned(), Vec::new());
        assert_eq!(sources.parent(1), Some(([10, 0, 0, 1], 6004).into()));
        sources.hear(upstream(Some("b"), "10.0.0.2", &[]));
        assert_eq!(sources.parent(1), Some(([10, 0, 0, 2], 6004).into()));
    }
}
