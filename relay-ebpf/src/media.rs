//! What is known of the packet in hand.
//!
//! It is kept in a map, and found out in functions of their own: the verifier knows nothing of what is in a map, so that many ways of
//! getting there become one, and walks each function once instead of once for each way. (It also spares the 512 bytes of stack.)

use relay_common::layout::{SetWord, StreamKey, clock_rate};
use relay_common::parse::{Datagram, Payload};
use relay_common::reason::Reason;
use relay_common::stream::{Arrival, FROM_CHILD, Missing, Stream, units_per_ns};

use crate::gaps;

/// What is known of the packet that this CPU has in hand.
#[repr(C)]
pub struct Media {
    /// Where it is in the frame, and its addresses.
    pub datagram: Datagram,
    /// When it came, CLOCK_MONOTONIC ns.
    pub now: u64,
    /// Who of the set gets it.
    pub word: SetWord,
    /// RTP port of the pair, and SSRC.
    pub key: StreamKey,
    /// The stream's fan-out set.
    pub set: u32,
    /// What `LISTENER_CHANGES` was.
    pub changes: u32,
    /// Of RTP: its timestamp and sequence number.
    timestamp: u32,
    /// The first of the packets that this one jumped over.
    pub first_missing: u32,
    /// Scratch of [`crate::offload`].
    pub sum: u32,
    sequence: u16,
    /// RTP or RTCP bytes of it: of several packets in one buffer, of the first.
    pub bytes: u16,
    /// How many packets it jumped over.
    pub missing: u16,
    /// Audio or video.
    pub kind: u8,
    /// It came to the RTCP port of the pair: 1.
    pub rtcp_port: u8,
    /// Some stream of the pair has a fan-out set of its own: 1.
    pub routed: u8,
    /// [`RTP`], [`RTCP`] or [`FEEDBACK`].
    payload: u8,
    /// Of its source, see `relay_common::stream`.
    pub flags: u8,
    /// Somebody captures this stream: 1.
    pub captured: u8,
    /// Its source is one of two parents: 1.
    pub twin: u8,
    /// What the stream's source is to its own, see `books`.
    pub standing: u8,
    /// Of several packets in one buffer some had not come before: 1.
    pub fresh: u8,
    /// Explicit padding.
    reserved: u8,
    /// How many of them had.
    pub repeated: u32,
}

/// What the header of an RTP packet says, as far as the history asks.
#[derive(Clone, Copy)]
pub struct Head {
    /// Synchronization source.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
}

const RTP: u8 = 0;
const RTCP: u8 = 1;
const FEEDBACK: u8 = 2;

impl Media {
    /// It is RTCP, and so for the children's RTCP ports: it came to that of its pair.
    #[inline(always)]
    pub fn is_for_rtcp_ports(&self) -> bool {
        self.payload != RTP && self.rtcp_port != 0
    }

    /// It is RTP.
    #[inline(always)]
    pub fn is_rtp(&self) -> bool {
        self.payload == RTP
    }

    /// It is RTCP feedback, which is never forwarded.
    #[inline(always)]
    pub fn is_feedback(&self) -> bool {
        self.payload == FEEDBACK
    }

    /// The sender has a child's address.
    #[inline(always)]
    pub fn is_from_child(&self) -> bool {
        self.flags & FROM_CHILD != 0
    }

    /// Somebody captures this stream.
    #[inline(always)]
    pub fn is_captured(&self) -> bool {
        self.captured != 0
    }

    /// Of several packets in one buffer, none is new.
    #[inline(always)]
    pub fn is_stale(&self) -> bool {
        self.fresh == 0
    }

    /// What the packet's RTP header says; it is RTP.
    #[inline(always)]
    pub fn head(&self) -> Head {
        Head { ssrc: self.key.ssrc, sequence: self.sequence }
    }

    /// Notes what the packet jumped over, if `before` was the highest number until it came.
    #[inline(always)]
    pub fn note_missing(&mut self, stream: &Stream, before: u32) {
        if gaps::are_told()
            && let Some(Missing { first, count }) = stream.missing_since(before)
        {
            self.first_missing = first;
            self.missing = count;
        }
    }

    /// How the stream's statistics see it.
    #[inline(always)]
    pub fn arrival(&self) -> Arrival {
        let rate = if self.kind == 0 { units_per_ns(clock_rate(0)) } else { units_per_ns(clock_rate(1)) };
        let (sequence, timestamp) = (self.sequence, self.timestamp);
        Arrival { sequence, timestamp, bytes: self.bytes, now: self.now, rate }
    }

    /// Takes what the packet is.
    #[inline(always)]
    pub fn take(&mut self, payload: Payload) {
        match payload {
            Payload::Rtp { ssrc, sequence, timestamp } => {
                self.key.ssrc = ssrc;
                self.sequence = sequence;
                self.timestamp = timestamp;
                self.payload = RTP;
            }
            Payload::Rtcp { ssrc, feedback } => {
                self.key.ssrc = ssrc;
                self.payload = if feedback { FEEDBACK } else { RTCP };
            }
        }
    }
}

/// What functions of their own give: [`FINE`] or a [`Reason`], for the kernel allows them one number.
pub type Outcome = u32;
/// Nothing speaks against the packet.
pub const FINE: Outcome = u32::MAX;

#[inline(always)]
pub fn outcome(result: Result<(), Reason>) -> Outcome {
    match result {
        Ok(()) => FINE,
        Err(reason) => reason as u32,
    }
}

#[inline(always)]
pub fn result(outcome: Outcome) -> Result<(), Reason> {
    if outcome == FINE { Ok(()) } else { Err(Reason::of(outcome)) }
}
