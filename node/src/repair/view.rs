//! What `/status` shows of repairs.

use std::time::Duration;

use serde::Serialize;

use super::{Answering, Asking};

/// Packets that were missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AskingView {
    /// Did not come in their place.
    pub missing: u64,
    /// Came by themselves.
    pub late: u64,
    /// Were asked for.
    pub asked: u64,
    /// Came after that.
    pub repaired: u64,
    /// Have not come in time, or were too many to be asked for.
    pub given_up: u64,
    /// Were not asked for any more: a keyframe had come.
    pub useless: u64,
    /// From a request to the answer, ms; absent before the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
}

impl AskingView {
    /// Of what was counted, and the round trip, if it has been measured.
    pub fn new(asking: Asking, round_trip: Option<Duration>) -> AskingView {
        AskingView {
            missing: asking.missing,
            late: asking.late,
            asked: asking.asked,
            repaired: asking.repaired,
            given_up: asking.given_up(),
            useless: asking.useless,
            round_trip_ms: round_trip.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3),
        }
    }
}

/// Packets that were asked for by those below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweringView {
    /// Were asked for: each time counts.
    pub asked: u64,
    /// Were sent again.
    pub answered: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Were not sent, for whatever reason.
    pub refused: u64,
}

impl AnsweringView {
    /// Of what was counted.
    pub fn new(answering: Answering) -> AnsweringView {
        let Answering { asked, answered, bytes, .. } = answering;
        AnsweringView {
            asked,
            answered,
            bytes,
            refused: answering.refused().iter().map(|(_, count)| count).sum(),
        }
    }
}
