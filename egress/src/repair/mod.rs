//! What does not come is asked for again, as a relay does it: generic NACKs go up the tree to whoever sends the stream
//! ([`crate::uplink`]). When, how often and how long is [`node::repair`]'s to decide.
//!
//! The pipelines' probes tell of gaps, late packets and keyframes ([`Notices`]); a task asks. What comes again goes by the same
//! pipeline as everything else, late and with its own number.

mod notice;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::media::{Kind, PerKind, Ssrc};
use node::repair::{Ask, Asker, Asking, StreamId, nack};
use tokio::sync::mpsc;

use crate::pipeline::{Lane, Route};
use crate::uplink::{To, Uplink};

pub use notice::{Notice, Notices, Seen};

/// Notices that are read before it is looked what to ask for.
const AT_ONCE: usize = 1024;
/// Questions that came to nothing before the other of two parents is asked, too.
const BEFORE_THE_OTHER: u8 = 2;

/// Asks for what is missing. Holds what is known of it, and who is asked.
pub struct Repair {
    asker: Mutex<Asker<StreamId>>,
    ways: PerKind<Way>,
    notices: Notices,
    sender: Ssrc,
    epoch: Instant,
}

/// Where a kind of media comes in, and the way to where it comes from.
pub struct Way {
    /// What it comes in by.
    pub lane: Arc<Lane>,
    /// To where it comes from.
    pub uplink: Arc<Uplink>,
}

/// A reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// What was counted.
    pub asking: Asking,
    /// From a request to the answer, of the stream in the middle; none before the first answer.
    pub round_trip: Option<Duration>,
    /// What was seen and found no room.
    pub left_out: u64,
}

impl Repair {
    /// Begins. `within`: what is missing for longer is given up; `notices`, `seen`: what the lanes of `ways` tell, by `epoch`.
    pub fn start(
        within: Duration,
        ways: PerKind<Way>,
        (notices, seen): (Notices, mpsc::Receiver<Notice>),
        epoch: Instant,
    ) -> Arc<Repair> {
        let (asker, sender) = (Mutex::new(Asker::new(within)), Ssrc(rand::random()));
        let repair = Arc::new(Repair { asker, ways, notices, sender, epoch });
        tokio::spawn(repair.clone().run(seen));
        repair
    }

    /// What was counted so far.
    pub fn figures(&self) -> Figures {
        let asker = self.asker();
        let mut trips: Vec<u64> = asker.round_trips().filter_map(|(_, trip)| trip).collect();
        trips.sort_unstable();
        let round_trip = trips.get(trips.len() / 2).copied().map(Duration::from_nanos);
        Figures { asking: asker.figures(), round_trip, left_out: self.notices.left_out() }
    }

    async fn run(self: Arc<Self>, mut seen: mpsc::Receiver<Notice>) {
        let mut read = Vec::with_capacity(AT_ONCE);
        loop {
            let due = self.asker().due().map(|due| self.epoch + Duration::from_nanos(due));
            tokio::select! {
                count = seen.recv_many(&mut read, AT_ONCE) => if count == 0 { return },
                () = async { tokio::time::sleep_until(due.unwrap_or(self.epoch).into()).await }, if due.is_some() => {}
            }
            let now = self.epoch.elapsed().as_nanos() as u64;
            let asks = {
                let mut asker = self.asker();
                read.drain(..).for_each(|notice| note(&mut asker, notice));
                self.look_what_has_come(&mut asker, now);
                asker.take(now)
            };
            asks.iter().for_each(|ask| self.send(ask, now));
        }
    }

    /// What is about to be asked for may have come, and the notice of that may wait or have found no room.
    fn look_what_has_come(&self, asker: &mut Asker<StreamId>, now: u64) {
        for (stream, numbers) in asker.waiting(now) {
            let Some(known) = self.route(stream).and_then(|(route, _)| route.stream()) else {
                asker.ended(&stream);
                continue;
            };
            asker.look(&stream, &known, &numbers, |_| now);
        }
    }

    /// Asks whoever sends the stream; and when that was in vain, in every way that there is.
    fn send(&self, ask: &Ask<StreamId>, now: u64) {
        let Some((route, uplink)) = self.route(ask.stream) else { return };
        let now = Duration::from_nanos(now);
        let other = route.other_source(now).filter(|_| ask.before >= BEFORE_THE_OTHER);
        let mut sources = route.sources(now);
        sources.extend(other.filter(|other| !sources.contains(other)));
        let to = if ask.before == 0 { To::Rtcp } else { To::Both };
        for packet in nack::requests(self.sender, ask.stream.ssrc, &ask.numbers) {
            for source in &sources {
                uplink.send(&packet, *source, to);
            }
        }
        tracing::debug!(
            "SSRC {}: {} packets are missing, and asked of {sources:?} for the {}. time",
            ask.stream.ssrc,
            ask.numbers.len(),
            u32::from(ask.before) + 1
        );
    }

    fn route(&self, stream: StreamId) -> Option<(Arc<Route>, &Uplink)> {
        let ways = Kind::BOTH.into_iter().map(|kind| &self.ways[kind]);
        let way = ways.into_iter().find(|way| way.lane.port() == stream.port)?;
        Some((way.lane.routes().get(stream.ssrc)?, &way.uplink))
    }

    fn asker(&self) -> MutexGuard<'_, Asker<StreamId>> {
        self.asker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(asker: &mut Asker<StreamId>, Notice { stream, at, seen }: Notice) {
    match seen {
        Seen::Gap(missing) => asker.missing(stream, missing.first, missing.count, at),
        Seen::Late(number) => {
            asker.came(&stream, number, at);
        }
        Seen::Keyframe(number) => asker.useless_before(&stream, number),
    }
}
