//! What is counted. Each forwarding thread has books of its own, so that the two never wait for each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use relay_common::layout::{ChildStats, MAX_CHILDREN, MAX_STREAMS, StreamKey, Total};
use relay_common::reason::Reason;
use relay_common::stream::Stream;

#[derive(Default)]
struct Child {
    packets: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    too_big: AtomicU64,
}

/// The books of one forwarding thread.
pub struct Books {
    /// Locked once a batch by the thread, and for one copy of the table by readers.
    streams: Mutex<HashMap<StreamKey, Stream>>,
    /// What forgotten streams had.
    forgotten: Mutex<Total>,
    children: Vec<Child>,
    drops: Vec<AtomicU64>,
}

impl Books {
    pub fn new() -> Books {
        Books {
            // At full size from the start: growing would stop the thread for a millisecond in the middle of traffic.
            streams: Mutex::new(HashMap::with_capacity(MAX_STREAMS as usize)),
            forgotten: Mutex::default(),
            children: (0..MAX_CHILDREN).map(|_| Child::default()).collect(),
            drops: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub fn streams(&self) -> MutexGuard<'_, HashMap<StreamKey, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes streams, and says how many of them there were.
    pub fn forget(&self, keys: &[StreamKey]) -> usize {
        let mut streams = self.streams();
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = keys.iter().filter_map(|key| streams.remove(key));
        removed.map(|stream| *forgotten += Total::from(&stream)).count()
    }

    pub fn forgotten(&self) -> Total {
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn drop(&self, reason: Reason, packets: usize) {
        self.drops[reason as usize].fetch_add(packets as u64, Relaxed);
    }

    pub fn dropped(&self, reason: Reason) -> u64 {
        self.drops[reason as usize].load(Relaxed)
    }

    /// Copies were given to the kernel, so many bytes in all.
    pub fn sent(&self, counter: u32, packets: usize, bytes: usize) {
        if let Some(child) = self.children.get(counter as usize) {
            child.packets.fetch_add(packets as u64, Relaxed);
            child.bytes.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// Copies were not sent.
    pub fn failed(&self, counter: u32, packets: usize, reason: Reason) {
        if let Some(child) = self.children.get(counter as usize) {
            child.errors.fetch_add(packets as u64, Relaxed);
            if reason == Reason::TooBig {
                child.too_big.fetch_add(packets as u64, Relaxed);
            }
        }
        self.drop(reason, packets);
    }

    pub fn child(&self, counter: u32) -> ChildStats {
        self.children.get(counter as usize).map_or_else(ChildStats::default, |child| ChildStats {
            packets: child.packets.load(Relaxed),
            bytes: child.bytes.load(Relaxed),
            errors: child.errors.load(Relaxed),
            too_big: child.too_big.load(Relaxed),
        })
    }

    pub fn reset_child(&self, counter: u32) {
        if let Some(child) = self.children.get(counter as usize) {
            child.packets.store(0, Relaxed);
            child.bytes.store(0, Relaxed);
            child.errors.store(0, Relaxed);
            child.too_big.store(0, Relaxed);
        }
    }
}

/// Puts a new stream into the table. `known`: streams in the tables of all threads.
pub fn begin(
    streams: &mut HashMap<StreamKey, Stream>,
    known: &AtomicUsize,
    key: StreamKey,
    stream: Stream,
) -> Result<(), Reason> {
    if known.fetch_add(1, Relaxed) >= MAX_STREAMS as usize {
        known.fetch_sub(1, Relaxed);
        return Err(Reason::StreamTableFull);
    }
    streams.insert(key, stream);
    Ok(())
}
