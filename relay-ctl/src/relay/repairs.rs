//! What is missing and what is asked for, and what is counted of it. What is done is in `uplink`.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use node::metrics::{Kept, add};
use node::repair::{Answerer, Answering, Asker, Asking, ByParent};
use node::sources::Known;
use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use super::Relay;
use crate::fanout::ChildId;
use crate::view;

/// Of streams that come in, and of children that copies go to.
#[derive(Debug)]
pub struct Repairs {
    pub asker: Asker<StreamKey>,
    pub answerer: Answerer<ChildId>,
    /// What was missing of what each parent sends.
    pub parents: ByParent<StreamKey>,
    /// What children that were removed had asked for.
    removed: Kept<String, 3>,
    /// Answers that could not be sent.
    pub failed: u64,
    /// Questions that nobody had time for.
    pub unheard: u64,
    /// Gaps that the data plane could not tell of.
    pub untold: u64,
}

/// What was counted, and what is so now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repaired {
    /// Of what did not come in its place.
    pub asking: Asking,
    /// Of what children asked for.
    pub answering: Answering,
    /// Answers that could not be sent.
    pub failed: u64,
    /// Gaps and questions that nobody had time for.
    pub unheard: u64,
    /// Numbers that are missing now, and have not been given up.
    pub outstanding: usize,
    /// From a question to its answer: the median of the streams of which it is known.
    pub round_trip: Option<Duration>,
}

impl Repairs {
    /// What is missing is given up after so long. Zero: nothing is asked for.
    pub fn new(within: Duration) -> Repairs {
        Repairs {
            asker: Asker::new(within),
            answerer: Answerer::new(within),
            parents: ByParent::default(),
            removed: Kept::default(),
            failed: 0,
            unheard: 0,
            untold: 0,
        }
    }

    /// A child has this number from now on: what it had before it does not count, nor does a question that was in hand when that one went.
    pub fn begin(&mut self, id: ChildId) {
        self.answerer.forget(&id);
    }

    /// A child is gone: another will have its number.
    pub fn forget(&mut self, name: &str, id: ChildId) {
        self.removed.gone(name.to_owned(), self.answerer.figures_of(&id).summary());
        self.answerer.forget(&id);
    }

    /// Packets that a child has asked for, and of these those that it was sent and those that it was not.
    pub fn of_child(&self, name: &str, id: ChildId) -> [u64; 3] {
        let mut sum = self.removed.before(name);
        add(&mut sum, self.answerer.figures_of(&id).summary());
        sum
    }

    /// What is new of each parent's streams, of which these are all. Whoever changes the parents calls this before.
    pub fn read(&mut self, streams: &[(StreamKey, Stream)], known: &Known) {
        self.parents.read(&mut self.asker, streams, known);
    }

    /// What was counted so far.
    pub fn shown(&self) -> Repaired {
        Repaired {
            asking: self.asker.figures(),
            answering: self.answerer.figures(),
            failed: self.failed,
            unheard: self.unheard + self.untold,
            outstanding: self.asker.outstanding(),
            round_trip: self.asker.usual_round_trip(),
        }
    }
}

impl Repaired {
    /// As `GET /status` has it.
    pub fn view(&self) -> view::Repair {
        let (asking, answering) = (&self.asking, &self.answering);
        let refused = answering.refused().into_iter().filter(|(_, count)| *count > 0);
        view::Repair {
            missing: asking.missing,
            late: asking.late,
            asked: asking.asked,
            repaired: asking.repaired,
            given_up: asking.given_up(),
            useless: asking.useless,
            outstanding: self.outstanding,
            round_trip_ms: self.round_trip.map(|trip| trip.as_secs_f64() * 1000.0),
            answered: answering.answered,
            refused: refused.map(|(reason, count)| (reason.to_owned(), count)).collect(),
        }
    }
}

impl Relay {
    /// Held for a moment only.
    pub(super) fn repairs(&self) -> MutexGuard<'_, Repairs> {
        self.repairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use node::repair::{Asked, Finder, Shelf};

    use super::*;

    #[test]
    fn a_child_that_comes_back_goes_on_where_it_was_and_another_has_nothing_of_its_number() {
        let mut repairs = Repairs::new(Duration::from_millis(150));
        let stream = StreamKey { port: 5004, reserved: [0; 2], ssrc: 7 }.into();
        let asks = |repairs: &mut Repairs, id: ChildId| {
            let asked = Asked { stream, numbers: &[1, 2], bytes: 16, rate: 0 };
            repairs.answerer.answer(&id, &asked, &mut Finder::new(Shelf::new(0)), 0)
        };
        asks(&mut repairs, 3);
        assert_eq!(repairs.of_child("egress-1", 3), [2, 0, 2]);
        repairs.forget("egress-1", 3);
        assert_eq!((repairs.of_child("egress-2", 3), repairs.of_child("egress-1", 4)), ([0; 3], [2, 0, 2]));
        asks(&mut repairs, 3);
        repairs.begin(3);
        assert_eq!(repairs.of_child("egress-2", 3), [0; 3], "that was the former one's");
        asks(&mut repairs, 4);
        assert_eq!(repairs.of_child("egress-1", 4), [4, 0, 4]);
    }
}
