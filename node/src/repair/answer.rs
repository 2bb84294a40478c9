//! Who is sent what again, and what is refused.
//!
//! A question is small and its answer is not, so that each child has budgets: for what is looked at, and for each stream, for what is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::budget::Budget;
use super::figures::Answering;
use super::history::{History, Kept};
use super::{StreamId, WITHIN, nanoseconds};

/// Numbers that are looked at for one child in a second, and at once.
const NUMBERS: u64 = 20_000;
const NUMBERS_AT_ONCE: u64 = 4096;
/// Bytes that are sent for each byte that asks, besides the stream's own rate.
const FOR_EACH_BYTE: u64 = 10;
/// What a stream's rate may have saved up, ns of it, and bytes at least: a burst of losses in a stream that is slow.
const SAVED: u64 = 250_000_000;
const SAVED_AT_LEAST: u64 = 16_384;
/// Nor is any stream taken to be faster than this, bytes a second.
const FASTEST: u64 = 125_000_000;
/// Of a stream for which nobody has asked for so long nothing is remembered if there is no room, ns.
const IDLE: u64 = 1_000_000_000;
/// What was sent is not sent to the same child again for so long, ns: it is on its way. A question may come to two ports.
const ON_ITS_WAY: u64 = 5_000_000;
/// Most children, streams of a child, and packets on their way that are remembered.
const MOST_CHILDREN: usize = 512;
const MOST_STREAMS: usize = 1024;
const MOST_ON_THEIR_WAY: usize = 8192;

/// What a child asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of this stream, which goes to that child.
    pub stream: StreamId,
    /// These sequence numbers.
    pub numbers: &'a [u16],
    /// Bytes that ask for them, as [`Question`](super::nack::Question) has them.
    pub bytes: usize,
    /// Bytes a second that the stream has.
    pub rate: u64,
}

/// Answers children, by whatever tells them apart.
#[derive(Debug)]
pub struct Answerer<C> {
    /// What is older is of no use to anybody, ns.
    oldest: u64,
    children: BTreeMap<C, OfChild>,
    figures: Answering,
}

#[derive(Debug)]
struct OfChild {
    numbers: Budget,
    bytes: BTreeMap<StreamId, Budget>,
    /// When what was sent last.
    sent: BTreeMap<(StreamId, u16), u64>,
    used: u64,
    figures: Answering,
}

impl<C: Clone + Ord> Answerer<C> {
    /// `within`: how long those who ask wait; what is older than two of that is not sent. Zero: this node does not ask, and those who
    /// do wait as long as they do by default.
    pub fn new(within: Duration) -> Answerer<C> {
        let within = if within.is_zero() { WITHIN } else { within };
        Answerer {
            oldest: nanoseconds(within).saturating_mul(2),
            children: BTreeMap::new(),
            figures: Answering::default(),
        }
    }

    /// The packets that are to be sent to that child, and to nobody else. Whether it is one, and gets this stream, is for the caller to know.
    pub fn answer(
        &mut self,
        child: &C,
        asked: &Asked<'_>,
        history: &mut impl History,
        now: u64,
    ) -> Vec<Kept> {
        self.make_room_for(child);
        let of = self.children.entry(child.clone()).or_insert_with(|| OfChild::new(now));
        of.used = now;
        of.numbers.gain(NUMBERS, NUMBERS_AT_ONCE, now);
        of.fill(asked, now);
        let mut figures = Answering::default();
        let mut answers = Vec::new();
        for number in asked.numbers {
            figures.asked += 1;
            match of.judge(asked.stream, *number, self.oldest, history, now) {
                Ok(kept) => {
                    figures.answered += 1;
                    figures.bytes += kept.packet.len() as u64;
                    answers.push(kept);
                }
                Err(Refused::OverBudget) => figures.over_budget += 1,
                Err(Refused::Repeated) => figures.repeated += 1,
                Err(Refused::Unknown) => figures.unknown += 1,
                Err(Refused::Old) => figures.old += 1,
            }
        }
        of.figures += figures;
        self.figures += figures;
        answers
    }

    /// Somebody who is no child has asked for so many packets.
    pub fn stranger(&mut self, numbers: usize) {
        self.figures.asked += numbers as u64;
        self.figures.strangers += numbers as u64;
    }

    /// A child has asked for so many packets of a stream that does not go there.
    pub fn no_stream(&mut self, numbers: usize) {
        self.figures.asked += numbers as u64;
        self.figures.no_stream += numbers as u64;
    }

    /// The child is gone.
    pub fn forget(&mut self, child: &C) {
        self.children.remove(child);
    }

    /// What was counted of all.
    pub fn figures(&self) -> Answering {
        self.figures
    }

    /// What was counted of one child.
    pub fn figures_of(&self, child: &C) -> Answering {
        self.children.get(child).map(|of| of.figures).unwrap_or_default()
    }

    fn make_room_for(&mut self, child: &C) {
        if self.children.len() < MOST_CHILDREN || self.children.contains_key(child) {
            return;
        }
        let oldest = self.children.iter().min_by_key(|(_, of)| of.used).map(|(child, _)| child.clone());
        if let Some(oldest) = oldest {
            self.children.remove(&oldest);
        }
    }
}

enum Refused {
    OverBudget,
    Repeated,
    Unknown,
    Old,
}

impl OfChild {
    fn new(now: u64) -> OfChild {
        OfChild {
            numbers: Budget::full(NUMBERS_AT_ONCE, now),
            bytes: BTreeMap::new(),
            sent: BTreeMap::new(),
            used: now,
            figures: Answering::default(),
        }
    }

    /// What the stream's rate and the question itself add to the stream's budget.
    fn fill(&mut self, asked: &Asked<'_>, now: u64) {
        let rate = asked.rate.min(FASTEST);
        let most = (rate.saturating_mul(SAVED) / 1_000_000_000).max(SAVED_AT_LEAST);
        if !self.bytes.contains_key(&asked.stream) && self.bytes.len() >= MOST_STREAMS {
            // Streams end, and others begin: who is full again by now is as good as new.
            self.bytes.retain(|_, budget| !budget.is_idle(now, IDLE));
            if self.bytes.len() >= MOST_STREAMS {
                return;
            }
        }
        let budget = self.bytes.entry(asked.stream).or_insert_with(|| Budget::full(most, now));
        budget.gain(rate, most, now);
        // What nobody uses does not add up.
        budget.add_up_to(FOR_EACH_BYTE.saturating_mul(asked.bytes as u64), most.saturating_mul(2));
    }

    fn judge(
        &mut self,
        stream: StreamId,
        number: u16,
        oldest: u64,
        history: &mut impl History,
        now: u64,
    ) -> Result<Kept, Refused> {
        if !self.numbers.take(1) {
            return Err(Refused::OverBudget);
        }
        if self.sent.get(&(stream, number)).is_some_and(|sent| now.saturating_sub(*sent) < ON_ITS_WAY) {
            return Err(Refused::Repeated);
        }
        let kept = history.find(&stream, number).ok_or(Refused::Unknown)?;
        if now.saturating_sub(kept.came) > oldest {
            return Err(Refused::Old);
        }
        if self.sent.len() >= MOST_ON_THEIR_WAY {
            self.sent.retain(|_, sent| now.saturating_sub(*sent) < ON_ITS_WAY);
        }
        let has_room = self.sent.len() < MOST_ON_THEIR_WAY;
        let bytes = kept.packet.len() as u64;
        if !has_room || !self.bytes.get_mut(&stream).is_some_and(|budget| budget.take(bytes)) {
            return Err(Refused::OverBudget);
        }
        self.sent.insert((stream, number), now);
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Ssrc;
    use crate::repair::{Finder, Shelf};

    const STREAM: StreamId = StreamId { port: 5004, ssrc: Ssrc(1) };
    /// 2.5 Mbit/s.
    const RATE: u64 = 312_500;

    const fn ms(time: u64) -> u64 {
        time * 1_000_000
    }

    fn history(came: u64) -> Finder {
        let shelf = Shelf::new(4096);
        (0..1000).for_each(|number| shelf.keep(STREAM, number, &[0; 1200], came));
        Finder::new(shelf)
    }

    fn asked(numbers: &[u16]) -> Asked<'_> {
        Asked { stream: STREAM, numbers, bytes: 16, rate: RATE }
    }

    #[test]
    fn a_child_is_sent_what_it_asks_for_and_what_is_on_its_way_not_again() {
        let (mut answerer, mut history) = (Answerer::new(WITHIN), history(ms(1)));
        assert_eq!(answerer.answer(&"a", &asked(&[3, 4, 2000]), &mut history, ms(2)).len(), 2);
        assert!(
            answerer.answer(&"a", &asked(&[3, 4]), &mut history, ms(6)).is_empty(),
            "it came to two ports"
        );
        assert_eq!(answerer.answer(&"b", &asked(&[3]), &mut history, ms(6)).len(), 1, "another child");
        assert_eq!(answerer.answer(&"a", &asked(&[3]), &mut history, ms(7)).len(), 1, "asked again");
        let wanted =
            Answering { asked: 7, answered: 4, bytes: 4800, unknown: 1, repeated: 2, ..Answering::default() };
        assert_eq!(answerer.figures(), wanted);
        assert_eq!(answerer.figures_of(&"b").answered, 1);
    }

    #[test]
    fn what_is_too_old_to_be_of_use_is_not_sent() {
        // Who does not ask knows nothing better than what is usual.
        for within in [WITHIN, Duration::ZERO] {
            let (mut answerer, mut history) = (Answerer::new(within), history(ms(1)));
            assert_eq!(answerer.answer(&"a", &asked(&[3]), &mut history, ms(301)).len(), 1);
            assert!(answerer.answer(&"a", &asked(&[4]), &mut history, ms(302)).is_empty());
            assert_eq!(answerer.figures().old, 1);
        }
    }

    #[test]
    fn a_child_that_asks_for_everything_all_the_time_gets_the_streams_rate_and_ten_times_its_questions() {
        let (mut answerer, shelf) = (Answerer::new(WITHIN), Shelf::new(4096));
        let mut history = Finder::new(shelf.clone());
        let (mut sent, mut bytes) = (0, 0);
        for now in 0..10_000_u64 {
            (0..100).for_each(|number| shelf.keep(STREAM, number, &[0; 1200], ms(now)));
            let numbers: Vec<u16> = (0..17).map(|number| ((now * 17 + number) % 100) as u16).collect();
            bytes += 16;
            let answers = answerer.answer(&"a", &asked(&numbers), &mut history, ms(now));
            sent += answers.iter().map(|kept| kept.packet.len() as u64).sum::<u64>();
        }
        let most = 10 * bytes + 10 * RATE + RATE / 4;
        assert!(sent <= most && sent > most / 2, "{sent} of {most}");
        assert!(answerer.figures().over_budget > 0);
    }

    #[test]
    fn a_burst_of_losses_fits_into_the_budget() {
        let (mut answerer, mut history) = (Answerer::new(WITHIN), history(ms(1)));
        let burst: Vec<u16> = (0..60).collect();
        assert_eq!(answerer.answer(&"a", &asked(&burst), &mut history, ms(2)).len(), 60, "230 ms of it");
        let slow = Asked { rate: 0, ..asked(&burst) };
        assert_eq!(answerer.answer(&"b", &slow, &mut history, ms(2)).len(), 13);
    }

    #[test]
    fn a_flood_of_questions_is_not_even_looked_at() {
        let mut answerer = Answerer::new(WITHIN);
        struct Counts(u64);
        impl History for Counts {
            fn find(&mut self, _: &StreamId, _: u16) -> Option<Kept> {
                self.0 += 1;
                None
            }
        }
        let mut history = Counts(0);
        let numbers: Vec<u16> = (0..1024).collect();
        for now in 0..1_000 {
            answerer.answer(&"a", &asked(&numbers), &mut history, ms(now));
        }
        assert!(history.0 <= NUMBERS + NUMBERS_AT_ONCE, "{}", history.0);
        assert_eq!(answerer.figures().asked, 1_024_000);
        assert_eq!(answerer.answer(&"b", &asked(&[1]), &mut history, ms(1_000)), [], "another is looked at");
        assert_eq!(answerer.figures_of(&"b").unknown, 1);
    }

    #[test]
    fn memory_has_an_end_whoever_asks_for_whatever() {
        let (mut answerer, mut history) = (Answerer::new(WITHIN), history(0));
        for child in 0..2_000 {
            answerer.answer(&child, &asked(&[1]), &mut history, 0);
        }
        assert!(answerer.children.len() <= MOST_CHILDREN);
        for number in 0..5_000 {
            let stream = StreamId { port: 5004, ssrc: Ssrc(number) };
            answerer.answer(&0, &Asked { stream, ..asked(&[1]) }, &mut history, 0);
        }
        assert!(answerer.children[&0].bytes.len() <= MOST_STREAMS);
    }

    #[test]
    fn a_child_is_answered_however_many_streams_it_has_had() {
        let (mut answerer, shelf) = (Answerer::new(WITHIN), Shelf::new(4));
        let mut history = Finder::new(shelf.clone());
        for number in 0..5_000 {
            let (stream, now) = (StreamId { port: 5004, ssrc: Ssrc(number) }, ms(u64::from(number) * 10));
            shelf.keep(stream, 1, &[0; 1200], now);
            let asked = Asked { stream, ..asked(&[1]) };
            assert_eq!(answerer.answer(&"a", &asked, &mut history, now).len(), 1, "{number}");
        }
        assert!(answerer.children["a"].bytes.len() <= MOST_STREAMS);
    }

    #[test]
    fn strangers_and_streams_that_do_not_go_there_are_counted() {
        let mut answerer = Answerer::<&str>::new(WITHIN);
        answerer.stranger(17);
        answerer.no_stream(3);
        let figures = answerer.figures();
        assert_eq!((figures.asked, figures.strangers, figures.no_stream), (20, 17, 3));
    }
}
