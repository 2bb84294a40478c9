//! What of a stream may be needed again: by who asks again, and by who comes.

use std::collections::VecDeque;
use std::time::Duration;

use super::Packet;

/// Most packets and bytes that are kept of one stream, however long.
const MOST_PACKETS: usize = 8192;
const MOST_BYTES: usize = 16 << 20;

/// A stream's packets of late, by index.
#[derive(Debug)]
pub struct History {
    keep: Duration,
    /// From [`History::first`] on; those that have not come are missing.
    packets: VecDeque<Option<Packet>>,
    first: u64,
    bytes: usize,
    /// Where the picture begins that is the last keyframe.
    keyframe: Option<u64>,
    /// How many are missing since then.
    missing: u64,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is further on than all before.
    Next,
    /// It was missing.
    Late,
    /// It was there already.
    Twice,
    /// It is older than all that is kept.
    Old,
}

impl History {
    /// Keeps packets for so long.
    pub fn new(keep: Duration) -> History {
        History { keep, packets: VecDeque::new(), first: 0, bytes: 0, keyframe: None, missing: 0 }
    }

    /// Index of the oldest that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Index after the newest.
    pub fn end(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// The packet with this index, if it has come and is still there.
    pub fn get(&self, index: u64) -> Option<&Packet> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.packets.get(at)?.as_ref()
    }

    /// The newest.
    pub fn newest(&self) -> Option<&Packet> {
        self.packets.back()?.as_ref()
    }

    /// The first packet of the last keyframe, if it is still there.
    pub fn keyframe(&self) -> Option<&Packet> {
        self.get(self.keyframe?)
    }

    /// The same, if nothing is missing from there on: who begins with it sees what follows whole.
    pub fn whole_keyframe(&self) -> Option<&Packet> {
        self.keyframe().filter(|_| self.missing == 0)
    }

    /// Takes a packet in.
    pub fn put(&mut self, packet: Packet) -> Put {
        let (index, keyframe, size) = (packet.index, packet.keyframe, packet.payload.len());
        let put = if self.packets.is_empty() || index >= self.end() {
            let missing = index - self.end().min(index);
            if self.packets.is_empty() || missing >= MOST_PACKETS as u64 {
                self.packets.clear();
                self.bytes = 0;
                self.first = index;
            } else {
                self.packets.extend((0..missing).map(|_| None));
                self.missing += missing;
            }
            self.packets.push_back(Some(packet));
            Put::Next
        } else if index < self.first {
            return Put::Old;
        } else {
            let slot = &mut self.packets[(index - self.first) as usize];
            if slot.is_some() {
                return Put::Twice;
            }
            *slot = Some(packet);
            if self.keyframe.is_some_and(|keyframe| index > keyframe) {
                self.missing = self.missing.saturating_sub(1);
            }
            Put::Late
        };
        self.bytes += size;
        if keyframe {
            self.begin_keyframe(index);
        }
        while self.packets.len() > MOST_PACKETS || self.bytes > MOST_BYTES {
            self.forget_first();
        }
        put
    }

    /// Forgets what is older than it has to be kept.
    pub fn forget(&mut self, now: Duration) {
        while self.packets.len() > 1
            && self
                .packets
                .front()
                .is_some_and(|packet| packet.as_ref().is_none_or(|packet| packet.arrived + self.keep < now))
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(packet) = self.packets.pop_front() {
            self.first += 1;
            self.bytes -= packet.map_or(0, |packet| packet.payload.len());
        }
    }

    /// A keyframe's parameter sets and pictures each count as beginnings of one: the first packet of that timestamp is it.
    fn begin_keyframe(&mut self, index: u64) {
        let timestamp = |index: u64| self.get(index).map(|packet| packet.timestamp);
        let mut begin = index;
        while begin > self.first && timestamp(begin - 1) == timestamp(index) {
            begin -= 1;
        }
        let same = self.keyframe.is_some_and(|known| timestamp(known) == timestamp(index));
        match self.keyframe {
            Some(known) if same => self.keyframe = Some(known.min(begin)),
            Some(known) if begin < known => {}
            _ => self.keyframe = Some(begin),
        }
        if let Some(at) = self.keyframe.and_then(|known| usize::try_from(known.checked_sub(self.first)?).ok())
        {
            self.missing =
                self.packets.range(at.min(self.packets.len())..).filter(|slot| slot.is_none()).count() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(index: u64, timestamp: u32, keyframe: bool) -> Packet {
        let arrived = Duration::from_millis(u64::from(timestamp));
        let payload = [0; 10].into();
        Packet { index, timestamp, marker: false, keyframe, arrived, live: arrived, payload }
    }

    fn history(packets: impl IntoIterator<Item = Packet>) -> History {
        let mut history = History::new(Duration::from_secs(1));
        for packet in packets {
            history.put(packet);
        }
        history
    }

    #[test]
    fn late_ones_find_their_place_and_nothing_is_there_twice() {
        let mut history = history([100, 101, 104].map(|index| packet(index, 0, false)));
        let table =
            [(103, Put::Late), (103, Put::Twice), (101, Put::Twice), (99, Put::Old), (105, Put::Next)];
        for (index, wanted) in table {
            assert_eq!(history.put(packet(index, 0, false)), wanted, "{index}");
        }
        assert_eq!((history.first(), history.end(), history.bytes), (100, 106, 50));
        let there: Vec<u64> = (95..110).filter(|index| history.get(*index).is_some()).collect();
        assert_eq!(there, [100, 101, 103, 104, 105]);
    }

    #[test]
    fn the_newest_stays_and_what_is_old_goes() {
        let mut history = history([(1, 0), (2, 500), (5, 900)].map(|(index, at)| packet(index, at, false)));
        history.forget(Duration::from_millis(1001));
        assert_eq!((history.first(), history.end()), (2, 6));
        history.forget(Duration::from_millis(1501));
        assert_eq!((history.first(), history.end(), history.bytes), (5, 6, 10), "what never came goes along");
        history.forget(Duration::from_secs(9));
        assert_eq!(history.newest().map(|packet| packet.index), Some(5));
    }

    #[test]
    fn a_keyframe_begins_with_the_first_packet_of_its_time() {
        // An access unit delimiter before the parameter sets, then the picture in two packets; then another picture.
        let mut history = history([
            packet(1, 10, false),
            packet(2, 20, false),
            packet(3, 20, true),
            packet(4, 20, true),
            packet(5, 20, false),
            packet(6, 30, false),
        ]);
        assert_eq!(history.keyframe().map(|packet| packet.index), Some(2));
        history.put(packet(8, 40, true));
        history.put(packet(7, 40, true));
        assert_eq!(history.keyframe().map(|packet| packet.index), Some(7), "out of order");
        history.forget(Duration::from_secs(5));
        assert!(history.keyframe().is_none(), "gone");
    }

    #[test]
    fn a_keyframe_is_whole_while_nothing_is_missing_behind_it() {
        let mut history = history([packet(1, 10, true), packet(2, 10, false)]);
        assert_eq!(history.whole_keyframe().map(|packet| packet.index), Some(1));
        // As when the tree sends nothing for a while.
        history.put(packet(5, 90, false));
        assert!(history.keyframe().is_some() && history.whole_keyframe().is_none());
        history.put(packet(4, 80, false));
        history.put(packet(3, 70, false));
        assert_eq!(history.whole_keyframe().map(|packet| packet.index), Some(1), "they were late");
        // What is missing before a keyframe does not count.
        history.put(packet(9, 100, true));
        assert_eq!(history.whole_keyframe().map(|packet| packet.index), Some(9));
        history.put(packet(8, 95, false));
        history.put(packet(11, 110, false));
        assert!(history.whole_keyframe().is_none());
    }

    #[test]
    fn it_is_bounded_whatever_comes() {
        let mut history = history([packet(1, 0, false)]);
        history.put(packet(u64::MAX / 2, 0, false));
        assert_eq!((history.packets.len(), history.bytes), (1, 10));
        for index in 1..=2 * MOST_PACKETS as u64 {
            history.put(packet(u64::MAX / 2 + 3 * index, 0, false));
        }
        assert!(history.packets.len() <= MOST_PACKETS && history.packets.capacity() <= 4 * MOST_PACKETS);
    }

    proptest! {
        #[test]
        fn what_is_missing_is_counted(packets in prop::collection::vec((1u64..300, any::<bool>()), 0..200)) {
            let mut history = History::new(Duration::from_millis(100));
            for (index, keyframe) in packets {
                history.put(packet(index, index as u32, keyframe));
                if index % 7 == 0 {
                    history.forget(Duration::from_millis(index));
                }
                let whole = history.keyframe().filter(|keyframe| {
                    (keyframe.index..history.end()).all(|index| history.get(index).is_some())
                });
                prop_assert_eq!(history.whole_keyframe().map(|packet| packet.index), whole.map(|packet| packet.index));
            }
        }

        #[test]
        fn each_index_is_taken_once(indices in prop::collection::vec(1u64..400, 0..300)) {
            let mut history = History::new(Duration::from_secs(1));
            let mut taken = std::collections::HashSet::new();
            for index in indices {
                let first = history.first();
                let old = !taken.is_empty() && index < first;
                let put = history.put(packet(index, 0, index % 7 == 0));
                let wanted = if old { Put::Old } else if taken.contains(&index) { Put::Twice } else { put };
                prop_assert_eq!(put, wanted);
                if matches!(put, Put::Next | Put::Late) {
                    prop_assert!(taken.insert(index));
                }
                prop_assert!(taken.iter().all(|index| history.get(*index).is_some_and(|packet| packet.index == *index)));
                prop_assert_eq!(history.bytes, taken.len() * 10);
            }
        }
    }
}
