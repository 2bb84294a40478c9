//! How things come to a worker, and how much may wait there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use node::media::Kind;

use super::Arrival;
use crate::peer::Seat;
use crate::send::Path;
use crate::stream::Packet;

/// Packets of media that wait for a worker at most: of 1.4 Mbit/s, those of forty mountpoints in a second.
const MOST_PACKETS: usize = 8192;
/// Packets of viewers that wait for a worker at most.
const MOST_HEARD: usize = 4096;

/// What a worker is told.
pub enum Message {
    /// A mountpoint begins.
    Open {
        /// Its number.
        mountpoint: u64,
        /// Tells it from others that have this number at another time.
        opening: u64,
    },
    /// It ends.
    Close(u64),
    /// A packet of it.
    Media {
        /// As in [`Message::Open`].
        mountpoint: u64,
        /// As in [`Message::Open`].
        opening: u64,
        /// Of which stream.
        kind: Kind,
        /// The packet.
        packet: Packet,
    },
    /// A viewer sits down.
    Sit(Box<Arrival>),
    /// It gets up.
    Rise(Seat),
    /// Its SRTP or SRTCP.
    Heard(Seat, Box<[u8]>),
    /// There is another way to it.
    Moved(Seat, Path),
    /// No more.
    End,
}

/// The side of those who tell.
pub struct Post {
    sender: Sender<Message>,
    waiting: Arc<Waiting>,
}

/// The worker's side.
pub struct Inbox {
    receiver: Receiver<Message>,
    waiting: Arc<Waiting>,
}

/// How much of that waits which may come in any number.
#[derive(Default)]
struct Waiting {
    packets: AtomicUsize,
    heard: AtomicUsize,
}

/// Both sides.
pub fn queue() -> (Post, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::<Waiting>::default();
    (Post { sender, waiting: waiting.clone() }, Inbox { receiver, waiting })
}

impl Post {
    /// Something that is asked for by the server itself: always taken.
    pub fn tell(&self, message: Message) {
        // The worker is gone only when all ends.
        let _ = self.sender.send(message);
    }

    /// A packet of media. `false`: too many wait.
    pub fn media(&self, mountpoint: u64, opening: u64, kind: Kind, packet: Packet) -> bool {
        let fits = enter(&self.waiting.packets, MOST_PACKETS);
        if fits {
            self.tell(Message::Media { mountpoint, opening, kind, packet });
        }
        fits
    }

    /// What a viewer sends. `false`: too many wait.
    pub fn hear(&self, seat: Seat, packet: &[u8]) -> bool {
        let fits = enter(&self.waiting.heard, MOST_HEARD);
        if fits {
            self.tell(Message::Heard(seat, packet.into()));
        }
        fits
    }
}

impl Inbox {
    /// What comes within so long, which may be nothing. `Err`: nothing will come any more.
    pub fn wait(&self, most: Duration) -> Result<Option<Message>, ()> {
        match self.receiver.recv_timeout(most) {
            Ok(message) => Ok(Some(self.took(message))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// What is there.
    pub fn next(&self) -> Option<Message> {
        self.receiver.try_recv().ok().map(|message| self.took(message))
    }

    fn took(&self, message: Message) -> Message {
        match message {
            Message::Media { .. } => drop(self.waiting.packets.fetch_sub(1, Ordering::Relaxed)),
            Message::Heard(..) => drop(self.waiting.heard.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        message
    }
}

/// One more, unless there are so many.
fn enter(count: &AtomicUsize, most: usize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_talks_too_much_keeps_no_other_back() {
        let (post, inbox) = queue();
        assert_eq!((0..2 * MOST_HEARD).filter(|_| post.hear(Seat(1), &[0; 100])).count(), MOST_HEARD);
        post.tell(Message::Rise(Seat(7)));
        let mut taken = 0;
        while !matches!(inbox.next(), Some(Message::Rise(Seat(7)))) {
            taken += 1;
        }
        assert_eq!(taken, MOST_HEARD);
        assert!(post.hear(Seat(1), &[]), "there is room again");
    }
}
