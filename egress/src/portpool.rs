//! Pairs of ports, audio and video, on which Janus takes the streams of mountpoints. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Two neighbouring ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The lower port.
    pub audio: u16,
    /// The port after.
    pub video: u16,
}

/// `GET /portpool`. All numbers but `base` count pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// First port.
    pub base: u16,
    /// The same as `capacity`.
    pub size: u16,
    /// All pairs.
    pub capacity: u16,
    /// Pairs in use.
    pub allocated: u16,
    /// Pairs that are free, each of them.
    pub available: u16,
    /// allocated / capacity, in percent.
    pub utilization_percent: f64,
}

/// The pairs, and which of them are taken.
#[derive(Clone, Debug)]
pub struct PortPool {
    base: u16,
    size: u16,
    taken: BTreeSet<u16>,
}

impl PortPool {
    /// `size` pairs from `base` on; an error says why there cannot be such a pool.
    pub fn new(base: u16, size: u16) -> Result<PortPool, String> {
        if base == 0 || size == 0 {
            return Err("the first port and the number of pairs must be 1 or more".to_owned());
        }
        let last = u32::from(base) + 2 * u32::from(size) - 1;
        if last > u32::from(u16::MAX) {
            return Err(format!("{size} pairs from port {base} on would end at {last}; ports end at 65535"));
        }
        Ok(PortPool { base, size, taken: BTreeSet::new() })
    }

    /// First and last port.
    pub fn range(&self) -> (u16, u16) {
        (self.base, self.base + (2 * self.size - 1))
    }

    /// Takes the lowest free pair.
    pub fn take(&mut self) -> Option<Pair> {
        let index = (0..self.size).find(|index| !self.taken.contains(index))?;
        self.taken.insert(index);
        let audio = self.base + 2 * index;
        Some(Pair { audio, video: audio + 1 })
    }

    /// Gives a pair back. `false`: it was not taken from here.
    pub fn give_back(&mut self, pair: Pair) -> bool {
        pair.audio
            .checked_sub(self.base)
            .filter(|offset| offset % 2 == 0)
            .is_some_and(|offset| self.taken.remove(&(offset / 2)))
    }

    /// The numbers.
    pub fn view(&self) -> View {
        let allocated = self.taken.len() as u16;
        View {
            base: self.base,
            size: self.size,
            capacity: self.size,
            allocated,
            available: self.size - allocated,
            utilization_percent: 100.0 * f64::from(allocated) / f64::from(self.size),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pools_that_cannot_be_are_refused() {
        for (base, size) in [(0, 1), (6000, 0), (65535, 1), (6000, 40000)] {
            assert!(PortPool::new(base, size).is_err(), "{base} {size}");
        }
        assert_eq!(PortPool::new(65534, 1).unwrap().range(), (65534, 65535));
    }

    #[test]
    fn the_lowest_free_pair_is_taken() {
        let mut pool = PortPool::new(6000, 2).unwrap();
        let [first, second] = [pool.take().unwrap(), pool.take().unwrap()];
        assert_eq!((first.audio, first.video, second.audio, second.video), (6000, 6001, 6002, 6003));
        assert_eq!(pool.take(), None);
        assert_eq!((pool.view().allocated, pool.view().available), (2, 0));
        assert!(pool.give_back(first));
        assert!(!pool.give_back(first), "only once");
        assert_eq!(pool.take(), Some(first));
    }

    proptest! {
        #[test]
        fn nothing_leaks_whatever_is_done(steps in proptest::collection::vec((any::<bool>(), any::<u16>()), 0..200)) {
            let mut pool = PortPool::new(6000, 10).unwrap();
            let mut held = BTreeSet::new();
            for (take, which) in steps {
                if take {
                    match pool.take() {
                        Some(pair) => prop_assert!(held.insert(pair), "given twice: {pair:?}"),
                        None => prop_assert_eq!(held.len(), 10),
                    }
                } else {
                    let audio = 5990 + which % 40;
                    let pair = Pair { audio, video: audio + 1 };
                    prop_assert_eq!(pool.give_back(pair), held.remove(&pair));
                }
                let view = pool.view();
                prop_assert_eq!(usize::from(view.allocated), held.len());
                prop_assert_eq!(view.allocated + view.available, view.capacity);
            }
        }
    }
}
