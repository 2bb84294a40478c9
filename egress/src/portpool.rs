//! Pairs of ports, audio and video, on which Janus takes the streams of mountpoints. Pure.
//!
//! Behind the pairs is one more port for each of them, for the RTCP of its video. Left to itself, Janus would choose that
//! among its own RTP ports, and might choose one of a pair that is free at that moment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Janus takes ports of its own from here on, unless it is told otherwise (`rtp_port_range`).
const OF_JANUS: u16 = 10_000;

/// Two neighbouring ports, and one for RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The lower port.
    pub audio: u16,
    /// The port after.
    pub video: u16,
    /// RTCP of the video.
    pub rtcp: u16,
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
        let last = u32::from(base) + 3 * u32::from(size) - 1;
        if last > u32::from(u16::MAX) {
            return Err(format!(
                "{size} pairs from port {base} on, and as many ports for RTCP after them, would end at {last}; ports end at \
                 65535"
            ));
        }
        Ok(PortPool { base, size, taken: BTreeSet::new() })
    }

    /// First and last port, those for RTCP among them.
    pub fn range(&self) -> (u16, u16) {
        (self.base, self.base + (3 * self.size - 1))
    }

    /// What is to be looked after, if anything.
    pub fn warning(&self) -> Option<String> {
        let (first, last) = self.range();
        (last >= OF_JANUS).then(|| {
            format!(
                "the pool's ports, {first} to {last}, may be among those that Janus takes for itself, {OF_JANUS} to 60000 by \
                 default; keep them out of rtp_port_range, both in janus.jcfg and in janus.plugin.streaming.jcfg"
            )
        })
    }

    /// Takes the lowest free pair.
    pub fn take(&mut self) -> Option<Pair> {
        let index = (0..self.size).find(|index| !self.taken.contains(index))?;
        self.taken.insert(index);
        Some(self.pair(index))
    }

    fn pair(&self, index: u16) -> Pair {
        let audio = self.base + 2 * index;
        Pair { audio, video: audio + 1, rtcp: self.base + 2 * self.size + index }
    }

    /// Gives a pair back. `false`: it was not taken from here.
    pub fn give_back(&mut self, pair: Pair) -> bool {
        pair.audio
            .checked_sub(self.base)
            .map(|offset| offset / 2)
            .filter(|index| *index < self.size && self.pair(*index) == pair)
            .is_some_and(|index| self.taken.remove(&index))
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
        for (base, size) in [(0, 1), (6000, 0), (65534, 1), (6000, 40000), (6000, 20000)] {
            assert!(PortPool::new(base, size).is_err(), "{base} {size}");
        }
        assert_eq!(PortPool::new(65533, 1).unwrap().range(), (65533, 65535));
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

    #[test]
    fn pools_that_janus_may_take_from_are_told_of() {
        assert_eq!(PortPool::new(6000, 100).unwrap().warning(), None);
        assert_eq!(PortPool::new(9997, 1).unwrap().warning(), None);
        let warning = PortPool::new(9998, 1).unwrap().warning().unwrap();
        assert!(warning.contains("9998 to 10000"), "{warning}");
    }

    proptest! {
        #[test]
        fn no_port_is_given_twice(base in 1..60_000u16, size in 1..500u16) {
            let Ok(mut pool) = PortPool::new(base, size) else { return Ok(()) };
            let (first, last) = pool.range();
            let mut given = BTreeSet::new();
            while let Some(pair) = pool.take() {
                for port in [pair.audio, pair.video, pair.rtcp] {
                    prop_assert!((first..=last).contains(&port) && given.insert(port), "{pair:?}");
                }
            }
            prop_assert_eq!(given.len(), 3 * usize::from(size));
        }

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
                    let rtcp = 6020 + (audio.saturating_sub(6000)) / 2;
                    let pair = Pair { audio, video: audio + 1, rtcp };
                    prop_assert_eq!(pool.give_back(pair), held.remove(&pair));
                }
                let view = pool.view();
                prop_assert_eq!(usize::from(view.allocated), held.len());
                prop_assert_eq!(view.allocated + view.available, view.capacity);
            }
        }
    }
}
