//! Counts of what comes and goes: none that was seen once falls while the process lives. Without I/O.
//!
//! A session that ends, or a child that is removed, takes its counters along, and its series ends. What they had counted is kept by
//! name: should it come back, its series goes on from there. A sum over all of them has those that are gone, for ever.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};

/// Names that are remembered. Of more, the one that has been gone for longest is forgotten: it would begin anew.
const REMEMBERED: usize = 1024;

/// What things of these names (`K`) had counted when they went, `N` numbers each.
#[derive(Clone, Debug)]
pub struct Kept<K, const N: usize> {
    gone: BTreeMap<K, [u64; N]>,
    /// In the order in which they went.
    order: VecDeque<K>,
    sum: [u64; N],
}

impl<K, const N: usize> Default for Kept<K, N> {
    fn default() -> Self {
        Kept { gone: BTreeMap::new(), order: VecDeque::new(), sum: [0; N] }
    }
}

impl<K: Ord + Clone, const N: usize> Kept<K, N> {
    /// It has gone, and had counted so much since it came last.
    pub fn gone(&mut self, name: K, counts: [u64; N]) {
        add(&mut self.sum, counts);
        match self.gone.get_mut(&name) {
            Some(before) => {
                add(before, counts);
                self.order.retain(|other| *other != name);
            }
            None => drop(self.gone.insert(name.clone(), counts)),
        }
        self.order.push_back(name);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    /// What it had counted before it came last.
    pub fn before<Q: Ord + ?Sized>(&self, name: &Q) -> [u64; N]
    where
        K: Borrow<Q>,
    {
        self.gone.get(name).copied().unwrap_or([0; N])
    }

    /// What all who have ever gone had counted.
    pub fn sum(&self) -> [u64; N] {
        self.sum
    }
}

/// What has come from each parent that a node has had.
#[derive(Clone, Debug, Default)]
pub struct Parents {
    now: Option<String>,
    /// From this one, since it is the parent.
    counted: u64,
    /// In all.
    total: u64,
    kept: Kept<String, 1>,
}

impl Parents {
    /// So much has come in all, and this is the parent. What is new came from whoever was the parent until now: whoever changes the
    /// parent reads first.
    pub fn read(&mut self, parent: Option<&str>, total: u64) {
        self.counted += total.saturating_sub(self.total);
        self.total = self.total.max(total);
        if self.now.as_deref() == parent {
            return;
        }
        if let Some(former) = self.now.take() {
            self.kept.gone(former, [self.counted]);
        }
        self.now = parent.map(str::to_owned);
        self.counted = 0;
    }

    /// The parent, and what has come from it.
    pub fn shown(&self) -> Option<(String, u64)> {
        let parent = self.now.clone()?;
        let [before] = self.kept.before(parent.as_str());
        Some((parent, before + self.counted))
    }
}

/// Adds each to each.
pub fn add<const N: usize>(sum: &mut [u64; N], more: [u64; N]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_goes_on_where_it_was() {
        let mut kept = Kept::default();
        kept.gone("a".to_owned(), [3, 1]);
        kept.gone("b".to_owned(), [5, 0]);
        assert_eq!((kept.before("a"), kept.before("c")), ([3, 1], [0, 0]));
        kept.gone("a".to_owned(), [4, 0]);
        assert_eq!((kept.before("a"), kept.sum()), ([7, 1], [12, 1]));
    }

    #[test]
    fn only_so_many_are_remembered_and_the_sum_has_all() {
        let mut kept = Kept::default();
        for name in 0..2 * REMEMBERED {
            kept.gone(name, [1]);
        }
        // One that comes and goes all the time is not forgotten, and takes one place.
        kept.gone(REMEMBERED, [1]);
        kept.gone(usize::MAX, [1]);
        assert_eq!((kept.gone.len(), kept.order.len()), (REMEMBERED, REMEMBERED));
        let before = |name: usize| kept.before(&name)[0];
        assert_eq!((before(0), before(REMEMBERED), before(REMEMBERED + 1)), (0, 2, 0));
        assert_eq!(kept.sum(), [2 * REMEMBERED as u64 + 2]);
    }

    #[test]
    fn what_came_is_the_parents_of_that_time() {
        let mut parents = Parents::default();
        parents.read(None, 10);
        assert_eq!(parents.shown(), None);
        parents.read(Some("relay-1"), 10);
        parents.read(Some("relay-1"), 15);
        parents.read(Some("relay-2"), 17);
        assert_eq!(parents.shown(), Some(("relay-2".to_owned(), 0)));
        parents.read(Some("relay-1"), 20);
        assert_eq!(parents.shown(), Some(("relay-1".to_owned(), 7)));
        // Two who read at once may come in another order.
        parents.read(Some("relay-1"), 19);
        parents.read(Some("relay-1"), 21);
        assert_eq!(parents.shown(), Some(("relay-1".to_owned(), 8)));
    }
}
