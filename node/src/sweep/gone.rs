//! What has been missing for long: nodes, and the hashes of sessions and mountpoints. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most that is remembered as missing; of more, others are as soon as there is room.
const MOST: usize = 1000;
/// What nobody has looked at for so long is of no interest any more.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Remembers for how long each of these has been seen missing.
#[derive(Clone, Debug)]
pub struct Gone {
    after: Duration,
    longest: Duration,
    missing: BTreeMap<String, Missing>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    looked: Duration,
    for_long: Duration,
}

impl Gone {
    /// One is gone when it has been missing for `after`. Between two looks counts no more than `longest`: whoever looks may
    /// have slept itself, and has not seen who was there meanwhile.
    pub fn new(after: Duration, longest: Duration) -> Gone {
        Gone { after, longest, missing: BTreeMap::new() }
    }

    /// Those that are to be looked at again.
    pub fn missing(&self) -> impl Iterator<Item = &String> {
        self.missing.keys()
    }

    /// Some of them, each with whether it is there now. Gives those that are gone.
    pub fn look(
        &mut self,
        seen: impl IntoIterator<Item = (String, bool)>,
        now: Duration,
    ) -> BTreeSet<String> {
        self.missing.retain(|_, missing| now.saturating_sub(missing.looked) < FORGOTTEN);
        for (id, is_there) in seen {
            if is_there {
                self.missing.remove(&id);
            } else if let Some(missing) = self.missing.get_mut(&id) {
                missing.for_long += now.saturating_sub(missing.looked).min(self.longest);
                missing.looked = now;
            } else if self.missing.len() < MOST {
                self.missing.insert(id, Missing { looked: now, for_long: Duration::ZERO });
            }
        }
        let is_gone =
            |(id, missing): (&String, &Missing)| (missing.for_long >= self.after).then(|| id.clone());
        self.missing.iter().filter_map(is_gone).collect()
    }

    /// Nothing of it is left: it is of no interest any more.
    pub fn forget(&mut self, id: &str) {
        self.missing.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn look(gone: &mut Gone, seen: &[(&str, bool)], now: u64) -> Vec<String> {
        let seen = seen.iter().map(|(id, is_there)| ((*id).to_owned(), *is_there));
        gone.look(seen, seconds(now)).into_iter().collect()
    }

    #[test]
    fn who_is_back_begins_anew() {
        let mut gone = Gone::new(seconds(60), seconds(40));
        assert_eq!(look(&mut gone, &[("a", false), ("b", false)], 0), [""; 0]);
        assert_eq!(look(&mut gone, &[("a", false), ("b", true)], 40), [""; 0]);
        assert_eq!(look(&mut gone, &[("a", false), ("b", false)], 60), ["a"]);
        assert_eq!(look(&mut gone, &[("b", false)], 100), ["a"], "until it is forgotten");
        gone.forget("a");
        assert_eq!(look(&mut gone, &[("b", false)], 120), ["b"]);
    }

    #[test]
    fn who_sleeps_has_seen_nothing() {
        let mut gone = Gone::new(seconds(60), seconds(40));
        look(&mut gone, &[("a", false)], 0);
        assert_eq!(look(&mut gone, &[("a", false)], 1000), [""; 0]);
        assert_eq!(look(&mut gone, &[("a", false)], 1020), ["a"]);
        assert_eq!(look(&mut gone, &[("a", false)], 100_000), [""; 0], "after a day nothing is known");
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut gone = Gone::new(seconds(60), seconds(40));
        gone.look((0..5000).map(|number| (format!("n{number}"), false)), seconds(0));
        assert_eq!(gone.missing().count(), MOST);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Whoever is gone was seen missing at every look of at least the last `after`.
        #[test]
        fn nobody_is_gone_who_was_there_lately(looks in prop::collection::vec((1u64..50, any::<[bool; 3]>()), 1..60)) {
            let mut gone = Gone::new(seconds(60), seconds(40));
            let (mut now, mut there) = (0, [0u64; 3]);
            for (pause, seen) in looks {
                now += pause;
                let found = gone.look((0..3).map(|node| (node.to_string(), seen[node])), seconds(now));
                for node in 0..3 {
                    if seen[node] {
                        there[node] = now;
                    }
                    if found.contains(&node.to_string()) {
                        prop_assert!(!seen[node] && now - there[node] >= 60, "{node} at {now}, there at {there:?}");
                    }
                }
            }
        }
    }
}
