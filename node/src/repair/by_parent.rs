//! What was missing of what each parent sends, and how far that one is. A stream is the parent's that it comes from when it is looked at,
//! and what was counted of it since it was looked at last is that one's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use relay_common::stream::Stream;

use super::Asker;
use super::figures::Asking;
use crate::metrics::{Kept, add};
use crate::prefix::Prefix;
use crate::sources::Known;

/// Of streams by whatever tells them apart.
#[derive(Debug)]
pub struct ByParent<K> {
    /// Whose each stream was when it was looked at last, and its packets that had come again.
    streams: BTreeMap<K, (Arc<str>, u64)>,
    counted: Kept<String, 6>,
}

/// Of one parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfParent {
    /// Its name.
    pub parent: String,
    /// Packets that did not come in their place.
    pub missing: u64,
    /// Of these, packets that came by themselves.
    pub late: u64,
    /// Of these, packets that were asked for.
    pub asked: u64,
    /// Of these, packets that came.
    pub repaired: u64,
    /// What never came, and viewers miss.
    pub given_up: u64,
    /// Packets that came again, and were not taken.
    pub duplicates: u64,
    /// From a question to its answer, of the stream in the middle.
    pub round_trip: Option<Duration>,
}

impl<K> Default for ByParent<K> {
    fn default() -> Self {
        ByParent { streams: BTreeMap::new(), counted: Kept::default() }
    }
}

impl<K: Copy + Ord> ByParent<K> {
    /// Takes in what is new. `streams`: all that there are; `known`: who the parents are.
    pub fn read(&mut self, asker: &mut Asker<K>, streams: &[(K, Stream)], known: &Known) {
        let before = std::mem::take(&mut self.streams);
        let senders: Vec<_> =
            known.senders().map(|(parent, from)| (Arc::<str>::from(parent), from)).collect();
        let mut sums = BTreeMap::<Arc<str>, [u64; 6]>::new();
        for (key, stream) in streams {
            let is_its = |from: &BTreeSet<Prefix>| from.iter().any(|prefix| prefix.covers(&stream.source));
            let Some((parent, _)) = senders.iter().find(|(_, from)| is_its(from)) else { continue };
            let again = before.get(key).map_or(0, |(_, again)| *again);
            // Fewer than before: it was forgotten meanwhile, and counts anew.
            let new = stream.duplicates.checked_sub(again).unwrap_or(stream.duplicates);
            sums.entry(parent.clone()).or_default()[5] += new;
            self.streams.insert(*key, (parent.clone(), stream.duplicates));
        }
        let parent = known.parents_name().map(Arc::<str>::from);
        for (key, new) in asker.news() {
            // One that has ended was somebody's.
            let whose = self.streams.get(&key).or_else(|| before.get(&key)).map(|(whose, _)| whose);
            let Some(whose) = whose.or(parent.as_ref()) else { continue };
            let Asking { missing, late, asked, repaired, .. } = new;
            add(sums.entry(whose.clone()).or_default(), [missing, late, asked, repaired, new.given_up(), 0]);
        }
        for (parent, counts) in sums {
            self.counted.gone(parent.to_string(), counts);
        }
    }

    /// Of each of these.
    pub fn shown<'a>(&self, asker: &Asker<K>, parents: impl Iterator<Item = &'a str>) -> Vec<OfParent> {
        let of = |parent: &str| {
            let [missing, late, asked, repaired, given_up, duplicates] = self.counted.before(parent);
            let is_its = |key: &K| self.streams.get(key).is_some_and(|(whose, _)| **whose == *parent);
            let round_trip = asker.usual_round_trip_of(is_its);
            OfParent {
                parent: parent.to_owned(),
                missing,
                late,
                asked,
                repaired,
                given_up,
                duplicates,
                round_trip,
            }
        };
        parents.map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use relay_common::stream::Arrival;

    use super::*;
    use crate::prefix::mapped;
    use crate::record::{Origin, Place};
    use crate::repair::WITHIN;
    use crate::topology::{Standby, Upstream};

    const MS: u64 = 1_000_000;

    fn stream(last: u8, duplicates: u64) -> Stream {
        let first = Arrival { sequence: 1, timestamp: 0, bytes: 100, now: 0, rate: 0 };
        let source = mapped(IpAddr::from([10, 0, 0, last]));
        Stream { duplicates, ..Stream::begin(first, source, 6004) }
    }

    /// Parent a at 10.0.0.1, and b at 10.0.0.2 beside it.
    fn known() -> Known {
        let at = |host: &str| {
            let place = Place { host: host.to_owned(), ports: [6002, 6004] };
            Some(Origin { place, addresses: BTreeSet::new() })
        };
        let standby = Standby { origin: at("10.0.0.2"), problem: None };
        let mut known = Known::new(&BTreeSet::new());
        known.hear(Upstream {
            parent: Some("a".to_owned()),
            origin: at("10.0.0.1"),
            standby: [("b".to_owned(), standby)].into(),
            ..Upstream::default()
        });
        known
    }

    #[test]
    fn what_is_missing_is_the_parents_that_the_stream_comes_from() {
        let (mut asker, mut books, known) = (Asker::<u32>::new(WITHIN), ByParent::default(), known());
        let shown = |books: &ByParent<u32>, asker: &Asker<u32>| books.shown(asker, ["a", "b"].into_iter());
        asker.missing(1, 10, 3, 0);
        asker.missing(2, 20, 2, 0);
        asker.take(3 * MS);
        asker.came(&1, 10, 13 * MS);
        books.read(&mut asker, &[(1, stream(1, 4)), (2, stream(2, 0))], &known);
        let [a, b] = shown(&books, &asker).try_into().unwrap();
        assert_eq!((a.missing, a.asked, a.repaired, a.given_up, a.duplicates), (3, 3, 1, 0, 4));
        assert_eq!(a.round_trip, Some(Duration::from_millis(10)));
        assert_eq!((b.missing, b.asked, b.repaired, b.duplicates, b.round_trip), (2, 2, 0, 0, None));
        // It comes from the other now, and one that has ended was somebody's.
        asker.came(&1, 11, 14 * MS);
        asker.take(200 * MS);
        asker.ended(&2);
        books.read(&mut asker, &[(1, stream(2, 5))], &known);
        let [a, b] = shown(&books, &asker).try_into().unwrap();
        assert_eq!((a.missing, a.repaired, a.given_up), (3, 1, 0));
        assert_eq!((b.repaired, b.given_up, b.duplicates), (1, 3, 1));
        // What had been counted does not fall when the table forgets a stream, nor when nothing is new.
        books.read(&mut asker, &[(1, stream(2, 1))], &known);
        books.read(&mut asker, &[(1, stream(2, 1))], &known);
        assert_eq!(shown(&books, &asker)[1].duplicates, 2);
    }

    #[test]
    fn what_comes_from_nobody_known_is_the_parents() {
        let (mut asker, mut books) = (Asker::<u32>::new(WITHIN), ByParent::default());
        asker.missing(1, 10, 3, 0);
        books.read(&mut asker, &[(1, stream(9, 0))], &known());
        assert_eq!(books.shown(&asker, ["a"].into_iter())[0].missing, 3);
        asker.missing(1, 20, 3, 0);
        books.read(&mut asker, &[(1, stream(9, 0))], &Known::new(&BTreeSet::new()));
        assert_eq!(books.shown(&asker, ["a"].into_iter())[0].missing, 3, "there is no parent");
    }
}
