//! Where media comes in.

use std::sync::{Arc, Mutex, PoisonError};

use node::media::{Codec, Kind};

use super::message::Post;
use super::{Shared, reasons};
use crate::stream::{Intake, Malformed};

/// Where a stream's packets are put in. Whoever holds it may push from any one thread; it never waits.
pub struct Inlet {
    mountpoint: u64,
    opening: u64,
    kind: Kind,
    /// Locked by one thread at a time as it is, so nobody waits.
    intake: Mutex<Intake>,
    posts: Arc<[Post]>,
    shared: Arc<Shared>,
}

impl Inlet {
    pub(super) fn new(
        mountpoint: u64,
        opening: u64,
        codec: Codec,
        posts: Arc<[Post]>,
        shared: Arc<Shared>,
    ) -> Inlet {
        let intake = Mutex::new(Intake::new(codec));
        Inlet { mountpoint, opening, kind: codec.kind(), intake, posts, shared }
    }

    /// An RTP packet as it came from the tree, header included. What the workers cannot take in time is counted as lost.
    pub fn push(&self, packet: &[u8]) {
        let now = self.shared.clock.now();
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        let packet = match intake.take(packet, now) {
            Ok(packet) => packet,
            Err(why) => {
                let reason = match why {
                    Malformed::NotRtp | Malformed::Truncated => reasons::MEDIA_MALFORMED,
                    Malformed::Long => reasons::MEDIA_TOO_LONG,
                    Malformed::Over => reasons::MEDIA_OVER,
                };
                return self.shared.reasons.count(reason, 1);
            }
        };
        // Still locked: packets come to the workers in the order of their indices' making.
        let lost = self
            .posts
            .iter()
            .filter(|post| !post.media(self.mountpoint, self.opening, self.kind, packet.clone()));
        self.shared.reasons.count(reasons::WORKER_FULL, lost.count() as u64);
    }
}
