//! Where a node takes media from: anywhere unless told otherwise, in a tree from its parents, and besides from what `--source`
//! says. Pure.
//!
//! An outage would be worse than media of a stranger's: where a parent is that is named is not known, media is taken from
//! anybody, and `status` says so. What was known of a parent is kept when its registration expires, and also when the parent
//! is taken out of Redis, until another one is named. Where packets that come by two ways are told apart from new ones
//! ([`Known::overlapping`]), media is taken from the former parent, too, until it comes from the new one; and for good from a parent
//! and its standby, who send the same.

mod ask;
mod change;
mod configured;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use relay_common::stream::Stream;

use crate::prefix::Prefix;
use crate::record::{MAX_ADDRESSES, Origin};
use crate::topology::{Standby, Upstream};

use ask::is_heard;
pub use ask::{other_way, whom_to_ask};
use change::Change;
pub use change::HEARD_EVERY;
pub use configured::{MAX_CONFIGURED, SETTING, parse_all};

/// What is known of where media is to come from.
#[derive(Clone, Debug)]
pub struct Known {
    /// `--source`.
    configured: BTreeSet<Prefix>,
    /// What Redis says. `None`: the node is run without, or Redis has not answered yet.
    upstream: Option<Upstream>,
    /// What looking up the parents' hosts has brought.
    resolved: BTreeMap<String, Vec<IpAddr>>,
    /// Media is taken from a former parent until it comes from the new one.
    overlaps: bool,
    /// From a former parent.
    change: Option<Change>,
}

impl Known {
    /// Before Redis has said anything.
    pub fn new(configured: &BTreeSet<Prefix>) -> Known {
        Known {
            configured: configured.clone(),
            upstream: None,
            resolved: BTreeMap::new(),
            overlaps: false,
            change: None,
        }
    }

    /// The parent that was named last.
    pub fn parents_name(&self) -> Option<&str> {
        self.upstream.as_ref()?.parent.as_deref()
    }

    /// The parents' hosts, to be looked up.
    pub fn hosts(&self) -> BTreeSet<String> {
        let standby = self.standby().map(|(_, origin)| origin);
        self.parent_origin().into_iter().chain(standby).map(|origin| origin.place.host.clone()).collect()
    }

    /// A host has these addresses. None: it could not be looked up, and what was known of it still holds.
    pub fn resolved(&mut self, host: &str, addresses: Vec<IpAddr>) {
        if !addresses.is_empty() && self.hosts().contains(host) {
            self.resolved.insert(host.to_owned(), addresses);
        }
    }

    fn parent_origin(&self) -> Option<&Origin> {
        self.upstream.as_ref()?.origin.as_ref()
    }

    /// Standby parents of which it is known where they are.
    fn standby(&self) -> impl Iterator<Item = (&String, &Origin)> {
        let standby = self.upstream.iter().flat_map(|upstream| &upstream.standby);
        standby.filter_map(|(id, standby)| Some((id, standby.origin.as_ref()?)))
    }

    /// What looking up the host of one of them has brought.
    fn addresses_of(&self, origin: &Origin) -> &[IpAddr] {
        self.resolved.get(&origin.place.host).map(Vec::as_slice).unwrap_or_default()
    }

    /// From a former parent media is taken until [`Known::settle`].
    pub fn overlapping(self) -> Known {
        Known { overlaps: true, ..self }
    }

    /// Media is taken from a former parent as well.
    pub fn is_between(&self) -> bool {
        self.change.is_some()
    }

    /// The same may come from several parents: each packet is to be taken once.
    pub fn comes_twice(&self) -> bool {
        !self.twins().is_empty()
    }

    /// Of several parents: where all of them send from, the same. Else nothing.
    pub fn twins(&self) -> BTreeSet<Prefix> {
        let former = self.change.iter().flat_map(Change::former).copied();
        let others: BTreeSet<Prefix> = former.chain(self.standbys()).collect();
        if others.is_empty() {
            return others;
        }
        // One of the parents may be anybody.
        let takes_any = self.decide().is_some_and(|(sources, _)| sources.contains(&Prefix::ANY));
        match takes_any && self.standby().next().is_some() {
            true => BTreeSet::from([Prefix::ANY]),
            false => others.union(&self.parents()).copied().collect(),
        }
    }

    /// Of a node with standby parents: whether media comes from its parent and from each of those, as long as any comes. `now`: of
    /// the clock that is in [`Stream::last_seen`], ns.
    pub fn heard(&self, streams: &[Stream], now: u64) -> Vec<(String, bool)> {
        let Some(upstream) = self.upstream.as_ref().filter(|upstream| !upstream.standby.is_empty()) else {
            return Vec::new();
        };
        let parent = upstream.parent.iter().zip([&upstream.origin]);
        let standby = upstream.standby.iter().map(|(id, standby)| (id, &standby.origin));
        let heard = |(id, origin): (&String, &Option<Origin>)| {
            let from = origin.as_ref().map(|origin| addresses(origin, self.addresses_of(origin)));
            Some((id.clone(), is_heard(streams, now, &from.unwrap_or_default())?))
        };
        parent.chain(standby).filter_map(heard).collect()
    }

    /// The parents, each with where it sends from, as far as that is known.
    pub fn senders(&self) -> impl Iterator<Item = (&str, BTreeSet<Prefix>)> {
        let parent = self.parents_name().zip(self.parent_origin());
        let all = parent.into_iter().chain(self.standby().map(|(id, origin)| (id.as_str(), origin)));
        all.map(|(id, origin)| (id, addresses(origin, self.addresses_of(origin))))
    }

    /// The parent and those that stand by, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let standby = self.upstream.iter().flat_map(|upstream| upstream.standby.keys());
        self.parents_name().into_iter().chain(standby.map(String::as_str))
    }

    /// Those that nothing comes from, as the directory has them.
    pub fn silent(heard: &[(String, bool)]) -> Vec<String> {
        heard.iter().filter(|(_, comes)| !comes).map(|(id, _)| id.clone()).collect()
    }

    /// What people should know of those.
    pub fn unheard(heard: &[(String, bool)]) -> impl Iterator<Item = String> {
        let silent = heard.iter().filter(|(_, comes)| !comes);
        silent.map(|(id, _)| {
            format!(
                "nothing comes from {id}, and all from another parent: should that one end, media does, too"
            )
        })
    }

    /// Whether the former parent is needed no more. `now`: of the clock that is in [`Stream::last_seen`], ns.
    pub fn is_superseded(&mut self, streams: &[Stream], now: u64) -> bool {
        let parents = &self.parents() | &self.standbys();
        let is_parents = |address: &[u8; 16]| parents.iter().any(|prefix| prefix.covers(address));
        self.change.as_mut().is_none_or(|change| change.is_over(streams, now, is_parents))
    }

    /// What people should know while there are two parents; if it lasts, the new one does not send.
    pub fn overlap(&self) -> Option<String> {
        let parent = self.parents_name().filter(|_| self.is_between())?;
        Some(format!(
            "no media has come yet from the new parent {parent}; until it does, it is taken from the former one"
        ))
    }

    /// The former parent is no source any more.
    pub fn settle(&mut self) {
        self.change = None;
    }

    /// Where the parent sends from.
    fn parents(&self) -> BTreeSet<Prefix> {
        self.parent_origin().map(|origin| addresses(origin, self.addresses_of(origin))).unwrap_or_default()
    }

    /// Where those send from that send the same beside it: no more addresses together than it may have itself.
    fn standbys(&self) -> BTreeSet<Prefix> {
        let each = self.standby().map(|(_, origin)| addresses(origin, self.addresses_of(origin)));
        each.flatten().take(MAX_ADDRESSES).collect()
    }

    /// Redis says where media is to come from.
    pub fn hear(&mut self, upstream: Upstream) {
        let before = self.parents_name();
        let is_another = before.is_some() && before != upstream.parent.as_deref();
        // Media comes from the former one for as long as it does not from the one after.
        let is_heard = self.change.as_ref().is_none_or(Change::is_heard);
        if self.overlaps && is_another && is_heard {
            self.change = Change::from(self.parents());
        }
        self.upstream = Some(upstream);
        let hosts = self.hosts();
        self.resolved.retain(|host, _| hosts.contains(host));
        for host in hosts {
            if let Ok(address) = host.parse::<IpAddr>() {
                self.resolved.entry(host).or_insert_with(|| vec![address.to_canonical()]);
            }
        }
    }

    /// Where the parents send media of the pair with this number from, which is where they take feedback: the parent's first.
    pub fn parents_at(&self, pair: usize) -> Vec<SocketAddr> {
        let at = |origin: &Origin| {
            let address = *self.addresses_of(origin).first().or_else(|| origin.addresses.first())?;
            Some(SocketAddr::new(address, origin.place.ports[pair]))
        };
        let standby = self.standby().map(|(_, origin)| origin);
        self.parent_origin().into_iter().chain(standby).filter_map(at).collect()
    }

    /// Where media is taken from, and what people should know of that. `None`: Redis has not said anything yet.
    pub fn decide(&self) -> Option<(BTreeSet<Prefix>, Option<String>)> {
        let upstream = self.upstream.as_ref()?;
        let resolved = self.parent_origin().map(|origin| self.addresses_of(origin)).unwrap_or_default();
        let (mut sources, warning) = decide(&self.configured, upstream, resolved);
        // Whoever takes media from anybody takes it from the former parent, and from those that stand by.
        if !sources.contains(&Prefix::ANY) {
            sources.extend(self.change.iter().flat_map(Change::former));
            sources.extend(self.standbys());
        }
        let unseen = |(id, standby): (&String, &Standby)| {
            let unresolved = || {
                let origin = standby.origin.as_ref()?;
                let is_known = !self.addresses_of(origin).is_empty() || !origin.addresses.is_empty();
                (!is_known).then(|| format!("its host '{}' has not been resolved", origin.place.host))
            };
            let why = standby.problem.clone().or_else(unresolved)?;
            Some(format!("standby parent {id}: {why}"))
        };
        let warnings: Vec<String> =
            warning.into_iter().chain(upstream.standby.iter().filter_map(unseen)).collect();
        Some((sources, (!warnings.is_empty()).then(|| warnings.join("; "))))
    }
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
    let addresses = upstream.origin.as_ref().map(|origin| addresses(origin, resolved)).unwrap_or_default();
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

/// Where a parent sends from.
fn addresses(origin: &Origin, resolved: &[IpAddr]) -> BTreeSet<Prefix> {
    let mut seen = BTreeSet::new();
    let addresses = resolved.iter().chain(&origin.addresses).filter(|address| seen.insert(**address));
    addresses.take(MAX_ADDRESSES).copied().map(Prefix::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Origin, Place};

    pub(super) fn upstream(parent: Option<&str>, host: &str, addresses: &[&str]) -> Upstream {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let place = Place { host: host.to_owned(), ports: [6002, 6004] };
        Upstream {
            parent: parent.map(str::to_owned),
            origin: Some(Origin { place, addresses }),
            ..Upstream::default()
        }
    }

    fn unknown(parent: Option<&str>, problem: Option<&str>) -> Upstream {
        let (parent, problem) = (parent.map(str::to_owned), problem.map(str::to_owned));
        Upstream { parent, problem, ..Upstream::default() }
    }

    pub(super) fn prefixes(addresses: &[&str]) -> BTreeSet<Prefix> {
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
    fn feedback_goes_to_where_the_parents_send_from() {
        let mut sources = Known::new(&BTreeSet::new());
        assert_eq!(sources.parents_at(0), []);
        sources.hear(upstream(Some("a"), "parent.example", &["10.1.0.1"]));
        assert_eq!(sources.parents_at(0), [([10, 1, 0, 1], 6002).into()]);
        sources.resolved("parent.example", vec![[10, 0, 0, 1].into()]);
        assert_eq!(sources.parents_at(1), [([10, 0, 0, 1], 6004).into()]);
        // Not found this time.
        sources.resolved("parent.example", Vec::new());
        assert_eq!(sources.parents_at(1), [([10, 0, 0, 1], 6004).into()]);
        sources.hear(upstream(Some("b"), "10.0.0.2", &[]));
        assert_eq!(sources.parents_at(1), [([10, 0, 0, 2], 6004).into()]);
        sources.hear(beside(upstream(Some("b"), "10.0.0.2", &[]), "c", "10.0.0.3"));
        assert_eq!(sources.parents_at(1), [([10, 0, 0, 2], 6004).into(), ([10, 0, 0, 3], 6004).into()]);
    }

    /// The same with a standby parent.
    fn beside(parents: Upstream, id: &str, host: &str) -> Upstream {
        let origin = upstream(None, host, &[]).origin;
        let standby = BTreeMap::from([(id.to_owned(), Standby { origin, problem: None })]);
        Upstream { standby, ..parents }
    }

    fn shown(known: &Known) -> (Vec<String>, Vec<String>, Option<String>) {
        let texts = |prefixes: BTreeSet<Prefix>| prefixes.iter().map(ToString::to_string).collect();
        let (sources, warning) = known.decide().unwrap();
        (texts(sources), texts(known.twins()), warning)
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_parent_is_known_with_where_it_sends_from() {
        let mut known = Known::new(&BTreeSet::new());
        known.hear(beside(upstream(Some("a"), "10.0.0.1", &["10.1.0.1"]), "b", "10.0.0.2"));
        let senders: Vec<_> = known.senders().collect();
        assert_eq!(senders, [("a", prefixes(&["10.0.0.1", "10.1.0.1"])), ("b", prefixes(&["10.0.0.2"]))]);
        assert_eq!(known.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_parent_and_its_standby_send_the_same_for_good() {
        let mut known = Known::new(&prefixes(&["10.9.0.1"])).overlapping();
        let parent = || upstream(Some("a"), "10.0.0.1", &[]);
        known.hear(parent());
        assert!(!known.comes_twice());
        known.hear(beside(parent(), "b", "10.0.0.2"));
        let both = ["10.0.0.1/32", "10.0.0.2/32"];
        assert_eq!(shown(&known), (owned(&[both[0], both[1], "10.9.0.1/32"]), owned(&both), None));
        assert!(known.comes_twice() && !known.is_between(), "nothing changes");
        // It becomes the parent: the former one is taken from as well until it is heard alone.
        known.hear(upstream(Some("b"), "10.0.0.2", &[]));
        assert_eq!((shown(&known).1, known.is_between()), (owned(&both), true));
        known.settle();
        assert_eq!(shown(&known), (owned(&["10.0.0.2/32", "10.9.0.1/32"]), vec![], None));
    }

    #[test]
    fn a_standby_that_is_not_seen_is_said_and_takes_nothing_from_the_parent() {
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        let parent = || upstream(Some("a"), "10.0.0.1", &[]);
        let never = Standby { origin: None, problem: Some("it is not registered".to_owned()) };
        known.hear(Upstream { standby: [("b".to_owned(), never)].into(), ..parent() });
        let said = Some("standby parent b: it is not registered".to_owned());
        assert_eq!(shown(&known), (owned(&["10.0.0.1/32"]), vec![], said));
        known.hear(beside(parent(), "b", "standby.example"));
        assert!(shown(&known).2.is_some_and(|why| why.contains("not been resolved")));
        known.resolved("standby.example", vec![[10, 0, 0, 2].into()]);
        assert_eq!(shown(&known).0, ["10.0.0.1/32", "10.0.0.2/32"]);
        // What was known of it holds, as of a parent.
        let mut gone = beside(parent(), "b", "standby.example");
        gone.standby.get_mut("b").unwrap().problem = Some("it is not registered".to_owned());
        known.hear(gone);
        let (sources, twins, warning) = shown(&known);
        assert!(sources == twins && twins.len() == 2 && warning.is_some(), "{twins:?} {warning:?}");
    }

    #[test]
    fn while_a_parent_may_be_anybody_each_packet_is_taken_once_all_the_same() {
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        known.hear(beside(unknown(Some("a"), Some("it is not registered")), "b", "10.0.0.2"));
        let (sources, twins, warning) = shown(&known);
        assert_eq!((sources, twins), (owned(&["any"]), owned(&["any"])));
        assert!(warning.is_some_and(|why| why.starts_with("parent a")));
    }

    #[test]
    fn standby_parents_with_many_addresses_do_not_fill_the_map() {
        let of = |net: u8| {
            let many: Vec<String> = (0..60).map(|last| format!("10.0.{net}.{last}")).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            Standby { origin: upstream(None, &format!("10.0.{net}.250"), &many).origin, problem: None }
        };
        let standby = [("b".to_owned(), of(1)), ("c".to_owned(), of(2))].into();
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        known.hear(Upstream { standby, ..upstream(Some("a"), "10.0.0.1", &[]) });
        assert_eq!(known.decide().unwrap().0.len(), 1 + MAX_ADDRESSES);
    }
}
