//! The history that the programs write, read where it is: `HISTORY` and `HISTORY_HEAD` are mapped into memory, so that nobody copies
//! what nobody asks for. Which packet is where is only found out when somebody asks, by a look at what was written since.

use std::collections::HashMap;
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, fence};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use node::repair::StreamId;
use relay_common::layout::{HistoryHead, KEPT, Kept, StreamKey};

/// Packets that may be being written at a moment: a CPU has one in hand.
const WRITING: u64 = 1024;

/// The last packets that went to children.
pub struct History {
    head: Mapping,
    slots: Mapping,
    /// How many slots there are.
    size: u64,
    /// Numbers of packets by what they are; those before `known` are in here.
    index: HashMap<(StreamKey, u16), u64>,
    known: u64,
}

impl History {
    /// Of the maps `HISTORY_HEAD` and `HISTORY`, of which the latter has so many slots.
    pub(super) fn open(head: impl AsFd, slots: impl AsFd, size: u32) -> io::Result<History> {
        let head = Mapping::new(head, size_of::<HistoryHead>())?;
        let slots = Mapping::new(slots, size.max(1) as usize * size_of::<Kept>())?;
        Ok(History { head, slots, size: u64::from(size.max(1)), index: HashMap::new(), known: 0 })
    }

    /// Packets that were too long to be kept.
    pub fn too_long(&self) -> u64 {
        // SAFETY: a word of the one value; this process only reads it.
        self.head.word(unsafe { &raw const (*self.head.at::<HistoryHead>(0)).too_long })
    }

    /// Gaps that nobody was told of, because too many were there at once.
    pub fn untold(&self) -> u64 {
        // SAFETY: as above.
        self.head.word(unsafe { &raw const (*self.head.at::<HistoryHead>(0)).untold })
    }

    /// Number of the packet that comes next.
    fn next(&self) -> u64 {
        // SAFETY: as above.
        self.head.word(unsafe { &raw const (*self.head.at::<HistoryHead>(0)).next })
    }

    fn bring_up_to_date(&mut self) {
        let next = self.next();
        let oldest = next.saturating_sub(self.size);
        if self.index.len() as u64 > 2 * self.size {
            self.index.retain(|_, number| *number >= oldest);
        }
        let mut known = next;
        for number in self.known.max(oldest)..next {
            match self.what(number) {
                Some(what) => drop(self.index.insert(what, number)),
                // It may be written at this moment: is looked at again next time.
                None if next - number <= WRITING => known = known.min(number),
                None => {}
            }
        }
        self.known = known;
    }

    /// What the packet of that number is, if it is there.
    fn what(&self, number: u64) -> Option<(StreamKey, u16)> {
        let slot = self.slot(number);
        if self.serial(number) != number + 1 {
            return None;
        }
        // SAFETY: fields of a slot; whoever writes there meanwhile is noticed below.
        let what = unsafe {
            ((&raw const (*slot).key).read_volatile(), (&raw const (*slot).sequence).read_volatile())
        };
        self.is_there(number).then_some(what)
    }

    /// The packet of that number, if it is there.
    fn packet(&self, number: u64) -> Option<Kept> {
        if self.serial(number) != number + 1 {
            return None;
        }
        // SAFETY: a slot, whose fields are numbers; whoever writes there meanwhile is noticed below.
        let kept = unsafe { self.slot(number).read_volatile() };
        self.is_there(number).then_some(kept)
    }

    /// Nobody has begun to write another packet in its place.
    fn is_there(&self, number: u64) -> bool {
        fence(Acquire);
        self.serial(number) == number + 1 && self.next() - number <= self.size
    }

    fn serial(&self, number: u64) -> u64 {
        // SAFETY: a word of a slot; this process only reads it.
        self.slots.word(unsafe { &raw const (*self.slot(number)).serial })
    }

    fn slot(&self, number: u64) -> *const Kept {
        self.slots.at((number % self.size) as usize)
    }
}

impl node::repair::History for History {
    fn catch_up(&mut self) {
        self.bring_up_to_date();
    }

    fn find(&mut self, stream: &StreamId, sequence: u16) -> Option<node::repair::Kept> {
        self.bring_up_to_date();
        let key = StreamKey::from(*stream);
        let number = *self.index.get(&(key, sequence))?;
        let kept = self.packet(number)?;
        let is_it = kept.key == key && kept.sequence == sequence;
        let packet = kept.packet[..usize::from(kept.length).min(KEPT)].to_vec();
        is_it.then_some(node::repair::Kept { came: kept.came, packet })
    }
}

/// A map of the kernel's in this process' memory, to be read.
struct Mapping {
    address: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: an address of memory that belongs to nobody else in this process, and is only read.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(map: impl AsFd, length: usize) -> io::Result<Mapping> {
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: wherever the kernel likes, so nothing that is there is replaced.
        let address = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Mapping { address, length })
    }

    /// Where the value at that index of an array of these is.
    fn at<T>(&self, index: usize) -> *const T {
        let from = index * size_of::<T>();
        assert!(from + size_of::<T>() <= self.length.get(), "inside the map");
        // SAFETY: inside the mapping, as was just seen.
        unsafe { self.address.as_ptr().cast_const().cast::<u8>().add(from).cast() }
    }

    /// A word that the kernel writes. What was written before it is seen after it.
    fn word(&self, word: *const u64) -> u64 {
        // SAFETY: whoever calls has it from `at`: aligned, mapped, and written as a whole.
        let word = unsafe { AtomicU64::from_ptr(word.cast_mut()) };
        let value = word.load(Relaxed);
        fence(Acquire);
        value
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; nothing points there any more. There is nothing to do about a failure.
        let _ = unsafe { munmap(self.address, self.length.get()) };
    }
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
