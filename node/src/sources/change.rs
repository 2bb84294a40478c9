//! A change of parents: where packets that come by two ways are told apart from new ones, media is taken from the former parent as
//! well until it comes from the new one.

use std::collections::BTreeSet;
use std::time::Duration;

use relay_common::stream::Stream;

use crate::prefix::Prefix;

/// A stream from which nothing has come for so long is waited for no more, nor for so long what is missing of one, ns.
const SILENT: u64 = 1_000_000_000;

/// Between two parents it is looked so often whether media comes from the new one.
pub const HEARD_EVERY: Duration = Duration::from_millis(50);

/// From a former parent to the one that is named now.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Where the former one sends from.
    former: BTreeSet<Prefix>,
    /// Since when media comes from the new one, too: by the clock of the streams, ns.
    heard: Option<u64>,
}

impl Change {
    /// Another parent is named than the one that sends from here. `None`: that one has never sent.
    pub fn from(former: BTreeSet<Prefix>) -> Option<Change> {
        (!former.is_empty()).then_some(Change { former, heard: None })
    }

    /// Where the former one sends from.
    pub fn former(&self) -> &BTreeSet<Prefix> {
        &self.former
    }

    /// The former one sends from here, too.
    pub fn covers(&self, address: &[u8; 16]) -> bool {
        self.former.iter().any(|prefix| prefix.covers(address))
    }

    /// Media comes from the new one.
    pub fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Whether the former parent is needed no more: media comes from the new one, and what that one is ahead by has come by the
    /// former one, or will not. `is_parents`: the new one sends from there; `now`: of the clock that is in [`Stream::last_seen`], ns.
    pub fn is_over(&mut self, streams: &[Stream], now: u64, is_parents: impl Fn(&[u8; 16]) -> bool) -> bool {
        if !self.has_come(streams, now, is_parents) {
            self.heard = None;
            return false;
        }
        let since = *self.heard.get_or_insert(now);
        let mut recent = streams.iter().filter(|stream| now.saturating_sub(stream.last_seen) < SILENT);
        recent.all(Stream::is_whole) || now.saturating_sub(since) >= SILENT
    }

    /// Whether media comes from the new parent: no stream goes on that comes from the former one alone.
    fn has_come(&self, streams: &[Stream], now: u64, is_parents: impl Fn(&[u8; 16]) -> bool) -> bool {
        let recent = |at: u64| now.saturating_sub(at) < SILENT;
        let is_formers = |address| self.covers(address) && !is_parents(address);
        let mut formers =
            streams.iter().filter(|stream| recent(stream.last_seen) && is_formers(&stream.source));
        formers.all(|stream| stream.other_port != 0 && recent(stream.other_seen) && is_parents(&stream.other))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Known;
    use super::super::tests::{prefixes, upstream};
    use super::*;
    use relay_common::stream::{Arrival, Standing};

    #[test]
    fn a_former_parent_is_heard_until_the_new_one_is() {
        let shown =
            |known: &Known| known.decide().unwrap().0.iter().map(ToString::to_string).collect::<Vec<_>>();
        let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)]
            .map(|(name, last)| upstream(Some(name), &format!("10.0.0.{last}"), &[]));
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        known.hear(a.clone());
        assert!(!known.is_between());
        // The same one, again.
        known.hear(a.clone());
        assert!(!known.is_between());
        known.hear(b.clone());
        assert_eq!(
            (shown(&known), known.is_between()),
            (vec!["10.0.0.1/32".to_owned(), "10.0.0.2/32".to_owned()], true)
        );
        assert_eq!(known.twins(), prefixes(&["10.0.0.1", "10.0.0.2"]));
        // A third before the second has come: media comes from the first yet.
        known.hear(c);
        assert_eq!(shown(&known), ["10.0.0.1/32", "10.0.0.3/32"]);
        known.settle();
        assert_eq!((shown(&known), known.is_between()), (vec!["10.0.0.3/32".to_owned()], false));
        assert_eq!(known.twins(), BTreeSet::new());
        // Where two ways are not told apart, one of them is enough.
        let mut known = Known::new(&BTreeSet::new());
        known.hear(a);
        known.hear(b);
        assert_eq!(shown(&known), ["10.0.0.2/32"]);
    }

    #[test]
    fn when_a_third_is_named_who_is_heard_is_the_former_one() {
        let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)]
            .map(|(name, last)| upstream(Some(name), &format!("10.0.0.{last}"), &[]));
        let at = |last: u8| crate::prefix::mapped([10, 0, 0, last].into());
        let arrival = |sequence| Arrival { sequence, timestamp: 0, bytes: 100, now: 1, rate: 0 };
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        known.hear(a);
        known.hear(b);
        let mut stream = Stream::begin(arrival(1), at(1), 5004);
        stream.take_once(&at(2), 5004, arrival(3), Standing::Twin);
        assert!(!known.is_superseded(&[stream], 1), "2 is missing");
        // The first may have ended meanwhile.
        known.hear(c);
        assert_eq!(known.twins(), prefixes(&["10.0.0.2", "10.0.0.3"]));
        assert_eq!(known.decide().unwrap().0, known.twins());
    }

    #[test]
    fn a_parent_is_heard_when_no_stream_that_goes_on_comes_from_the_former_one_alone() {
        let address = |last: u8| crate::prefix::mapped([10, 0, 0, last].into());
        let now = 10 * SILENT;
        let stream = |source: u8, silent: u64, other: Option<(u8, u64)>| {
            let mut stream = Stream::begin_with_rtcp(0, address(source), 5004);
            stream.last_seen = now - silent;
            if let Some((other, silent)) = other {
                (stream.other, stream.other_port, stream.other_seen) = (address(other), 5004, now - silent);
            }
            stream
        };
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        known.hear(upstream(Some("a"), "10.0.0.1", &[]));
        known.hear(upstream(Some("b"), "10.0.0.2", &[]));
        let heard = |streams: &[Stream]| {
            let change = known.change.as_ref().unwrap();
            change.has_come(streams, now, |parent| *parent == address(2))
        };
        assert!(heard(&[]) && heard(&[stream(2, 0, None)]));
        assert!(!heard(&[stream(1, 0, None)]));
        assert!(heard(&[stream(1, 2 * SILENT, None)]), "it has ended");
        assert!(heard(&[stream(9, 0, None)]), "it is of neither (--source)");
        assert!(heard(&[stream(1, 0, Some((2, 0)))]), "by the longer way");
        assert!(!heard(&[stream(1, 0, Some((2, 2 * SILENT)))]) && !heard(&[stream(1, 0, Some((3, 0)))]));
        assert!(!heard(&[stream(2, 0, None), stream(1, 0, None)]), "not all of it");
    }

    #[test]
    fn a_former_parent_is_needed_until_it_has_brought_what_the_new_one_is_ahead_by() {
        let at = |last: u8| crate::prefix::mapped([10, 0, 0, last].into());
        let arrival = |sequence, now| Arrival { sequence, timestamp: 0, bytes: 100, now, rate: 0 };
        let mut known = Known::new(&BTreeSet::new()).overlapping();
        known.hear(upstream(Some("a"), "10.0.0.1", &[]));
        known.hear(upstream(Some("b"), "10.0.0.2", &[]));
        let ms = 1_000_000;
        let mut stream = Stream::begin(arrival(7, ms), at(1), 5004);
        assert!(!known.is_superseded(&[stream], ms));
        stream.take_once(&at(2), 5004, arrival(10, 2 * ms), Standing::Twin);
        assert!(!known.is_superseded(&[stream], 2 * ms), "8 and 9 are missing");
        for sequence in [8, 9] {
            stream.take_once(&at(1), 5004, arrival(sequence, 3 * ms), Standing::Own);
        }
        assert!(known.is_superseded(&[stream], 3 * ms));
        // Another is lost: it is waited for as long as for one that is silent.
        stream.take_once(&at(2), 5004, arrival(12, 4 * ms), Standing::Twin);
        assert!(!known.is_superseded(&[stream], 900 * ms));
        stream.take_once(&at(2), 5004, arrival(13, 1_000 * ms), Standing::Twin);
        assert!(known.is_superseded(&[stream], 1_003 * ms));
    }
}
