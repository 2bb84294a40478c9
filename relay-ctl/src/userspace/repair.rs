//! What is kept to be sent again, and which packets are missing. What follows from it is for `relay/repair`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use node::repair::{History, Kept, Ring, StreamId};
use relay_common::layout::Gap;
use tokio::sync::mpsc;

use super::classify::Media;
use super::socket::Received;

/// Gaps that may wait; one is a packet or many.
const WAITING: usize = 4096;

/// The history of both threads, and who is told of gaps.
#[derive(Default)]
pub struct Repair {
    is_kept: AtomicBool,
    /// Locked once a batch by the threads, and for one packet by whoever sends again.
    history: Mutex<Ring>,
    gaps: OnceLock<mpsc::Sender<Gap>>,
    untold: AtomicU64,
}

impl Repair {
    pub fn keep_history(&self, packets: usize) {
        *self.history() = Ring::new(packets);
        self.is_kept.store(packets > 0, Relaxed);
    }

    /// The first call gets what comes.
    pub fn listen(&self) -> Option<mpsc::Receiver<Gap>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.gaps.set(sender).ok().map(|()| receiver)
    }

    /// These go to children. Never waits for whoever listens.
    pub fn note<'a>(&self, packets: impl Iterator<Item = (&'a Received<'a>, &'a Media<'a>)>) {
        let is_kept = self.is_kept.load(Relaxed);
        let mut history = is_kept.then(|| self.history());
        for (packet, media) in packets {
            let Some(rtp) = media.rtp else { continue };
            if let Some(history) = &mut history {
                history.keep(media.key.into(), rtp.sequence, packet.payload, rtp.came);
            }
            let (Some(gap), Some(gaps)) = (rtp.gap, self.gaps.get()) else { continue };
            let gap = Gap { key: media.key, first: gap.first, count: gap.count, reserved: 0, now: rtp.came };
            if gaps.try_send(gap).is_err() {
                self.untold.fetch_add(1, Relaxed);
            }
        }
    }

    pub fn find(&self, stream: &StreamId, sequence: u16) -> Option<Kept> {
        self.history().find(stream, sequence)
    }

    pub fn too_long(&self) -> u64 {
        self.history().too_long()
    }

    pub fn untold(&self) -> u64 {
        self.untold.load(Relaxed)
    }

    fn history(&self) -> MutexGuard<'_, Ring> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
