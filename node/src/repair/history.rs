//! The last packets, kept to be sent again.

use std::collections::HashMap;

use super::StreamId;

/// Longest packet that is kept, RTP header included: what a frame of 1,500 bytes carries.
pub const LONGEST: usize = 1472;

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
}

/// One ring in memory for all streams. Keeping a packet copies it, and nothing else: which packet is where is only found out when
/// somebody asks.
#[derive(Debug, Default)]
pub struct Ring {
    slots: Vec<Slot>,
    /// Most packets; 0: none is kept.
    room: usize,
    /// Packets that were kept so far; the next is of this number.
    kept: u64,
    /// Packets longer than [`LONGEST`].
    too_long: u64,
    /// Numbers of packets by what they are; those before `known` are in here.
    index: HashMap<(StreamId, u16), u64>,
    known: u64,
}

#[derive(Debug)]
struct Slot {
    stream: StreamId,
    sequence: u16,
    came: u64,
    packet: Vec<u8>,
}

impl Ring {
    /// With room for so many packets, of which memory is taken as they come: at most 1,472 bytes each.
    pub fn new(room: usize) -> Ring {
        Ring { room, ..Ring::default() }
    }

    /// Keeps a packet in place of the oldest. One that is longer than [`LONGEST`] is only counted.
    pub fn keep(&mut self, stream: StreamId, sequence: u16, packet: &[u8], came: u64) {
        if self.room == 0 {
            return;
        }
        if packet.len() > LONGEST {
            self.too_long += 1;
            return;
        }
        if self.slots.len() < self.room {
            self.slots.push(Slot { stream, sequence, came, packet: packet.to_vec() });
        } else {
            let at = self.place(self.kept);
            let slot = &mut self.slots[at];
            (slot.stream, slot.sequence, slot.came) = (stream, sequence, came);
            slot.packet.clear();
            slot.packet.extend_from_slice(packet);
        }
        self.kept += 1;
    }

    /// Packets that were too long to be kept.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Bytes of the packets that are kept.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.packet.capacity()).sum()
    }

    fn place(&self, number: u64) -> usize {
        (number % self.room as u64) as usize
    }

    fn oldest(&self) -> u64 {
        self.kept.saturating_sub(self.room as u64)
    }

    fn bring_up_to_date(&mut self) {
        let oldest = self.oldest();
        if self.index.len() > 2 * self.room {
            self.index.retain(|_, number| *number >= oldest);
        }
        for number in self.known.max(oldest)..self.kept {
            let slot = &self.slots[self.place(number)];
            self.index.insert((slot.stream, slot.sequence), number);
        }
        self.known = self.kept;
    }
}

impl History for Ring {
    fn find(&mut self, stream: &StreamId, sequence: u16) -> Option<Kept> {
        self.bring_up_to_date();
        let number = *self.index.get(&(*stream, sequence))?;
        if number < self.oldest() {
            return None;
        }
        let slot = &self.slots[self.place(number)];
        Some(Kept { came: slot.came, packet: slot.packet.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Ssrc;

    const ONE: StreamId = StreamId { port: 5004, ssrc: Ssrc(1) };
    const OTHER: StreamId = StreamId { port: 5004, ssrc: Ssrc(2) };

    #[test]
    fn the_last_packets_are_found_and_those_before_are_gone() {
        let mut ring = Ring::new(100);
        for number in 0..1_000_u16 {
            let stream = if number % 2 == 0 { ONE } else { OTHER };
            ring.keep(stream, number, &number.to_be_bytes(), u64::from(number));
            // Asked for rarely, often, and when nothing new has come.
            if number % 7 == 0 {
                let found = ring.find(&stream, number).unwrap();
                assert_eq!((found.came, found.packet), (u64::from(number), number.to_be_bytes().to_vec()));
            }
        }
        for number in 0..1_000_u16 {
            let (stream, other) = if number % 2 == 0 { (ONE, OTHER) } else { (OTHER, ONE) };
            assert_eq!(ring.find(&stream, number).is_some(), number >= 900, "{number}");
            assert!(ring.find(&other, number).is_none(), "{number}");
        }
    }

    #[test]
    fn of_two_packets_with_one_number_the_latest_is_found() {
        let mut ring = Ring::new(4);
        ring.keep(ONE, 7, b"old", 1);
        ring.keep(ONE, 7, b"new", 2);
        assert_eq!(ring.find(&ONE, 7).unwrap().packet, b"new");
        (0..3).for_each(|number| ring.keep(OTHER, number, b"other", 3));
        assert_eq!(ring.find(&ONE, 7).unwrap().packet, b"new", "the old one is gone");
        ring.keep(OTHER, 3, b"other", 3);
        assert!(ring.find(&ONE, 7).is_none());
    }

    #[test]
    fn memory_has_an_end_whatever_comes() {
        let mut ring = Ring::new(16);
        for number in 0..100_000_u32 {
            let stream = StreamId { port: 5004, ssrc: Ssrc(number) };
            ring.keep(stream, number as u16, &[0; LONGEST], 0);
            assert!(ring.find(&stream, number as u16).is_some());
        }
        ring.keep(ONE, 1, &[0; LONGEST + 1], 0);
        assert_eq!((ring.too_long(), ring.find(&ONE, 1)), (1, None));
        assert!(ring.index.len() <= 34 && ring.slots.len() == 16 && ring.bytes() <= 16 * LONGEST);
    }

    #[test]
    fn a_history_without_room_keeps_nothing() {
        let mut ring = Ring::new(0);
        ring.keep(ONE, 1, b"packet", 0);
        assert_eq!(ring.find(&ONE, 1), None);
    }
}
