//! What does not come is asked for again, as a relay does it: generic NACKs go up the tree to whoever sends the stream
//! ([`crate::uplink`]). When, how often and how long is [`node::repair`]'s to decide.
//!
//! The pipelines' probes tell of gaps, late packets and keyframes ([`Notices`]); a task asks. What comes again goes by the same
//! pipeline as everything else, late and with its own number.

mod notice;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::media::{Kind, PerKind, Ssrc};
use node::repair::{Ask, Asker, Asking, ByParent, Looked, OfParent, StreamId, nack};
use node::sources::Known;
use node::tasks::Tasks;
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
    parents: Mutex<ByParent<StreamId>>,
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
    /// Begins, and goes on by `tasks`. `within`: what is missing for longer is given up; `notices`, `seen`: what the lanes of `ways` tell,
    /// by `epoch`.
    pub fn start(
        within: Duration,
        ways: PerKind<Way>,
        (notices, seen): (Notices, mpsc::Receiver<Notice>),
        epoch: Instant,
        tasks: &Tasks,
    ) -> Arc<Repair> {
        let (asker, sender) = (Mutex::new(Asker::new(within)), Ssrc(rand::random()));
        let parents = Mutex::default();
        let repair = Arc::new(Repair { asker, parents, ways, notices, sender, epoch });
        let (own, seen) = (repair.clone(), Arc::new(tokio::sync::Mutex::new(seen)));
        tasks.keep("asking for lost packets", move || {
            let (repair, seen) = (own.clone(), seen.clone());
            async move { repair.run(&mut *seen.lock().await).await }
        });
        repair
    }

    /// What was counted so far.
    pub fn figures(&self) -> Figures {
        let asker = self.asker();
        Figures {
            asking: asker.figures(),
            round_trip: asker.usual_round_trip(),
            left_out: self.notices.left_out(),
        }
    }

    /// The same of each parent. Whoever changes the parents calls this before.
    pub fn of_parents(&self, known: &Known) -> Vec<OfParent> {
        let mut streams = Vec::new();
        for lane in Kind::BOTH.map(|kind| &self.ways[kind].lane) {
            let id = |ssrc| StreamId { port: lane.port(), ssrc };
            let routes = lane.routes().all();
            streams.extend(routes.iter().filter_map(|route| Some((id(route.ssrc), route.stream()?))));
        }
        let mut parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asker = self.asker();
        parents.read(&mut asker, &streams, known);
        parents.shown(&asker, known.names())
    }

    /// What an operator should know of what was never repaired.
    pub fn warning(&self) -> Option<String> {
        self.asker().warning(self.now())
    }

    async fn run(&self, seen: &mut mpsc::Receiver<Notice>) -> Result<(), String> {
        // Should it have failed before, what was in hand may not be right any more.
        self.asker().begin_anew();
        let mut read = Vec::with_capacity(AT_ONCE);
        loop {
            let due = self.asker().due().map(|due| self.epoch + Duration::from_nanos(due));
            tokio::select! {
                count = seen.recv_many(&mut read, AT_ONCE) => if count == 0 { return Ok(()) },
                () = async { tokio::time::sleep_until(due.unwrap_or(self.epoch).into()).await }, if due.is_some() => {}
            }
            let now = self.now();
            let due = {
                let mut asker = self.asker();
                read.drain(..).for_each(|notice| note(&mut asker, notice));
                asker.waiting(now)
            };
            // What is about to be asked for may have come, and the notice of that may wait or have found no room.
            let looked: Vec<(StreamId, Option<Looked>)> = due
                .iter()
                .map(|due| {
                    let known = self.route(due.stream).and_then(|(route, _)| route.stream());
                    (due.stream, known.map(|known| Looked::at(&known, &due.numbers, |_| now)))
                })
                .collect();
            let asks = self.asker().take_after(looked, now);
            asks.iter().for_each(|ask| self.send(ask, now));
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
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
