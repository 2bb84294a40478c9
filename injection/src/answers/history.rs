//! The last packets that were sent, of all sessions together: written by the threads of pipelines, read by whoever answers.
//!
//! A pipeline's thread must not wait for long. So nobody holds the lock for longer than some packets take, however many are kept: which
//! packet is where is found out step by step, and only when somebody asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use node::repair::history::LONGEST;
use node::repair::{History, Kept, StreamId};

/// So many packets are looked at while the lock is held.
const STEP: u64 = 64;

/// Where packets are kept, bounded in packets and so in bytes.
#[derive(Debug)]
pub struct Shelf {
    room: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
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
        Arc::new(Shelf { room, slots: Mutex::new(Slots { all: Vec::with_capacity(room), kept: 0 }) })
    }

    /// Keeps a packet in place of the oldest, unless it is longer than [`LONGEST`]. `now`: ns, of any steady clock.
    pub fn keep(&self, stream: StreamId, sequence: u16, packet: &[u8], now: u64) {
        if self.room == 0 || packet.len() > LONGEST {
            return;
        }
        let mut slots = self.slots();
        if slots.all.len() < self.room {
            slots.all.push(Slot { stream, sequence, came: now, packet: packet.to_vec() });
        } else {
            let place = self.place(slots.kept);
            let slot = &mut slots.all[place];
            (slot.stream, slot.sequence, slot.came) = (stream, sequence, now);
            slot.packet.clear();
            slot.packet.extend_from_slice(packet);
        }
        slots.kept += 1;
    }

    fn place(&self, number: u64) -> usize {
        (number % self.room.max(1) as u64) as usize
    }

    fn oldest(&self, kept: u64) -> u64 {
        kept.saturating_sub(self.room as u64)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
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
    use node::media::Ssrc;
    use proptest::prelude::*;

    use super::*;

    fn stream(ssrc: u32) -> StreamId {
        StreamId { port: 5004, ssrc: Ssrc(ssrc) }
    }

    #[test]
    fn the_last_packets_are_found_and_no_others() {
        let shelf = Shelf::new(300);
        let mut finder = Finder::new(shelf.clone());
        for number in 0..1000_u64 {
            shelf.keep(stream(1), number as u16, &number.to_be_bytes(), number);
        }
        assert_eq!(finder.find(&stream(1), 699), None, "its place was taken");
        let found = finder.find(&stream(1), 700).unwrap();
        assert_eq!((found.came, &found.packet[..]), (700, &700_u64.to_be_bytes()[..]));
        assert_eq!(finder.find(&stream(2), 700), None, "another stream");
        shelf.keep(stream(1), 999, b"again", 5000);
        assert_eq!(finder.find(&stream(1), 999).unwrap().packet, b"again", "the latest of that number");
        (0..300).for_each(|number| shelf.keep(stream(2), number, b"other", 6000));
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
        assert_eq!(finder.find(&stream(1), 1), None);
        let slots = shelf.slots();
        let bytes: usize = slots.all.iter().map(|slot| slot.packet.capacity()).sum();
        assert!(finder.index.len() <= 34 && slots.all.len() == 16 && bytes <= 16 * LONGEST);
        let nothing = Shelf::new(0);
        nothing.keep(stream(1), 1, b"packet", 0);
        assert_eq!(Finder::new(nothing).find(&stream(1), 1), None);
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
