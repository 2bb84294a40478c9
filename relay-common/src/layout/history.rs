//! The history: the last packets that went to children, kept to be sent again; and what a stream jumped over. None of these maps
//! is pinned: each load of the programs has its own, as large as its `--history` says.

use super::StreamKey;

/// Bytes of a packet that are kept at most, from the RTP header on: what an Ethernet frame of the usual size holds over IPv4.
pub const KEPT: usize = 1472;
/// Bytes of the ring that gaps are told by: room for 8,192.
pub const GAP_RING: u32 = 256 << 10;

/// Value of `HISTORY`, a ring of as many as `--history` says, a power of two: one packet as it came. It is for RTP only.
///
/// Who writes takes a number from [`HistoryHead::next`], and has the slot of that number to itself until the ring has come round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Kept {
    /// The packet's number plus 1, written last. Anything else: the packet is not there, or not whole.
    pub serial: u64,
    /// When it came, CLOCK_MONOTONIC ns.
    pub came: u64,
    /// Stream that it is of.
    pub key: StreamKey,
    /// RTP sequence number.
    pub sequence: u16,
    /// Bytes of `packet` that it has.
    pub length: u16,
    /// Explicit padding.
    pub reserved: u32,
    /// RTP header and payload.
    pub packet: [u8; KEPT],
}

/// The one value of `HISTORY_HEAD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HistoryHead {
    /// Number of the packet that comes next; its slot is that modulo the size of the ring.
    pub next: u64,
    /// Packets of more than [`KEPT`] bytes, which were forwarded and not kept.
    pub too_long: u64,
    /// Gaps that nobody was told of, since the ring was full.
    pub untold: u64,
}

/// An entry of the `GAPS` ring: what a stream that somebody gets has jumped over. One for each gap, none for each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Gap {
    /// The stream.
    pub key: StreamKey,
    /// Extended sequence number of the first packet that is missing, as [`crate::stream::Stream::highest`] counts.
    pub first: u32,
    /// How many are, one after the other.
    pub count: u16,
    /// Explicit padding.
    pub reserved: u16,
    /// When the packet behind them came, CLOCK_MONOTONIC ns.
    pub now: u64,
}
