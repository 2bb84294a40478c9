//! Where a node takes media from: anywhere unless told otherwise, in a tree from its parent, and besides from what `--source`
//! says. Pure.
//!
//! An outage would be worse than media of a stranger's: where a parent is that is named is not known, media is taken from
//! anybody, and `status` says so. What was known of a parent is kept when its registration expires, and also when the parent
//! is taken out of Redis, until another one is named. Where packets that come by two ways are told apart from new ones
//! ([`Known::overlapping`]), media is taken from the former parent, too, until it comes from the new one.

mod change;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use relay_common::stream::Stream;

use crate::config::{ConfigError, Kind, Setting};
use crate::prefix::Prefix;
use crate::record::MAX_ADDRESSES;
use crate::topology::Upstream;

use change::Change;
pub use change::HEARD_EVERY;

/// The setting, of nodes that take media from others.
pub const SETTING: Setting = Setting {
    name: "sources",
    kind: Kind::List("source"),
    value: "CIDR",
    default: "anybody, in a tree the parent",
    help: "Where media is taken from: an address or ADDRESS/BITS, IPv4 or IPv6; in a tree besides from the parent",
    ..Setting::NEW
};

/// Most that can be configured.
pub const MAX_CONFIGURED: usize = 64;

/// Checks what was given, each an address or a prefix, or several with commas between.
pub fn parse_all(texts: &[String]) -> Result<BTreeSet<Prefix>, ConfigError> {
    let read = |text: &str| {
        let text = text.trim();
        Prefix::parse(text).map_err(|why| ConfigError(format!("--source '{text}': {why}")))
    };
    let texts = texts.iter().flat_map(|texts| texts.split(','));
    let sources = texts.map(read).collect::<Result<BTreeSet<_>, _>>()?;
    if sources.len() > MAX_CONFIGURED {
        return Err(ConfigError(format!(
            "{} sources, but a node takes at most {MAX_CONFIGURED}; name prefixes (--source 10.0.0.0/8) instead of addresses",
            sources.len()
        )));
    }
    Ok(sources)
}

/// What is known of where media is to come from.
#[derive(Clone, Debug)]
pub struct Known {
    /// `--source`.
    configured: BTreeSet<Prefix>,
    /// What Redis says. `None`: the node is run without, or Redis has not answered yet.
    upstream: Option<Upstream>,
    /// The parent's host as it was looked up last, and what that brought.
    host: String,
    resolved: Vec<IpAddr>,
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
            host: String::new(),
            resolved: Vec::new(),
            overlaps: false,
            change: None,
        }
    }

    /// The parent that was named last.
    pub fn parents_name(&self) -> Option<&str> {
        self.upstream.as_ref()?.parent.as_deref()
    }

    /// The parent's host, to be looked up.
    pub fn parents_host(&self) -> Option<&str> {
        let origin = self.upstream.as_ref()?.origin.as_ref()?;
        Some(&origin.place.host)
    }

    /// The parent's host has these addresses. None: it could not be looked up, and what was known of it still holds.
    pub fn resolved(&mut self, host: String, addresses: Vec<IpAddr>) {
        if self.host != host || !addresses.is_empty() {
            self.resolved = addresses;
            self.host = host;
        }
    }

    /// From a former parent media is taken until [`Known::settle`].
    pub fn overlapping(self) -> Known {
        Known { overlaps: true, ..self }
    }

    /// Media is taken from a former parent as well.
    pub fn is_between(&self) -> bool {
        self.change.is_some()
    }

    /// Between two parents: where both send from, the same. Else nothing.
    pub fn twins(&self) -> BTreeSet<Prefix> {
        match &self.change {
            Some(change) => change.former().union(&self.parents()).copied().collect(),
            None => BTreeSet::new(),
        }
    }

    /// Whether the former parent is needed no more. `now`: of the clock that is in [`Stream::last_seen`], ns.
    pub fn is_superseded(&mut self, streams: &[Stream], now: u64) -> bool {
        let parents = self.parents();
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
        self.upstream.as_ref().map(|upstream| addresses(upstream, &self.resolved)).unwrap_or_default()
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
        let host = self.parents_host().map(str::to_owned).unwrap_or_default();
        if self.host != host {
            self.resolved = host.parse().map(|address: IpAddr| address.to_canonical()).into_iter().collect();
            self.host = host;
        }
    }

    /// Where the parent sends media of the pair with this number from, which is where it takes feedback.
    pub fn parent(&self, pair: usize) -> Option<SocketAddr> {
        let origin = self.upstream.as_ref()?.origin.as_ref()?;
        let address = self.resolved.first().or_else(|| origin.addresses.first())?;
        Some(SocketAddr::new(*address, origin.place.ports[pair]))
    }

    /// Where media is taken from, and what people should know of that. `None`: Redis has not said anything yet.
    pub fn decide(&self) -> Option<(BTreeSet<Prefix>, Option<String>)> {
        let (mut sources, warning) = decide(&self.configured, self.upstream.as_ref()?, &self.resolved);
        // Whoever takes media from anybody takes it from the former parent.
        if !sources.contains(&Prefix::ANY) {
            sources.extend(self.change.iter().flat_map(Change::former));
        }
        Some((sources, warning))
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
    let addresses = addresses(upstream, resolved);
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
fn addresses(upstream: &Upstream, resolved: &[IpAddr]) -> BTreeSet<Prefix> {
    let own = upstream.origin.iter().flat_map(|origin| &origin.addresses);
    let mut seen = BTreeSet::new();
    let addresses = resolved.iter().chain(own).filter(|address| seen.insert(**address));
    addresses.take(MAX_ADDRESSES).copied().map(Prefix::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Origin, Place};

    fn parsed(text: &str) -> Result<String, String> {
        parse_all(&[text.to_owned()])
            .map(|sources| sources.iter().map(ToString::to_string).collect())
            .map_err(|error| error.0)
    }

    #[test]
    fn sources_are_addresses_or_prefixes_of_both_ip_versions() {
        let table = [
            ("10.0.0.7", "10.0.0.7/32"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            (" 192.0.2.128/25 ", "192.0.2.128/25"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::7", "fd00::7/128"),
            ("fd00:1::/64", "fd00:1::/64"),
            ("::/0", "any"),
        ];
        for (text, wanted) in table {
            assert_eq!(parsed(text).as_deref(), Ok(wanted), "{text}");
        }
        let twice = ["10.0.0.7".to_owned(), "10.0.0.7/32".to_owned()];
        assert_eq!(parse_all(&twice).unwrap().len(), 1);
    }

    #[test]
    fn a_bad_source_is_refused_in_one_line_that_says_how() {
        let table = [
            ("", "for instance"),
            ("relay-1", "for instance"),
            ("10.0.0", "for instance"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/x", "from 0 to 32"),
            ("10.0.0.0/", "from 0 to 32"),
            ("fd00::/129", "from 0 to 128"),
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("fd00::1/64", "fd00::/64"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ];
        for (text, wanted) in table {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(wanted) && error.contains(&format!("'{text}'")), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn too_many_sources_are_refused() {
        let many = |count: usize| (0..count).map(|last| format!("10.0.0.{last}")).collect::<Vec<_>>();
        assert_eq!(parse_all(&many(MAX_CONFIGURED)).unwrap().len(), MAX_CONFIGURED);
        assert!(parse_all(&many(MAX_CONFIGURED + 1)).unwrap_err().0.contains("at most 64"));
    }

    pub(super) fn upstream(parent: Option<&str>, host: &str, addresses: &[&str]) -> Upstream {
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
    fn feedback_goes_to_where_the_parent_sends_from() {
        let mut sources = Known::new(&BTreeSet::new());
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
