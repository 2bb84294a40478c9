//! [`Figures`]: what is known of a viewer's connection, whoever serves it.

use std::time::{Duration, Instant};

/// A reading of what is known of a viewer whose connection is up. All counts are since it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// When it was read: what has the same time is the same reading.
    pub at: Instant,
    /// Packets sent to it, retransmissions included.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that it lost by its own reports, before retransmission.
    pub lost: u64,
    /// What became of lost packets, and of those that could not be sent; a Janus does not say.
    pub repairs: Option<Repairs>,
    /// Round trip by its reports.
    pub rtt: Option<Duration>,
    /// Jitter of video by its reports.
    pub jitter: Option<Duration>,
    /// What its side says it can take: bit/s; a Janus does not say.
    pub estimate: Option<u64>,
}

/// What the native server does about packets, and cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Packets sent again because the viewer asked.
    pub resent: u64,
    /// Packets that it asked for and that were not to be had any more.
    pub unanswered: u64,
    /// Packets that could not be sent to it.
    pub dropped: u64,
}

impl Figures {
    /// Of the native server, now.
    pub fn native(of: seats::Figures, at: Instant) -> Figures {
        let seats::Figures { packets, bytes, resent, unanswered, lost, dropped, rtt, jitter, estimate } = of;
        let repairs = Some(Repairs { resent, unanswered, dropped });
        Figures { at, packets, bytes, lost, repairs, rtt, jitter, estimate }
    }
}
