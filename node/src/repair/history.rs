//! The last packets, kept to be sent again, of all streams together: written by the threads that send, read by whoever answers.
//!
//! A thread that sends must not wait for long. So nobody holds the lock for longer than some packets take, however many are kept: which
//! packet is where is found out step by step, and only when somebody asks.

use std::collections::HashMap;
#[cfg(test)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StreamId;

/// Longest packet that is kept, RTP header included: what a frame of 1,500 bytes carries.
pub const LONGEST: usize = 1472;
/// So many packets are looked at while the lock is held.
const STEP: u64 = 64;

/// A packet that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it came, CLOCK_MONOTONIC ns.
    pub came: u64,
    /// RTP header and payload.
    pub packet: Vec<u8>,
}

/// Where the last packets are.
pub trait History {
    /// The latest packet of the stream with this sequence number, if it is still kept.
    fn find(&mut self, stream: &StreamId, sequence: u16) -> Option<Kept>;

    /// Notes what has come since. Else `find` does so: whoever finds while others wait for a lock calls this before it takes that.
    fn catch_up(&mut self) {}
}

/// Where packets are kept, bounded in packets and so in bytes. Keeping one copies it, and nothing else.
#[derive(Debug)]
pub struct Shelf {
    room: usize,
    slots: Mutex<Slots>,
    too_long: AtomicU64,
    /// How often somebody has had the lock.
    #[cfg(test)]
    locked: AtomicUsize,
}

#[derive(Debug, Default)]
struct Slots {
    all: Vec<Slot>,
    /// Packets that were kept so far; the next is of this number.
    kept: u64,
}

#[derive(Debug)]
struct Slot {
    stream: StreamId,
    sequence: u16,
    came: u64,
    packet: Vec<u8>,
}

impl Shelf {
    /// With room for so many packets, each of [`LONGEST`] bytes at most. The memory for a packet is taken when it comes.
    pub fn new(room: usize) -> Arc<Shelf> {
        Arc::new(Shelf {
            room,
            slots: Mutex::new(Slots { all: Vec::with_capacity(room), kept: 0 }),
            too_long: AtomicU64::new(0),
            #[cfg(test)]
            locked: AtomicUsize::new(0),
        })
    }

    /// Keeps a packet in place of the oldest. One that is longer than [`LONGEST`] is only counted. `came`: ns, of any steady clock.
    pub fn keep(&self, stream: StreamId, sequence: u16, packet: &[u8], came: u64) {
        if self.room == 0 {
            return;
        }
        if packet.len() > LONGEST {
            self.too_long.fetch_add(1, Relaxed);
            return;
        }
        let mut slots = self.slots();
        if slots.all.len() < self.room {
            slots.all.push(Slot { stream, sequence, came, packet: packet.to_vec() });
        } else {
            let place = self.place(slots.kept);
            let slot = &mut slots.all[place];
            (slot.stream, slot.sequence, slot.came) = (stream, sequence, came);
            slot.packet.clear();
            slot.packet.extend_from_slice(packet);
        }
        slots.kept += 1;
    }

    /// Packets that were too long to be kept.
    pub fn too_long(&self) -> u64 {
        self.too_long.load(Relaxed)
    }

    fn place(&self, number: u64) -> usize {
        (number % self.room.max(1) as u64) as usize
    }

    fn oldest(&self, kept: u64) -> u64 {
        kept.saturating_sub(self.room as u64)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        #[cfg(test)]
        self.locked.fetch_add(1, Relaxed);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds packets on a shelf. There is one of it.
#[derive(Debug)]
pub struct Finder {
    shelf: Arc<Shelf>,
    /// Numbers of packets by what they are; those before `known` are in here.
    index: HashMap<(StreamId, u16), u64>,
    known: u64,
}

impl Finder {
    /// Of what is kept there.
    pub fn new(shelf: Arc<Shelf>) -> Finder {
        Finder { shelf, index: HashMap::new(), known: 0 }
    }

    fn bring_up_to_date(&mut self) {
        if self.index.len() > 2 * self.shelf.room {
            let oldest = self.shelf.oldest(self.known);
            self.index.retain(|_, number| *number >= oldest);
        }
        // What comes meanwhile is looked at as well, but not for ever.
        for _ in 0..=self.shelf.room as u64 / STEP {
            let slots = self.shelf.slots();
            let first = self.known.max(self.shelf.oldest(slots.kept));
            let end = slots.kept.min(first + STEP);
            let name = |number: u64| {
                let slot = &slots.all[self.shelf.place(number)];
                ((slot.stream, slot.sequence), number)
            };
            let names: Vec<((StreamId, u16), u64)> = (first..end).map(name).collect();
            let is_all = end == slots.kept;
            drop(slots);
            self.index.extend(names);
            self.known = end;
            if is_all {
                return;
            }
        }
    }
}

impl History for Finder {
    fn catch_up(&mut self) {
        self.bring_up_to_date();
    }

    fn find(&mut self, stream: &StreamId, sequence: u16) -> Option<Kept> {
        self.bring_up_to_date();
        let number = *self.index.get(&(*stream, sequence))?;
        let slots = self.shelf.slots();
        if number < self.shelf.oldest(slots.kept) {
            return None;
        }
        let slot = &slots.all[self.shelf.place(number)];
        Some(Kept { came: slot.came, packet: slot.packet.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::media::Ssrc;

    fn stream(ssrc: u32) -> StreamId {
        StreamId { port: 5004, ssrc: Ssrc(ssrc) }
    }

    #[test]
    fn the_last_packets_are_found_and_no_others() {
        let shelf = Shelf::new(300);
        let mut finder = Finder::new(shelf.clone());
        for number in 0..1000_u64 {
            shelf.keep(stream(1), number as u16, &number.to_be_bytes(), number);
            // Asked for rarely, often, and when nothing new has come.
            if number % 7 == 0 {
                assert_eq!(finder.find(&stream(1), number as u16).unwrap().came, number);
            }
        }
        for number in 0..1000 {
            assert_eq!(finder.find(&stream(1), number).is_some(), number >= 700, "{number}");
            assert_eq!(finder.find(&stream(2), number), None, "another stream");
        }
        assert_eq!(finder.find(&stream(1), 700).unwrap().packet, 700_u64.to_be_bytes());
        shelf.keep(stream(1), 999, b"again", 5000);
        assert_eq!(finder.find(&stream(1), 999).unwrap().packet, b"again", "the latest of that number");
        (0..299).for_each(|number| shelf.keep(stream(2), number, b"other", 6000));
        assert_eq!(finder.find(&stream(1), 999).unwrap().packet, b"again", "the former one is gone");
        shelf.keep(stream(2), 299, b"other", 6000);
        assert_eq!(finder.find(&stream(1), 999), None);
    }

    #[test]
    fn it_is_bounded_and_what_is_too_long_is_not_kept() {
        let shelf = Shelf::new(16);
        let mut finder = Finder::new(shelf.clone());
        for number in 0..10_000_u32 {
            shelf.keep(stream(number), number as u16, &[0; LONGEST], 0);
            assert!(finder.find(&stream(number), number as u16).is_some());
        }
        shelf.keep(stream(1), 1, &[0; LONGEST + 1], 0);
        assert_eq!((finder.find(&stream(1), 1), shelf.too_long()), (None, 1));
        let slots = shelf.slots();
        let bytes: usize = slots.all.iter().map(|slot| slot.packet.capacity()).sum();
        assert!(finder.index.len() <= 34 && slots.all.len() == 16 && bytes <= 16 * LONGEST);
        let nothing = Shelf::new(0);
        nothing.keep(stream(1), 1, b"packet", 0);
        assert_eq!(Finder::new(nothing).find(&stream(1), 1), None);
    }

    #[test]
    fn whoever_keeps_a_packet_waits_for_some_others_and_not_for_all_that_nobody_has_asked_for_yet() {
        let shelf = Shelf::new(10_000);
        let mut finder = Finder::new(shelf.clone());
        (0..10_000).for_each(|number| shelf.keep(stream(1), number, b"packet", 0));
        let before = shelf.locked.load(Relaxed);
        assert!(finder.find(&stream(1), 9_999).is_some());
        // Between two of these whoever waits has his turn.
        let times = shelf.locked.load(Relaxed) - before;
        assert_eq!(times, 10_000_usize.div_ceil(STEP as usize) + 1);
    }

    /// What a thread that sends takes for a packet while somebody looks for all that there is.
    #[test]
    #[ignore = "a measurement"]
    fn a_packet_is_kept_at_once_whoever_looks_for_what() {
        const PACKETS: usize = 500_000;
        let (shelf, over) = (Shelf::new(crate::repair::HISTORY), AtomicBool::new(false));
        let times = |looks: bool| {
            over.store(!looks, Ordering::Relaxed);
            let mut times: Vec<Duration> = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut finder = Finder::new(shelf.clone());
                    while !over.load(Ordering::Relaxed) {
                        (0..u16::MAX).for_each(|number| drop(finder.find(&stream(1), number)));
                    }
                });
                let keep = |number: usize| {
                    let began = Instant::now();
                    shelf.keep(stream(1), number as u16, &[0; 1200], 0);
                    began.elapsed()
                };
                let times = (0..PACKETS).map(keep).collect();
                over.store(true, Ordering::Relaxed);
                times
            });
            times.sort_unstable();
            [50.0, 99.0, 99.9].map(|part| times[(PACKETS as f64 * part / 100.0) as usize])
        };
        println!("p50, p99, p99.9: {:?}, and while somebody looks {:?}", times(false), times(true));
    }

    proptest! {
        #[test]
        fn it_finds_what_a_list_would(
            room in 1_usize..200,
            steps in prop::collection::vec((0_u32..3, 0_u16..50, any::<bool>()), 0..600),
        ) {
            let shelf = Shelf::new(room);
            let (mut finder, mut list) = (Finder::new(shelf.clone()), Vec::new());
            for (at, (ssrc, sequence, looks)) in steps.into_iter().enumerate() {
                if looks {
                    let last = list.iter().rev().take(room);
                    let wanted = last.clone().find(|(known, _)| *known == (ssrc, sequence)).map(|(_, at)| *at);
                    let found = finder.find(&stream(ssrc), sequence).map(|kept| kept.came);
                    prop_assert_eq!(found, wanted);
                } else {
                    shelf.keep(stream(ssrc), sequence, b"packet", at as u64);
                    list.push(((ssrc, sequence), at as u64));
                }
            }
        }
    }
}
