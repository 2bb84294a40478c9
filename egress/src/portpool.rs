//! Pairs of ports, audio and video, on which Janus takes the streams of mountpoints. Pure.
//!
//! Behind the pairs is one more port for each of them, for the RTCP of its video. Left to itself, Janus would choose that
//! among its own RTP ports, and might choose one of a pair that is free at that moment.
//!
//! A pair that Janus cannot take, because somebody else has one of its ports, is *set aside* for a while: one foreign socket
//! must not keep all sessions from being shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Janus takes ports of its own from here on, unless it is told otherwise (`rtp_port_range`).
const OF_JANUS: u16 = 10_000;

/// A pair that was set aside is tried again after so many ms.
const ASIDE: u64 = 10_000;

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
    /// Pairs that are free.
    pub available: u16,
    /// Pairs that are free here, and that Janus could not take when it was last tried: their first ports.
    pub set_aside: Vec<u16>,
    /// allocated / capacity, in percent.
    pub utilization_percent: f64,
}

/// The pairs, and which of them are taken.
#[derive(Clone, Debug)]
pub struct PortPool {
    base: u16,
    size: u16,
    taken: BTreeSet<u16>,
    /// Pairs that could not be taken, and are not tried again before …
    aside: BTreeMap<u16, Aside>,
}

#[derive(Clone, Debug)]
struct Aside {
    /// ms since 1970.
    until: u64,
    /// Who has its ports, or what Janus says.
    why: String,
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
        Ok(PortPool { base, size, taken: BTreeSet::new(), aside: BTreeMap::new() })
    }

    /// How many pairs.
    pub fn size(&self) -> u16 {
        self.size
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

    /// Takes the lowest free pair that is not set aside. `now`: ms since 1970.
    pub fn take(&mut self, now: u64) -> Option<Pair> {
        let is_aside = |index: &u16| self.aside.get(index).is_some_and(|aside| now < aside.until);
        let index = (0..self.size).find(|index| !self.taken.contains(index) && !is_aside(index))?;
        self.taken.insert(index);
        Some(self.pair(index))
    }

    /// Janus cannot take a pair: once it is given back, it is not taken again for a while. `why`: who has its ports.
    pub fn set_aside(&mut self, pair: Pair, why: String, now: u64) {
        if let Some(index) = self.index(pair) {
            self.aside.insert(index, Aside { until: now + ASIDE, why });
        }
    }

    /// Janus has taken it: whatever was wrong is over.
    pub fn works(&mut self, pair: Pair) {
        if let Some(index) = self.index(pair) {
            self.aside.remove(&index);
        }
    }

    /// What is wrong with those that were set aside, each a sentence.
    pub fn troubles(&self) -> Vec<String> {
        let trouble = |(index, aside): (&u16, &Aside)| {
            let Pair { audio, video, rtcp } = self.pair(*index);
            format!(
                "ports {audio}, {video} and {rtcp} are set aside, because Janus cannot take them: {}; free them, or set \
                 port-pool-base to others",
                aside.why
            )
        };
        self.aside.iter().map(trouble).collect()
    }

    fn pair(&self, index: u16) -> Pair {
        let audio = self.base + 2 * index;
        Pair { audio, video: audio + 1, rtcp: self.base + 2 * self.size + index }
    }

    fn index(&self, pair: Pair) -> Option<u16> {
        let index = pair.audio.checked_sub(self.base)? / 2;
        (index < self.size && self.pair(index) == pair).then_some(index)
    }

    /// Gives a pair back. `false`: it was not taken from here.
    pub fn give_back(&mut self, pair: Pair) -> bool {
        self.index(pair).is_some_and(|index| self.taken.remove(&index))
    }

    /// The numbers.
    pub fn view(&self) -> View {
        let allocated = self.taken.len() as u16;
        let set_aside: Vec<u16> = self
            .aside
            .keys()
            .filter(|index| !self.taken.contains(index))
            .map(|index| self.pair(*index).audio)
            .collect();
        View {
            base: self.base,
            size: self.size,
            capacity: self.size,
            allocated,
            available: self.size - allocated - set_aside.len() as u16,
            set_aside,
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
        let [first, second] = [pool.take(0).unwrap(), pool.take(0).unwrap()];
        assert_eq!((first.audio, first.video, second.audio, second.video), (6000, 6001, 6002, 6003));
        assert_eq!(pool.take(0), None);
        assert_eq!((pool.view().allocated, pool.view().available), (2, 0));
        assert!(pool.give_back(first));
        assert!(!pool.give_back(first), "only once");
        assert_eq!(pool.take(0), Some(first));
    }

    #[test]
    fn a_pair_that_cannot_be_taken_keeps_none_of_the_others_back() {
        let mut pool = PortPool::new(6000, 2).unwrap();
        let first = pool.take(0).unwrap();
        pool.set_aside(first, "held by socat (PID 7)".to_owned(), 0);
        assert!(pool.give_back(first));
        assert_eq!((pool.view().set_aside, pool.view().available), (vec![6000], 1));
        assert!(pool.troubles()[0].contains("socat"), "{:?}", pool.troubles());
        let second = pool.take(1).unwrap();
        assert_eq!((second.audio, pool.take(1)), (6002, None), "it is not tried again at once");
        assert_eq!(pool.take(ASIDE), Some(first), "but in a while");
        assert_eq!((pool.view().set_aside, pool.view().available), (vec![], 0));
        pool.set_aside(first, "still".to_owned(), ASIDE);
        assert!(pool.give_back(first) && pool.give_back(second) && pool.take(ASIDE + 1) == Some(second));
        assert_eq!(pool.take(2 * ASIDE), Some(first));
        pool.works(first);
        assert_eq!(pool.troubles(), [""; 0]);
        pool.set_aside(Pair { audio: 7000, video: 7001, rtcp: 7002 }, "none of ours".to_owned(), 0);
        assert_eq!(pool.troubles(), [""; 0]);
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
            while let Some(pair) = pool.take(0) {
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
                    match pool.take(0) {
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
