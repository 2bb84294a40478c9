//! Allocators for what the data plane numbers: child slots, set instances, set ids, and runs of member positions.
//! All of them prefer what has been free the longest, so that a number is reused as late as possible.

use std::collections::{BTreeMap, VecDeque};

/// Single numbers, first freed first reused.
#[derive(Clone, Debug)]
pub struct Numbers {
    free: VecDeque<u32>,
}

impl Numbers {
    /// The numbers of `range`, without those `in_use`.
    pub fn new(range: std::ops::Range<u32>, in_use: &[u32]) -> Numbers {
        Numbers { free: range.filter(|number| !in_use.contains(number)).collect() }
    }

    /// Takes a number, if one is free.
    pub fn take(&mut self) -> Option<u32> {
        self.free.pop_front()
    }

    /// Takes one certain number, if it is free.
    pub fn take_this(&mut self, number: u32) -> bool {
        let before = self.free.len();
        self.free.retain(|free| *free != number);
        self.free.len() < before
    }

    /// Gives a number back.
    pub fn give(&mut self, number: u32) {
        debug_assert!(!self.free.contains(&number), "number {number} given back twice");
        self.free.push_back(number);
    }

    /// How many are free.
    pub fn available(&self) -> usize {
        self.free.len()
    }
}

/// Runs of positions, next fit.
#[derive(Clone, Debug)]
pub struct Runs {
    end: u32,
    next: u32,
    used: BTreeMap<u32, u32>,
}

impl Runs {
    /// Positions `0..end`, without the runs `in_use` (first, count).
    pub fn new(end: u32, in_use: &[(u32, u32)]) -> Runs {
        let used: BTreeMap<u32, u32> = in_use.iter().copied().filter(|(_, count)| *count > 0).collect();
        let next = used.iter().next_back().map_or(0, |(first, count)| first + count);
        Runs { end, next, used }
    }

    /// Takes `count` positions in a row.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        let first = self.find(self.next, self.end, count).or_else(|| self.find(0, self.end, count))?;
        self.used.insert(first, count);
        self.next = first + count;
        Some(first)
    }

    /// Gives a run back by its first position.
    pub fn give(&mut self, first: u32) {
        let was_used = self.used.remove(&first).is_some();
        debug_assert!(was_used, "run {first} given back twice");
    }

    /// Runs that are taken: first position and count.
    #[cfg(test)]
    pub fn used(&self) -> impl Iterator<Item = (u32, u32)> {
        self.used.iter().map(|(first, count)| (*first, *count))
    }

    fn find(&self, from: u32, to: u32, count: u32) -> Option<u32> {
        // A run that starts before `from` may reach beyond it.
        let mut at =
            self.used.range(..from).next_back().map_or(from, |(first, length)| from.max(first + length));
        for (first, length) in self.used.range(at..) {
            if first - at >= count {
                break;
            }
            at = first + length;
        }
        (at.checked_add(count)? <= to).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_reused_as_late_as_possible() {
        let mut numbers = Numbers::new(0..3, &[1]);
        assert_eq!(numbers.take(), Some(0));
        numbers.give(0);
        assert_eq!(numbers.take(), Some(2));
        assert_eq!(numbers.take(), Some(0));
        assert_eq!(numbers.take(), None);
    }

    proptest! {
        #[test]
        fn runs_never_overlap_and_nothing_leaks(steps in prop::collection::vec((1u32..40, any::<bool>()), 1..300)) {
            let mut runs = Runs::new(500, &[]);
            let mut held: Vec<(u32, u32)> = Vec::new();
            for (count, release) in steps {
                if release && !held.is_empty() {
                    let (first, _) = held.remove((count as usize) % held.len());
                    runs.give(first);
                } else if let Some(first) = runs.take(count) {
                    prop_assert!(first + count <= 500);
                    prop_assert!(held.iter().all(|(other, length)| first + count <= *other || other + length <= first));
                    held.push((first, count));
                }
            }
            for (first, _) in held {
                runs.give(first);
            }
            prop_assert_eq!(runs.take(500), Some(0));
        }
    }
}
