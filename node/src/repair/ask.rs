//! What is missing, when it is asked for, and when it is given up.
//!
//! Numbers are extended sequence numbers, as the statistics of the stream have them (`relay_common::stream`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relay_common::stream::{REACH, Stream};

use super::budget::Budget;
use super::figures::Asking;
use super::lately::{self, Lately};
use super::round_trip::{Reordering, RoundTrip};
use super::{nack, nanoseconds};

/// Most numbers of one stream that are missing at once; a gap that is larger is given up at once.
pub const MOST_OF_STREAM: usize = 1024;
/// Most numbers of all streams.
pub const MOST: usize = 16_384;
/// Most streams that something is remembered of.
const MOST_STREAMS: usize = 4096;
/// Numbers that are further behind are given up, however soon that is: what comes from beyond [`REACH`] is too late to be told from what has come,
/// and an answer takes its time. That is 150 ms of 3,300 packets/s.
const FURTHEST: u32 = REACH as u32 / 2;
/// Requests a second, whatever is missing, and how many may go out at once.
const REQUESTS: u64 = 2_000;
const REQUESTS_AT_ONCE: u64 = 200;
/// Of these so many may go to those who do not answer: they may be somebody whose address a stranger has put on his packets.
const DOUBTFUL: u64 = 200;
const DOUBTFUL_AT_ONCE: u64 = 100;
/// Who has not answered so many requests in a row does not answer, until he does: what he lacks himself is not worth many more.
const PATIENCE: u32 = 64;
/// So often a number is asked for at the pace of the round trip; then each pause is twice as long: nobody may be there to answer.
const PROMPT: u8 = 4;
/// Requests that the budget does not have wait so long, ns.
const PAUSE: u64 = 5_000_000;
/// A stream whose numbers jump by so much has begun again.
const ANOTHER_SEQUENCE: u32 = 0x1_0000;

/// A request: one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask<K> {
    /// Of this stream.
    pub stream: K,
    /// These sequence numbers; [`nack::requests`] makes the packet.
    pub numbers: Vec<u16>,
    /// How often the same has been asked for before.
    pub before: u8,
}

/// How a packet came that was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// By itself.
    Late,
    /// Because it had been asked for.
    Repaired,
}

/// Of a stream, what [`Asker::take`] would ask for or give up now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due<K> {
    /// Of this one.
    pub stream: K,
    /// These numbers, in order.
    pub numbers: Vec<u32>,
    /// Those of them that have been asked for, up to the first that has been and is not due: a keyframe is worth looking for behind the
    /// first of these that has not come. Looking costs more than asking, so nobody looks before anything is repeated.
    pub asked: Vec<u32>,
}

/// What was found out meanwhile of a stream of which something is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Numbers that have come, each with when.
    pub came: Vec<(u32, u64)>,
    /// From this number on the stream can be understood without what was before.
    pub begins: Option<u32>,
    /// How far the stream is.
    pub highest: u32,
}

impl Looked {
    /// Which of these numbers have come, as the stream's window has it. `when`: one of them did.
    pub fn at(stream: &Stream, numbers: &[u32], mut when: impl FnMut(u32) -> u64) -> Looked {
        let has_come = |number: &&u32| stream.has_come(**number) == Some(true);
        let came = numbers.iter().filter(has_come).map(|number| (*number, when(*number))).collect();
        Looked { came, begins: None, highest: stream.highest }
    }
}

/// Asks for what is missing of streams, by whatever tells them apart.
#[derive(Debug)]
pub struct Asker<K> {
    within: u64,
    streams: BTreeMap<K, OfStream>,
    /// When something is to be done about which number.
    queue: BTreeSet<(u64, K, u32)>,
    requests: Budget,
    doubtful: Budget,
    /// What was found out of any stream last, for those of which nothing is known yet.
    guess: RoundTrip,
    figures: Asking,
    lately: Lately,
    /// Of streams that have ended, what has not been told.
    untold: BTreeMap<K, Asking>,
}

#[derive(Debug, Default)]
struct OfStream {
    missing: BTreeMap<u32, Missing>,
    round_trip: RoundTrip,
    reordering: Reordering,
    /// Something of it has come that had been asked for.
    answers: bool,
    /// Requests since.
    unanswered: u32,
    /// Of this stream alone.
    figures: Asking,
    /// What of that has been told.
    told: Asking,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: u64,
    /// When something is to be done about it.
    due: u64,
    asked: u8,
    /// When it was asked for last.
    last: u64,
}

impl<K: Copy + Ord> Asker<K> {
    /// What is missing longer than this is given up.
    pub fn new(within: Duration) -> Asker<K> {
        Asker {
            within: nanoseconds(within),
            streams: BTreeMap::new(),
            queue: BTreeSet::new(),
            requests: Budget::full(REQUESTS_AT_ONCE, 0),
            doubtful: Budget::full(DOUBTFUL_AT_ONCE, 0),
            guess: RoundTrip::default(),
            figures: Asking::default(),
            lately: Lately::default(),
            untold: BTreeMap::new(),
        }
    }

    /// So many numbers of a stream, from `first` on, have been gone past at that time.
    pub fn missing(&mut self, stream: K, first: u32, count: u16, now: u64) {
        if count == 0 {
            return;
        }
        self.lately.before(&self.figures, now);
        let room = MOST.saturating_sub(self.queue.len());
        self.make_room_for(&stream);
        if !self.streams.contains_key(&stream) && self.streams.len() >= MOST_STREAMS {
            self.figures.missing += u64::from(count);
            self.figures.too_many += u64::from(count);
            return;
        }
        let is_restart = |of: &OfStream| {
            of.missing.last_key_value().is_some_and(|(last, _)| first.abs_diff(*last) >= ANOTHER_SEQUENCE)
        };
        if self.streams.get(&stream).is_some_and(is_restart) {
            self.useless_before(&stream, u32::MAX);
        }
        let guess = self.guess;
        let of = self
            .streams
            .entry(stream)
            .or_insert_with(|| OfStream { round_trip: guess, ..OfStream::default() });
        let all = u64::from(count);
        let new = |figures: &mut Asking| figures.missing += all;
        new(&mut of.figures);
        new(&mut self.figures);
        let wanted = usize::from(count);
        if wanted > room || of.missing.len() + wanted > MOST_OF_STREAM {
            of.figures.too_many += all;
            self.figures.too_many += all;
            return;
        }
        // One that has waited so long already (events come late under load) is asked for at once.
        let due = now.saturating_add(of.reordering.wait());
        for number in first..first.saturating_add(u32::from(count)) {
            let one = Missing { since: now, due, asked: 0, last: 0 };
            if let Some(before) = of.missing.insert(number, one) {
                self.queue.remove(&(before.due, stream, number));
            }
            self.queue.insert((due, stream, number));
        }
    }

    /// A packet has come at that time; says how, if it was missing.
    pub fn came(&mut self, stream: &K, number: u32, at: u64) -> Option<Came> {
        let of = self.streams.get_mut(stream)?;
        let one = of.missing.remove(&number)?;
        self.queue.remove(&(one.due, *stream, number));
        let after = at.saturating_sub(one.last);
        // So soon no answer has ever come: it was late, and asked for too early. But if it is always so, answers have become quick.
        let is_too_soon = one.asked == 1 && of.round_trip.is_too_soon(after);
        if one.asked == 0 || is_too_soon {
            of.reordering.late(at.saturating_sub(one.since));
            of.figures.late += 1;
            self.figures.late += 1;
            return Some(Came::Late);
        }
        if one.asked == 1 {
            of.round_trip.measured(after);
            self.guess = of.round_trip;
        } else {
            of.round_trip.ambiguous(one.last);
        }
        of.reordering.lost();
        (of.answers, of.unanswered) = (true, 0);
        of.figures.repaired += 1;
        self.figures.repaired += 1;
        Some(Came::Repaired)
    }

    /// From this number on the stream can be understood without what was before: nobody asks for that any more.
    pub fn useless_before(&mut self, stream: &K, number: u32) {
        let Some(of) = self.streams.get_mut(stream) else { return };
        let kept = of.missing.split_off(&number);
        let useless = std::mem::replace(&mut of.missing, kept);
        of.figures.useless += useless.len() as u64;
        self.figures.useless += useless.len() as u64;
        for (number, one) in useless {
            self.queue.remove(&(one.due, *stream, number));
        }
    }

    /// The stream has come so far: what is too far behind is given up.
    fn gone_on(&mut self, stream: &K, highest: u32) {
        let Some(of) = self.streams.get_mut(stream) else { return };
        let kept = of.missing.split_off(&highest.saturating_sub(FURTHEST));
        let behind = std::mem::replace(&mut of.missing, kept);
        of.figures.expired += behind.len() as u64;
        self.figures.expired += behind.len() as u64;
        for (number, one) in behind {
            self.queue.remove(&(one.due, *stream, number));
        }
    }

    /// The stream has ended: nothing of it is asked for, and nothing remembered. Gives what was counted of it.
    pub fn ended(&mut self, stream: &K) -> Asking {
        self.useless_before(stream, u32::MAX);
        self.forget(stream)
    }

    /// Gives what was counted of a stream that is none any more.
    fn forget(&mut self, stream: &K) -> Asking {
        let Some(OfStream { figures, told, .. }) = self.streams.remove(stream) else {
            return Asking::default();
        };
        // Should nobody read what is new, it is not kept for ever.
        if figures != told && (self.untold.len() < MOST_STREAMS || self.untold.contains_key(stream)) {
            *self.untold.entry(*stream).or_default() += figures - told;
        }
        figures
    }

    /// What has been counted of each stream since this was called last.
    pub fn news(&mut self) -> BTreeMap<K, Asking> {
        let mut news = std::mem::take(&mut self.untold);
        for (stream, of) in &mut self.streams {
            if of.figures != of.told {
                *news.entry(*stream).or_default() += of.figures - of.told;
                of.told = of.figures;
            }
        }
        news
    }

    /// Whoever has asked by this has failed, and what it remembers may not be right: it begins as if nothing were missing. What is given up
    /// so counts as that.
    pub fn begin_anew(&mut self) {
        self.queue.clear();
        for stream in self.streams.keys().copied().collect::<Vec<_>>() {
            if let Some(of) = self.streams.get_mut(&stream) {
                let missing = std::mem::take(&mut of.missing).len() as u64;
                of.figures.expired += missing;
                self.figures.expired += missing;
            }
            self.forget(&stream);
        }
    }

    /// When to [`take`](Self::take) next.
    pub fn due(&self) -> Option<u64> {
        self.queue.first().map(|(due, _, _)| *due)
    }

    /// What [`take`](Self::take) would ask for or give up now: to be looked at before, whether it has come meanwhile.
    pub fn waiting(&self, now: u64) -> Vec<Due<K>> {
        let mut waiting: BTreeMap<K, Vec<u32>> = BTreeMap::new();
        for (_, stream, number) in self.queue.iter().take_while(|(due, _, _)| *due <= now) {
            waiting.entry(*stream).or_default().push(*number);
        }
        let due = |(stream, mut numbers): (K, Vec<u32>)| {
            numbers.sort_unstable();
            let missing = self.streams.get(&stream).map(|of| of.missing.iter());
            let asked =
                missing.into_iter().flatten().filter(|(_, one)| one.asked > 0).map(|(number, _)| *number);
            let asked = asked.take_while(|number| numbers.binary_search(number).is_ok()).collect();
            Due { stream, numbers, asked }
        };
        waiting.into_iter().map(due).collect()
    }

    /// The same as [`take`](Self::take), after it was looked at what was [`waiting`](Self::waiting) at that time: what has come is not
    /// asked for, nor what a keyframe made useless, nor what a stream has left behind, nor anything of one that is none any more (`None`).
    pub fn take_after(
        &mut self,
        looked: impl IntoIterator<Item = (K, Option<Looked>)>,
        now: u64,
    ) -> Vec<Ask<K>> {
        // Before anything of it is counted.
        self.lately.before(&self.figures, now);
        for (stream, looked) in looked {
            let Some(Looked { came, begins, highest }) = looked else {
                self.ended(&stream);
                continue;
            };
            for (number, at) in came {
                self.came(&stream, number, at);
            }
            if let Some(begins) = begins {
                self.useless_before(&stream, begins);
            }
            self.gone_on(&stream, highest);
        }
        self.take(now)
    }

    /// What is to be asked for now. What is over its deadline is given up.
    pub fn take(&mut self, now: u64) -> Vec<Ask<K>> {
        self.lately.before(&self.figures, now);
        self.requests.gain(REQUESTS, REQUESTS_AT_ONCE, now);
        self.doubtful.gain(DOUBTFUL, DOUBTFUL_AT_ONCE, now);
        // In the order in which they are due, so that nobody starves; a stream's together.
        let mut due: Vec<((K, u8), Vec<u32>)> = Vec::new();
        let mut places: BTreeMap<(K, u8), usize> = BTreeMap::new();
        while let Some(first) = self.queue.first().copied().filter(|(due, _, _)| *due <= now) {
            self.queue.remove(&first);
            let (_, stream, number) = first;
            let Some(before) = self.look_at(&stream, number, now) else { continue };
            let place = *places.entry((stream, before)).or_insert_with(|| {
                due.push(((stream, before), Vec::new()));
                due.len() - 1
            });
            due[place].1.push(number);
        }
        let mut asks = Vec::new();
        for ((stream, before), mut numbers) in due {
            numbers.sort_unstable();
            let mut rest = &numbers[..];
            while !rest.is_empty() {
                let (some, others) = rest.split_at(nack::fitting(rest.iter().copied()));
                let goes = self.may_ask(&stream, before);
                self.put_off(&stream, some, goes, now);
                if goes {
                    let numbers = some.iter().map(|number| *number as u16).collect();
                    asks.push(Ask { stream, numbers, before });
                }
                rest = others;
            }
        }
        self.figures.requests += asks.len() as u64;
        asks
    }

    /// How often a number that is due has been asked for, if it is to be asked for now.
    fn look_at(&mut self, stream: &K, number: u32, now: u64) -> Option<u8> {
        let of = self.streams.get_mut(stream)?;
        let one = of.missing.get_mut(&number)?;
        let deadline = one.since.saturating_add(self.within);
        if now >= deadline {
            of.missing.remove(&number);
            of.figures.expired += 1;
            self.figures.expired += 1;
            return None;
        }
        let is_too_late =
            one.asked > 0 && of.round_trip.get().is_some_and(|usual| now.saturating_add(usual) > deadline);
        if is_too_late {
            one.due = deadline;
            self.queue.insert((deadline, *stream, number));
            return None;
        }
        Some(one.asked)
    }

    /// Whether a request may go out, which then does.
    fn may_ask(&mut self, stream: &K, before: u8) -> bool {
        let Some(of) = self.streams.get_mut(stream) else { return false };
        let is_doubtful = !of.answers || before > 0 && of.unanswered >= PATIENCE;
        let goes = (!is_doubtful || self.doubtful.take(1)) && self.requests.take(1);
        of.unanswered = of.unanswered.saturating_add(u32::from(goes));
        goes
    }

    /// These were asked for now, or could not be, and are due again later.
    fn put_off(&mut self, stream: &K, numbers: &[u32], asked: bool, now: u64) {
        let Some(of) = self.streams.get_mut(stream) else { return };
        let pause = if asked { of.round_trip.repeat_after() } else { PAUSE };
        for number in numbers {
            let Some(one) = of.missing.get_mut(number) else { continue };
            if asked {
                for figures in [&mut of.figures, &mut self.figures] {
                    if one.asked == 0 { figures.asked += 1 } else { figures.repeated += 1 }
                }
                (one.asked, one.last) = (one.asked.saturating_add(1), now);
            }
            let deadline = one.since.saturating_add(self.within);
            let more = u32::from(one.asked.saturating_sub(PROMPT)).min(8);
            one.due = now.saturating_add(pause << more).min(deadline);
            self.queue.insert((one.due, *stream, *number));
        }
    }

    /// What was counted of all streams.
    pub fn figures(&self) -> Asking {
        self.figures
    }

    /// What was counted of one.
    pub fn figures_of(&self, stream: &K) -> Asking {
        self.streams.get(stream).map(|of| of.figures).unwrap_or_default()
    }

    /// Streams of which something is remembered, and the round trip to where each comes from, ns, if it has been measured.
    pub fn round_trips(&self) -> impl Iterator<Item = (K, Option<u64>)> + '_ {
        self.streams.iter().map(|(stream, of)| (*stream, of.round_trip.get()))
    }

    /// The round trip of the stream in the middle of those of which it is known.
    pub fn usual_round_trip(&self) -> Option<Duration> {
        self.usual_round_trip_of(|_| true)
    }

    /// The same, of some streams.
    pub fn usual_round_trip_of(&self, is_one: impl Fn(&K) -> bool) -> Option<Duration> {
        let of = self.round_trips().filter(|(stream, _)| is_one(stream));
        let mut trips: Vec<u64> = of.filter_map(|(_, trip)| trip).collect();
        trips.sort_unstable();
        trips.get(trips.len() / 2).copied().map(Duration::from_nanos)
    }

    /// What an operator should know of what was given up in the last minutes.
    pub fn warning(&self, now: u64) -> Option<String> {
        let lately = self.lately.of(&self.figures, now);
        lately::warning(&lately, self.usual_round_trip(), Duration::from_nanos(self.within))
    }

    /// How many numbers are missing and have not been given up.
    pub fn outstanding(&self) -> usize {
        self.queue.len()
    }

    /// A new stream takes the place of one of which nothing is missing.
    fn make_room_for(&mut self, stream: &K) {
        if self.streams.len() < MOST_STREAMS || self.streams.contains_key(stream) {
            return;
        }
        let idle = self.streams.iter().find(|(_, of)| of.missing.is_empty()).map(|(idle, _)| *idle);
        if let Some(idle) = idle {
            self.forget(&idle);
        }
    }
}

#[cfg(test)]
mod tests;
