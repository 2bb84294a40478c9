//! What is missing and what is asked for, and what is counted of it. What is done is in `uplink`.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use node::repair::{Answerer, Answering, Asker, Asking};
use relay_common::layout::StreamKey;

use super::Relay;
use crate::fanout::ChildId;
use crate::view;

/// Of streams that come in, and of children that copies go to.
#[derive(Debug)]
pub struct Repairs {
    pub asker: Asker<StreamKey>,
    pub answerer: Answerer<ChildId>,
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
            failed: 0,
            unheard: 0,
            untold: 0,
        }
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
