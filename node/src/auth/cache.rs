//! Answers that are remembered for a while, at most so many of them. Pure: time is an argument.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// Remembers.
#[derive(Debug)]
pub struct Cache<K, V> {
    most: usize,
    kept: HashMap<K, (Duration, V)>,
    /// In the order in which they were remembered, which with one time for all is that in which they are forgotten.
    order: VecDeque<(Duration, K)>,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// Room for so many.
    pub fn new(most: usize) -> Cache<K, V> {
        Cache { most, kept: HashMap::new(), order: VecDeque::new() }
    }

    /// What is remembered at this time.
    pub fn get(&self, key: &K, now: Duration) -> Option<V> {
        self.kept.get(key).filter(|(until, _)| now < *until).map(|(_, value)| value.clone())
    }

    /// Remembers for a time. When there are too many, the oldest goes.
    pub fn put(&mut self, key: K, value: V, now: Duration, keep: Duration) {
        while let Some((until, oldest)) = self.order.front()
            && (*until <= now || self.order.len() >= self.most)
        {
            // It may have been remembered anew since.
            if self.kept.get(oldest).is_some_and(|(kept, _)| kept == until) {
                self.kept.remove(oldest);
            }
            self.order.pop_front();
        }
        if keep.is_zero() || self.most == 0 {
            return;
        }
        self.order.push_back((now + keep, key.clone()));
        self.kept.insert(key, (now + keep, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_remembered_for_its_time() {
        let mut cache = Cache::new(8);
        cache.put("a", 1, at(0), KEEP);
        assert_eq!(
            [cache.get(&"a", at(9)), cache.get(&"a", at(10)), cache.get(&"b", at(0))],
            [Some(1), None, None]
        );
        cache.put("a", 2, at(5), KEEP);
        cache.put("b", 3, at(12), KEEP);
        assert_eq!(cache.get(&"a", at(12)), Some(2), "what was remembered anew outlives the first time");
        cache.put("c", 4, at(12), Duration::ZERO);
        assert_eq!(cache.get(&"c", at(12)), None);
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut cache = Cache::new(100);
        for n in 0..10_000 {
            cache.put(n, n, at(0), KEEP);
        }
        assert!(cache.kept.len() <= 100 && cache.order.len() <= 100);
        assert_eq!((cache.get(&9_999, at(1)), cache.get(&0, at(1))), (Some(9_999), None));
        // The same key again and again takes no room either.
        for _ in 0..10_000 {
            cache.put(1, 1, at(0), KEEP);
        }
        assert!(cache.kept.len() <= 100 && cache.order.len() <= 100);
    }
}
