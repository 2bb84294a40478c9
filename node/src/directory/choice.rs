//! Where a viewer is to go. Pure.
//!
//! Nodes that are heard of come before doubtful ones; then where it is already, and nodes of its zone. Of those that can be had it is
//! one by weighted rendezvous hashing: every node draws a number for the viewer, the more free seats the better its odds, and the best
//! number wins. So whoever decides comes to the same answer without asking anybody, viewers spread as the seats do, and a node that
//! goes or fills up moves nobody but those that were to go there.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Entry, Particulars};

/// Who wants to watch, and where it would rather be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Where it is, or who asks for it; empty if that is not known.
    pub zone: &'a str,
    /// The viewer: any number that is its own, such as [`key`].
    pub viewer: u64,
    /// The node that it was at, and may stay at.
    pub stay: Option<&'a str>,
    /// The node that it must leave.
    pub not: Option<&'a str>,
}

/// Of nodes that carry the session, the one that the viewer is to go to; `None`: there is no room.
pub fn choose<'a>(nodes: &'a BTreeMap<String, Entry>, wish: &Wish<'_>) -> Option<&'a str> {
    let can = |(id, entry): &(&String, &Entry)| wish.not != Some(id.as_str()) && entry.has_room();
    let best = nodes.iter().filter(can).max_by(|one, other| {
        let (one, other) = (Rank::of(*one, wish), Rank::of(*other, wish));
        one.cmp(&other)
    });
    best.map(|(id, _)| id.as_str())
}

/// A number of somebody's own, the same at every node.
pub fn key(name: &[u8]) -> u64 {
    // FNV-1a, and then mixed: names that differ little have nothing in common.
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(hash)
}

/// How good a node is for a viewer.
struct Rank<'a> {
    /// It is heard of. Should that be so of none, it is Redis that was away.
    is_heard: bool,
    /// The viewer is there.
    stays: bool,
    /// It says that it can do its job. One that cannot, for want of its Janus as a rule, is better than none.
    is_well: bool,
    is_near: bool,
    drawn: f64,
    /// Should two draw the same.
    id: &'a str,
}

impl<'a> Rank<'a> {
    fn of((id, entry): (&'a String, &Entry), wish: &Wish<'_>) -> Rank<'a> {
        Rank {
            is_heard: !entry.particulars.doubtful,
            stays: wish.stay == Some(id.as_str()),
            is_well: entry.status == "active",
            is_near: !wish.zone.is_empty() && entry.zone == wish.zone,
            drawn: drawn(wish.viewer, id, &entry.particulars),
            id,
        }
    }

    fn cmp(&self, other: &Rank<'_>) -> Ordering {
        let is = |rank: &Rank<'_>| (rank.is_heard, rank.stays, rank.is_well, rank.is_near);
        is(self).cmp(&is(other)).then(self.drawn.total_cmp(&other.drawn)).then(self.id.cmp(other.id))
    }
}

/// -seats / ln(u), u being even between 0 and 1: the odds that it is the largest are as the seats.
fn drawn(viewer: u64, id: &str, room: &Particulars) -> f64 {
    let seats = f64::from(room.max_viewers.saturating_sub(room.viewers));
    // 53 bits, and never 0 or 1.
    let even = ((mixed(viewer ^ key(id.as_bytes())) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -seats / even.ln()
}

/// SplitMix64's last step.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::NodeType;

    fn egress(zone: &str, viewers: u32, max_viewers: u32) -> Entry {
        Entry {
            node_type: NodeType::Egress,
            url: "http://e".to_owned(),
            zone: zone.to_owned(),
            status: "active".to_owned(),
            parent: None,
            particulars: Particulars { viewers, max_viewers, ..Particulars::default() },
        }
    }

    fn nodes<const N: usize>(nodes: [(&str, Entry); N]) -> BTreeMap<String, Entry> {
        nodes.map(|(id, entry)| (id.to_owned(), entry)).into()
    }

    fn many(viewers: std::ops::Range<u64>, nodes: &BTreeMap<String, Entry>) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for viewer in viewers {
            let chosen = choose(nodes, &Wish { viewer: mixed(viewer), ..Wish::default() });
            *counts.entry(chosen.unwrap_or("nowhere").to_owned()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_thousand_spread_as_the_free_seats_do() {
        let nodes =
            nodes([("e1", egress("", 0, 300)), ("e2", egress("", 200, 300)), ("e3", egress("", 0, 100))]);
        let counts = many(0..1000, &nodes);
        for (id, wanted) in [("e1", 600), ("e2", 200), ("e3", 200)] {
            // Four standard deviations.
            assert!(counts[id].abs_diff(wanted) < 65, "{counts:?}");
        }
    }

    #[test]
    fn nobody_is_sent_where_there_is_no_room() {
        let mut draining = egress("", 0, 1000);
        draining.particulars.draining = true;
        let mut cut_off = egress("", 0, 1000);
        cut_off.particulars.cut_off = true;
        let relay = Entry { node_type: NodeType::Relay, ..egress("", 0, 1000) };
        let mut nodes = nodes([
            ("full", egress("", 300, 300)),
            ("fuller", egress("", 301, 300)),
            ("old", egress("", 0, 0)),
            ("draining", draining),
            ("cut-off", cut_off),
            ("relay", relay),
        ]);
        assert_eq!(many(0..100, &nodes), BTreeMap::from([("nowhere".to_owned(), 100)]));
        nodes.insert("one".to_owned(), egress("", 299, 300));
        assert_eq!(many(0..100, &nodes), BTreeMap::from([("one".to_owned(), 100)]));
        assert_eq!(choose(&nodes, &Wish { not: Some("one"), ..Wish::default() }), None);
    }

    #[test]
    fn its_own_zone_and_who_is_well_come_first() {
        let ill = |entry: Entry| Entry { status: "degraded".to_owned(), ..entry };
        let mut nodes = nodes([
            ("far", egress("us", 0, 1000)),
            ("ill", ill(egress("eu", 0, 1000))),
            ("near", egress("eu", 200, 300)),
        ]);
        let chosen = |nodes: &BTreeMap<String, Entry>, zone| {
            let of = |viewer| choose(nodes, &Wish { zone, viewer, ..Wish::default() }).map(str::to_owned);
            let mut all: Vec<_> = (0..200).filter_map(|viewer| of(mixed(viewer))).collect();
            all.sort();
            all.dedup();
            all
        };
        assert_eq!(chosen(&nodes, "eu"), ["near"]);
        assert_eq!(chosen(&nodes, ""), ["far", "near"], "no zone is no zone's own");
        nodes.remove("near");
        assert_eq!(chosen(&nodes, "eu"), ["far"]);
        nodes.remove("far");
        assert_eq!(chosen(&nodes, "eu"), ["ill"]);
    }

    #[test]
    fn a_viewer_stays_where_it_is_while_it_can() {
        let nodes = nodes([("far", egress("us", 299, 300)), ("near", egress("eu", 0, 300))]);
        let stay = Wish { zone: "eu", stay: Some("far"), ..Wish::default() };
        assert_eq!(choose(&nodes, &stay), Some("far"));
        assert_eq!(choose(&nodes, &Wish { not: Some("far"), ..stay }), Some("near"));
        assert_eq!(choose(&nodes, &Wish { stay: Some("gone"), ..stay }), Some("near"));
    }

    #[test]
    fn who_is_doubtful_is_better_than_nobody_and_than_who_has_no_room() {
        let doubtful = |doubtful| {
            let mut entry = egress("", 0, 300);
            entry.particulars.doubtful = doubtful;
            entry
        };
        let two = |a, b| nodes([("a", doubtful(a)), ("b", doubtful(b))]);
        let at = |stay| Wish { stay: Some(stay), ..Wish::default() };
        let without = |not| Wish { not: Some(not), ..Wish::default() };
        assert_eq!(choose(&two(true, false), &at("a")), Some("b"), "nobody stays there");
        assert_eq!(choose(&two(true, true), &at("a")), Some("a"), "it is Redis that was away");
        assert_eq!(choose(&two(false, true), &without("a")), Some("b"), "the only one but that to be left");
        for no_room in [
            Particulars { viewers: 300, ..egress("", 0, 300).particulars },
            Particulars { draining: true, ..egress("", 0, 300).particulars },
            Particulars { cut_off: true, ..egress("", 0, 300).particulars },
        ] {
            let mut nodes = two(false, true);
            nodes.get_mut("a").unwrap().particulars = no_room;
            assert_eq!(choose(&nodes, &Wish::default()), Some("b"));
        }
    }

    proptest! {
        #[test]
        fn whoever_goes_moves_only_those_who_were_there(
            seats in proptest::collection::vec((0_u32..400, 1_u32..400), 2..12),
            gone in any::<proptest::sample::Index>(),
            viewers in proptest::collection::vec(any::<u64>(), 50),
        ) {
            let named = seats.iter().enumerate().map(|(n, (taken, most))| (format!("e{n}"), egress("", *taken, *most)));
            let all: BTreeMap<String, Entry> = named.collect();
            let mut fewer = all.clone();
            let gone = format!("e{}", gone.index(seats.len()));
            fewer.remove(&gone);
            for viewer in viewers {
                let wish = Wish { viewer, ..Wish::default() };
                let (before, after) = (choose(&all, &wish), choose(&fewer, &wish));
                prop_assert!(before.is_none_or(|id| all[id].has_room()));
                if before != Some(gone.as_str()) {
                    prop_assert_eq!(before, after);
                }
                let evicted = Wish { not: Some(&gone), ..wish };
                prop_assert_eq!(choose(&all, &evicted), after);
            }
        }
    }
}
