//! Whether a packet is ours, and which of the port pairs and streams it is for.

/// Key of `LISTENERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(4))]
pub struct ListenerKey {
    /// Local address; IPv4 mapped.
    pub address: [u8; 16],
    /// Local port, host order; 0 is the entry that only says "this address is ours".
    pub port: u16,
    /// Explicit padding.
    pub reserved: [u8; 2],
}

/// Value of `LISTENERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Listener {
    /// The interface's MAC; xdp takes only frames for it.
    pub mac: [u8; 6],
    /// RTP port of the pair, host order: the one that names the stream, for RTP and RTCP.
    pub port: u16,
    /// [`AUDIO`] or [`VIDEO`].
    pub kind: u8,
    /// 1 when this is the RTCP port of the pair.
    pub rtcp: u8,
    /// 1 while some stream of the pair has a fan-out set of its own; 0 spares every packet the look-up in `ROUTES`.
    pub routed: u8,
    /// Explicit padding.
    pub reserved: [u8; 5],
}

/// Value of `LISTENER_CACHE`, per CPU, which is not pinned: an entry of `LISTENERS` that some packet has just met. A look
/// into a hash costs more than all the rest of finding out whose packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Heard {
    /// Where the packet went to.
    pub key: ListenerKey,
    /// What `LISTENER_CHANGES` was before the look-up: the entry holds as long as it is the same.
    pub changes: u32,
    /// What was found.
    pub listener: Listener,
}

/// Slots of `LISTENER_CACHE`, by port: room for both RTP ports, and RTCP's.
pub const HEARD: u32 = 8;

/// Kind of a port pair: audio, timestamps at 48 kHz (Opus, RFC 7587 section 4.1).
pub const AUDIO: u8 = 0;
/// Kind of a port pair: video, timestamps at 90 kHz.
pub const VIDEO: u8 = 1;

/// RTP clock of a kind, in Hz.
pub const fn clock_rate(kind: u8) -> u32 {
    if kind == AUDIO { 48_000 } else { 90_000 }
}

/// Key of `STREAMS` and `ROUTES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct StreamKey {
    /// RTP port that the stream comes in on, host order.
    pub port: u16,
    /// Explicit padding.
    pub reserved: [u8; 2],
    /// SSRC, host order.
    pub ssrc: u32,
}
