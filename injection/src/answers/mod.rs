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
use node::repair::nack::{self, Question};
use node::repair::{Answerer, Answering, Asked, Finder, Shelf, StreamId};

use crate::pipeline::Ways;
use streams::{Asks, Streams};

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
        for question in nack::asked_for(packet) {
            let Some((to, packets)) = self.look_for(kind, &question, from) else { continue };
            tracing::debug!(
                "SSRC {}: {to} lacks {} packets and is sent {}",
                question.ssrc,
                question.numbers.len(),
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
        question: &Question,
        from: SocketAddr,
    ) -> Option<(SocketAddr, Vec<Vec<u8>>)> {
        let Question { ssrc, numbers, bytes } = question;
        let stream = StreamId { port: self.ways.port(kind), ssrc: *ssrc };
        let now = self.now();
        let mut books = self.books();
        let Books { streams, answerer, finder, answered } = &mut *books;
        match streams.asks(stream, from, now) {
            Asks::Client(to, rate) => {
                let asked = Asked { stream, numbers, bytes: *bytes, rate };
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use node::repair::WITHIN;

    use super::*;
    use crate::pipeline::Outlets;

    const LENGTH: usize = 1200;
    const SSRC: Ssrc = Ssrc(7);

    /// RTP ports that nobody has at this moment, and what answers there.
    fn answers() -> Arc<Answers> {
        let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() & !1;
        let outlets = std::iter::repeat_with(|| Outlets::bind([free(), free()])).find_map(Result::ok);
        Answers::new(4096, WITHIN, outlets.unwrap().ways().unwrap())
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend(sequence.to_be_bytes());
        packet.resize(LENGTH, 0);
        packet
    }

    /// A child at this address, and a stream that has sent 1,000 packets to it in no time.
    fn child(answers: &Arc<Answers>, at: SocketAddr) -> Sending {
        let sending = answers.begin(Kind::Video, SSRC, Arc::default());
        sending.to(&BTreeSet::from([at]));
        (0..1_000).for_each(|sequence| sending.sent(&packet(sequence)));
        sending
    }

    /// A pair of four bytes names 17 packets: what they are owed is what has come, and not what it names.
    #[test]
    fn a_child_is_sent_ten_bytes_for_each_that_asks_beside_the_streams_own_rate() {
        let (answers, socket) = (answers(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let at = socket.local_addr().unwrap();
        let _sending = child(&answers, at);
        let questions = nack::requests(Ssrc(1), SSRC, &Vec::from_iter(0..1_000));
        let asked: usize = questions.iter().map(Vec::len).sum();
        questions.iter().for_each(|question| answers.hear(question, at, Kind::Video));
        let figures = answers.figures().answering;
        // Of a stream of which no rate is known yet.
        let owed = 16_384 + 10 * asked as u64;
        assert!((owed - LENGTH as u64..=owed).contains(&figures.bytes), "{owed} owed, {figures:?}");
        assert_eq!((figures.asked, figures.answered + figures.over_budget), (1_000, 1_000), "{figures:?}");
        // In one packet a question for each of many streams that are not there takes nothing from these.
        let many: Vec<u8> =
            (100..150).flat_map(|ssrc| nack::requests(Ssrc(1), Ssrc(ssrc), &[1]).concat()).collect();
        answers.hear(&many, at, Kind::Video);
        assert_eq!(answers.figures().answering.no_stream, 50);
    }

    #[test]
    fn who_asks_without_end_is_answered_within_bounds_and_another_as_ever() {
        let answers = answers();
        let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [flood, other] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let sending = child(&answers, flood);
        sending.to(&BTreeSet::from([flood, other]));
        let question = &nack::requests(Ssrc(1), SSRC, &Vec::from_iter(0..1_000))[0];
        let begun = Instant::now();
        (0..500).for_each(|_| answers.hear(question, flood, Kind::Video));
        let figures = answers.figures().answering;
        let numbers = nack::count(question) as u64;
        assert_eq!(figures.asked, 500 * numbers);
        // All that it names once in 5 ms, if nothing else ended it.
        let most = numbers * (begun.elapsed().as_millis() as u64 / 5 + 1);
        assert!(figures.answered > 0 && figures.answered <= most, "{figures:?}");
        assert!(figures.over_budget > 0, "{figures:?}");
        // Not too old, however slow the machine is.
        sending.sent(&packet(999));
        answers.hear(&nack::requests(Ssrc(1), SSRC, &[999])[0], other, Kind::Video);
        assert_eq!(answers.figures().answering.answered, figures.answered + 1);
        let mut buffer = [0; 2048];
        sockets[1].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(
            sockets[1].recv(&mut buffer).map(|length| buffer[..length].to_vec()).ok(),
            Some(packet(999))
        );
    }

    #[test]
    fn strangers_and_what_never_was_are_counted_and_nothing_is_sent() {
        let (answers, socket) = (answers(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let at = socket.local_addr().unwrap();
        let _sending = child(&answers, at);
        let ask = |ssrc, numbers: &[u16], from| {
            nack::requests(Ssrc(1), ssrc, numbers)
                .iter()
                .for_each(|question| answers.hear(question, from, Kind::Video));
        };
        ask(SSRC, &[1, 2, 3], SocketAddr::from(([127, 0, 0, 9], at.port())));
        ask(Ssrc(9), &[1], SocketAddr::from(([127, 0, 0, 9], at.port())));
        ask(Ssrc(9), &[1, 2], at);
        ask(SSRC, &[40_000], at);
        let figures = answers.figures().answering;
        let counted =
            [figures.strangers, figures.no_stream, figures.unknown, figures.answered, figures.asked];
        assert_eq!(counted, [4, 2, 1, 0, 7], "{figures:?}");
    }
}
