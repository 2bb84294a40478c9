//! [`Answers`]: packets that were lost on their way to a child are sent to it again, and to nobody else, when it asks (generic NACK,
//! RFC 4585 section 6.2.1). What is sent, and what is refused, [`node::repair`] decides; `streams.rs` says whom streams are sent to, who may
//! so ask for them.

mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::media::{Kind, PerKind, Ssrc};
use node::metrics::add;
use node::repair::{Answerer, Answering, Asked, Finder, Shelf, StreamId, nack};

use crate::pipeline::Ways;
use streams::{Asks, Streams};

/// Header, sender and media SSRC of a request, bytes.
const REQUEST: usize = 12;

/// Keeps what is sent, and answers.
pub struct Answers {
    shelf: Arc<Shelf>,
    /// Of who answers: no thread of a pipeline waits for these.
    books: Mutex<Books>,
    ways: Ways,
    failed: AtomicU64,
    epoch: Instant,
}

struct Books {
    streams: Streams,
    answerer: Answerer<SocketAddr>,
    finder: Finder,
    /// What clients have asked for that nobody has taken yet.
    answered: PerKind<BTreeMap<SocketAddr, [u64; 3]>>,
}

/// Packets that a client asked for, and of these those that were sent again and those that were not.
pub type Answered = (SocketAddr, [u64; 3]);

/// Most clients of which that is remembered until somebody takes it.
const MOST_ANSWERED: usize = 1024;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What was asked for, and what became of it.
    pub answering: Answering,
    /// Answers that the system did not send.
    pub failed: u64,
}

impl Answers {
    /// Begins. `room`: packets that are kept, of all streams together; `within`: for how long who has lost one asks for it; `ways`:
    /// where media leaves.
    pub fn new(room: usize, within: Duration, ways: Ways) -> Arc<Answers> {
        let shelf = Shelf::new(room);
        let books = Books {
            streams: Streams::default(),
            answerer: Answerer::new(within),
            finder: Finder::new(shelf.clone()),
            answered: PerKind::from_fn(|_| BTreeMap::new()),
        };
        let (books, failed, epoch) = (Mutex::new(books), AtomicU64::new(0), Instant::now());
        Arc::new(Answers { shelf, books, ways, failed, epoch })
    }

    /// A stream begins, which is sent to nobody yet, and ends when what this gives is dropped. `bytes`: what it will have sent.
    pub fn begin(self: &Arc<Self>, kind: Kind, ssrc: Ssrc, bytes: Arc<AtomicU64>) -> Sending {
        let stream = StreamId { port: self.ways.port(kind), ssrc };
        let number = self.books().streams.begins(stream, bytes, self.now());
        Sending { answers: self.clone(), stream, number }
    }

    /// A packet of RTCP has come to a port for media of this kind.
    pub fn hear(&self, packet: &[u8], from: SocketAddr, kind: Kind) {
        for (ssrc, numbers) in nack::asked_for(packet) {
            let stream = StreamId { port: self.ways.port(kind), ssrc };
            let Some((to, packets)) = self.look_for(kind, stream, &numbers, from) else { continue };
            tracing::debug!(
                "SSRC {ssrc}: {to} lacks {} packets and is sent {}",
                numbers.len(),
                packets.len()
            );
            for packet in packets {
                if let Err(error) = self.ways.send(kind, &packet, to) {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!("a packet again to {to}: {error}");
                }
            }
        }
    }

    /// What was asked for so far, and what became of it.
    pub fn figures(&self) -> Figures {
        let answering = self.books().answerer.figures();
        Figures { answering, failed: self.failed.load(Ordering::Relaxed) }
    }

    /// What each client has asked for since this was called last.
    pub fn take_answered(&self) -> PerKind<Vec<Answered>> {
        let mut books = self.books();
        PerKind::from_fn(|kind| std::mem::take(&mut books.answered[kind]).into_iter().collect())
    }

    /// What somebody is sent again, and where.
    fn look_for(
        &self,
        kind: Kind,
        stream: StreamId,
        numbers: &[u16],
        from: SocketAddr,
    ) -> Option<(SocketAddr, Vec<Vec<u8>>)> {
        let now = self.now();
        let mut books = self.books();
        let Books { streams, answerer, finder, answered } = &mut *books;
        match streams.asks(stream, from, now) {
            Asks::Client(to, rate) => {
                let asked = Asked { stream, numbers, bytes: REQUEST + 4 * numbers.len(), rate };
                let kept = answerer.answer(&to, &asked, finder, now);
                let answered = &mut answered[kind];
                if answered.len() < MOST_ANSWERED || answered.contains_key(&to) {
                    let [asked, sent] = [numbers.len() as u64, kept.len() as u64];
                    add(answered.entry(to).or_default(), [asked, sent, asked - sent]);
                }
                Some((to, kept.into_iter().map(|kept| kept.packet).collect()))
            }
            Asks::NotThis => {
                answerer.no_stream(numbers.len());
                None
            }
            Asks::Stranger => {
                answerer.stranger(numbers.len());
                None
            }
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is sent.
pub struct Sending {
    answers: Arc<Answers>,
    stream: StreamId,
    number: u64,
}

impl Sending {
    /// A packet leaves, as it is, with this number.
    pub fn sent(&self, packet: &[u8]) {
        // RFC 3550 section 5.1.
        if let Some([high, low]) = packet.get(2..4) {
            let sequence = u16::from_be_bytes([*high, *low]);
            self.answers.shelf.keep(self.stream, sequence, packet, self.answers.now());
        }
    }

    /// It is sent to these from now on, and to nobody else.
    pub fn to(&self, clients: &BTreeSet<SocketAddr>) {
        self.answers.books().streams.sends(self.stream, clients);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.answers.books().streams.ends(self.stream, self.number);
    }
}
