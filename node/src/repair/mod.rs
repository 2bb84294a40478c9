//! A packet lost between two nodes is asked for and sent again on that hop. Without I/O: time goes in, as CLOCK_MONOTONIC ns.
//!
//! A node that misses a packet asks whoever sends it the stream (generic NACK, RFC 4585 section 6.2.1); that one sends it
//! again to this node only, if it is among the last that it kept. What it lacks itself it has asked for as well, and its own repair goes to all
//! of its children like any packet.
//!
//! | file | says |
//! |---|---|
//! | `nack.rs` | what a packet asks for, and the packets that ask |
//! | `ask.rs` | what is missing, when it is asked for, and when it is given up |
//! | `answer.rs` | who is sent what again, and what is refused |
//! | `round_trip.rs` | how long an answer takes, and how late packets come by themselves |
//! | `history.rs` | the last packets, kept to be sent again |
//! | `budget.rs` | so much in a time, and no more |
//! | `turns.rs` | whose requests are read at all |
//! | `figures.rs` | what is counted |
//! | `lately.rs` | what was given up in the last minutes, and when that is worth a warning |
//! | `by_parent.rs` | what was missing of what each parent sends |
//! | `explorer` | all of them in a row of nodes with bad links, a thousand times |
//! | `view.rs` | what `/status` shows |
//! | `settings.rs` | how much is kept, and how long is asked for it |

pub mod answer;
pub mod ask;
mod budget;
mod by_parent;
#[cfg(test)]
mod explorer;
pub mod figures;
pub mod history;
mod lately;
pub mod nack;
mod round_trip;
pub mod settings;
mod turns;
pub mod view;

use std::time::Duration;

use relay_common::layout::StreamKey;

use crate::media::Ssrc;

pub use answer::{Answerer, Asked};
pub use ask::{Ask, Asker, Came, Due, Looked};
pub use by_parent::{ByParent, OfParent};
pub use figures::{Answering, Asking};
pub use history::{Finder, History, Kept, Shelf};
pub use settings::{HISTORY, WITHIN};
pub use turns::Turns;

/// A stream on one hop: the RTP port that it comes in on, and its SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// RTP port of the pair that it comes in on; for a node that sends only, the one that it sends to.
    pub port: u16,
    /// Its name.
    pub ssrc: Ssrc,
}

impl From<StreamKey> for StreamId {
    fn from(key: StreamKey) -> StreamId {
        StreamId { port: key.port, ssrc: Ssrc(key.ssrc) }
    }
}

impl From<StreamId> for StreamKey {
    fn from(stream: StreamId) -> StreamKey {
        StreamKey { port: stream.port, reserved: [0; 2], ssrc: stream.ssrc.0 }
    }
}

/// Nanoseconds of a time that a person has set.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
