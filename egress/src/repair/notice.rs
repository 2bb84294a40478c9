//! [`Notices`]: what a pipeline's thread says of missing packets, and goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use node::repair::StreamId;
use relay_common::stream::Missing;
use tokio::sync::mpsc;

/// Notices that may wait. What is beyond is left out: then something is asked for that has come, or is not asked for.
const WAITING: usize = 4096;

/// What has been seen of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Numbers were left out.
    Gap(Missing),
    /// A packet with this extended number came behind others.
    Late(u32),
    /// A keyframe has begun: what was before this extended number is of no use any more.
    Keyframe(u32),
}

/// That, of which stream and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Of which.
    pub stream: StreamId,
    /// ns since the epoch.
    pub at: u64,
    /// What.
    pub seen: Seen,
}

/// Where notices go in. Whoever gives one never waits.
#[derive(Clone, Debug)]
pub struct Notices {
    to: mpsc::Sender<Notice>,
    left_out: Arc<AtomicU64>,
}

impl Notices {
    /// With where they come out.
    pub fn new() -> (Notices, mpsc::Receiver<Notice>) {
        let (to, out) = mpsc::channel(WAITING);
        (Notices { to, left_out: Arc::default() }, out)
    }

    /// Gives one.
    pub fn give(&self, notice: Notice) {
        if self.to.try_send(notice).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many found no room.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use node::media::Ssrc;

    use super::*;

    #[test]
    fn whoever_gives_more_than_is_taken_does_not_wait() {
        let (notices, mut out) = Notices::new();
        let stream = StreamId { port: 5004, ssrc: Ssrc(1) };
        for at in 0..2 * WAITING as u64 {
            notices.give(Notice { stream, at, seen: Seen::Late(1) });
        }
        assert_eq!((notices.left_out(), out.len()), (WAITING as u64, WAITING));
        assert_eq!(out.try_recv().map(|notice| notice.at), Ok(0));
        drop(out);
        notices.give(Notice { stream, at: 0, seen: Seen::Late(1) });
        assert_eq!(notices.left_out(), WAITING as u64 + 1, "nobody is left who takes it");
    }
}
