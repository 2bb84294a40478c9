//! What is kept to be sent again, and which packets are missing. What follows from it is for `relay/uplink`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use node::repair::Shelf;
use relay_common::layout::Gap;
use tokio::sync::mpsc;

use super::classify::Media;
use super::socket::Received;

/// Gaps that may wait; one is a packet or many.
const WAITING: usize = 4096;

/// The history of both threads, and who is told of gaps.
#[derive(Default)]
pub struct Repair {
    history: OnceLock<Arc<Shelf>>,
    gaps: OnceLock<mpsc::Sender<Gap>>,
    untold: AtomicU64,
}

impl Repair {
    /// The first call says how many.
    pub fn keep_history(&self, packets: usize) {
        if packets > 0 {
            self.history.get_or_init(|| Shelf::new(packets));
        }
    }

    pub fn history(&self) -> Option<Arc<Shelf>> {
        self.history.get().cloned()
    }

    /// The first call gets what comes.
    pub fn listen(&self) -> Option<mpsc::Receiver<Gap>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.gaps.set(sender).ok().map(|()| receiver)
    }

    /// These go to children. Never waits for whoever listens, and for whoever looks for something no longer than some packets take.
    pub fn note<'a>(&self, packets: impl Iterator<Item = (&'a Received<'a>, &'a Media<'a>)>) {
        let history = self.history.get();
        for (packet, media) in packets {
            let Some(rtp) = media.rtp else { continue };
            if let Some(history) = history {
                history.keep(media.key.into(), rtp.sequence, packet.payload, rtp.came);
            }
            let (Some(gap), Some(gaps)) = (rtp.gap, self.gaps.get()) else { continue };
            let gap = Gap { key: media.key, first: gap.first, count: gap.count, reserved: 0, now: rtp.came };
            if gaps.try_send(gap).is_err() {
                self.untold.fetch_add(1, Relaxed);
            }
        }
    }

    pub fn untold(&self) -> u64 {
        self.untold.load(Relaxed)
    }
}
