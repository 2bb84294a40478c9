//! What is known of one RTP stream.
//!
//! | file | says |
//! |---|---|
//! | `statistics.rs` | what is missing, late, a duplicate and how evenly it comes: RFC 3550 appendix A.1 and A.8 |
//! | `window.rs` | which of the last packets have come, so that a late one is no duplicate |
//! | `source.rs` | whose stream it is: a packet from elsewhere is of a sender that has moved, of a loop or a second one (section 8.2) |
//! | `two_ways.rs` | of a stream that two parents send, each packet is taken once |
//!
//! One stream comes in on one 4-tuple, so one receive queue, so one CPU at a time, and where streams are spread over CPUs
//! each has one: its entry has one writer and needs neither a lock nor a copy per CPU. Between two parents there may be two
//! writers: see `two_ways.rs`.

mod source;
mod statistics;
mod two_ways;
mod window;

pub use source::{Elsewhere, FROM_CHILD, Standing};
pub use window::{REACH, Window};

/// [`Stream::suspect`] when none is.
const NO_SUSPECT: u32 = 0x1_0000;

/// Statistics of one stream, the value of the `STREAMS` map. What each packet touches comes first, 64 bytes, and one word of
/// the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    /// RTP packets that were taken, each once.
    pub packets: u64,
    /// RTP bytes of these, header included.
    pub bytes: u64,
    /// Last packet that went on, CLOCK_MONOTONIC ns: of two ways also one that was late.
    pub last_seen: u64,
    /// Highest extended sequence number: cycles, then the 16 bits of the packet.
    pub highest: u32,
    /// Where a restarted sequence would go on; above 16 bits when none is suspected.
    pub suspect: u32,
    /// RTP timestamp of the last packet that went on.
    pub timestamp: u32,
    /// Interarrival jitter in sixteenths of a timestamp unit.
    pub jitter: u32,
    /// Address that the stream comes from; IPv4 mapped.
    pub source: [u8; 16],
    /// Port that it comes from.
    pub source_port: u16,
    /// [`FROM_CHILD`], or 0.
    pub flags: u8,
    /// 1: it comes by two ways, or may, or did some seconds ago, and what has come is not taken again.
    pub once: u8,
    /// What `LISTENER_CHANGES` was when the source was last found to be one that media is taken from.
    pub changes: u32,
    /// RTCP packets of the same SSRC on the same port pair.
    pub rtcp_packets: u64,
    /// First packet, CLOCK_MONOTONIC ns.
    pub first_seen: u64,
    /// Packets expected before the last restart of the sequence.
    pub expected_before: u64,
    /// Late packets: a higher sequence number had been seen.
    pub reordered: u64,
    /// Packets of the stream's source that had come before, or were too late to tell, and were not taken.
    pub duplicates: u64,
    /// Another source of the same SSRC: the one before, the other of two ways, or a rival.
    pub other: [u8; 16],
    /// When that was last one, CLOCK_MONOTONIC ns; while there is `once`, when the other of two ways was.
    pub other_seen: u64,
    /// Packets of rivals, none of which belongs to the stream.
    pub collisions: u64,
    /// First extended sequence number since the last restart.
    pub base: u32,
    /// How often the sequence restarted.
    pub restarts: u32,
    /// How often the source changed.
    pub moves: u32,
    /// Port of `other`; 0: there is none.
    pub other_port: u16,
    /// 1: `other` is a rival, and `source` was here first.
    pub rival: u8,
    /// Packets of `other` in a row, since the last of the source: of a rival, or of those that came first by the other way.
    pub run: u8,
    /// Which of the last sequence numbers have come.
    pub window: Window,
}

/// One RTP packet as the statistics see it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP bytes.
    pub bytes: u16,
    /// CLOCK_MONOTONIC ns.
    pub now: u64,
    /// Timestamp units a nanosecond, as [`units_per_ns`] gives it.
    pub rate: u64,
}

/// Packets that a stream jumped over: a gap. They may be on their way yet, or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Extended sequence number of the first.
    pub first: u32,
    /// How many, one after the other; at least 1.
    pub count: u16,
}

/// Timestamp units a nanosecond as a 32.32 fixed-point number.
pub const fn units_per_ns(clock_rate: u32) -> u64 {
    ((clock_rate as u64) << 32) / 1_000_000_000
}

impl Stream {
    /// A stream at its first packet.
    #[inline(always)]
    pub fn begin(first: Arrival, source: [u8; 16], source_port: u16) -> Stream {
        let mut stream = Stream::before(first, source, source_port);
        stream.window.note(stream.highest);
        stream
    }

    /// The same in place: a kernel program's stack has no room for one.
    #[inline(always)]
    pub fn begin_at(place: &mut Stream, first: Arrival, source: [u8; 16], source_port: u16) {
        *place = Stream::before(first, source, source_port);
        place.window.note(place.highest);
    }

    /// That the first packet has come is still to be noted.
    #[inline(always)]
    fn before(first: Arrival, source: [u8; 16], source_port: u16) -> Stream {
        Stream {
            packets: 1,
            bytes: first.bytes as u64,
            last_seen: first.now,
            highest: first.sequence as u32,
            suspect: NO_SUSPECT,
            timestamp: first.timestamp,
            jitter: 0,
            source,
            source_port,
            flags: 0,
            once: 0,
            changes: 0,
            rtcp_packets: 0,
            first_seen: first.now,
            expected_before: 0,
            reordered: 0,
            duplicates: 0,
            other: [0; 16],
            other_seen: 0,
            collisions: 0,
            base: first.sequence as u32,
            restarts: 0,
            moves: 0,
            other_port: 0,
            rival: 0,
            run: 0,
            window: Window::EMPTY,
        }
    }

    /// A stream of which only RTCP has come so far.
    #[inline(always)]
    pub fn begin_with_rtcp(now: u64, source: [u8; 16], source_port: u16) -> Stream {
        let nothing = Arrival { sequence: 0, timestamp: 0, bytes: 0, now, rate: 0 };
        Stream { packets: 0, rtcp_packets: 1, ..Stream::before(nothing, source, source_port) }
    }
}
