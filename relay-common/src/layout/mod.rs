//! The maps: names, keys, values and sizes. They are pinned and outlive both sides, so this is a wire format: a change
//! here raises [`VERSION`], which is part of the pin directory's name. Only a map of which the data plane knows nothing
//! may come without that ([`LATER_MAPS`]).
//!
//! How a packet finds its children (each arrow is one array or hash look-up, none of them walks):
//!
//! ```text
//! (address, port)  -LISTENERS->  kind            is it ours, and which of the port pairs; what a CPU has found stays in
//!                                                LISTENER_CACHE until LISTENER_CHANGES says that it may be wrong
//! source address   -SOURCES---->  ONE or TWIN    longest prefix: is media taken from there? asked when a stream begins or moves
//! (port, SSRC)     -ROUTES----->  set            absent: set 0, the set of all children
//! set, IP version  -SETS------->  instance       the one word that a change of children flips
//! instance         -FANOUT----->  devmap         xdp: what the kernel broadcasts through
//! instance         -INSTANCES-->  first, count   tc: the members to walk
//! (instance, NIC)  -GROUPS----->  first, count   devmap program: this NIC's members, in devmap order
//! position         -MEMBERS---->  child slot
//! child slot       -CHILDREN--->  headers of the copy, counter index
//! ```
//!
//! An instance and a child slot are written before any packet can reach them and never changed while one can.

mod broadcast;
mod capture;
mod counters;
mod description;
mod fanout;
mod history;
mod listeners;
mod spread;

pub use broadcast::*;
pub use capture::*;
pub use counters::*;
pub use description::*;
pub use fanout::*;
pub use history::*;
pub use listeners::*;
pub use spread::*;

use crate::reason::Reason;

/// Version of everything in this module.
pub const VERSION: u32 = 5;

/// Most children of one relay.
pub const MAX_CHILDREN: u32 = 256;
/// Child slots: a changed child gets a new slot, so there are more than children. Three generations fit: what a daemon
/// that was killed in the middle of changing all of them left, old and new, and what its successor writes.
pub const CHILD_SLOTS: u32 = 3 * MAX_CHILDREN + 2;
/// Most streams with statistics. The promise is 10,000; the rest is room for strangers.
pub const MAX_STREAMS: u32 = 16_384;
/// Most streams with a fan-out set of their own.
pub const MAX_ROUTES: u32 = 16_384;
/// Most different fan-out sets; set 0 is that of all children.
pub const MAX_SETS: u32 = 1024;
/// Instances: every set has one, a set that changes has two for a moment, and some wait ready-made.
pub const MAX_INSTANCES: u32 = 4096;
/// Members of all instances together.
pub const MAX_MEMBERS: u32 = 1 << 19;
/// Egress interfaces of all instances together.
pub const MAX_GROUPS: u32 = 16_384;
/// Addresses of children.
pub const MAX_PEERS: u32 = 2 * MAX_CHILDREN + 2;
/// Most prefixes that media is taken from.
pub const MAX_SOURCES: u32 = 256;
/// Value of `SOURCES`: media is taken from there.
pub const ONE: u32 = 1;
/// The same, and from others that send the same: two parents. Each packet is taken once, whichever way it comes first.
pub const TWIN: u32 = 2;
/// Addresses times ports that a relay listens on.
pub const MAX_LISTENERS: u32 = 1024;
/// Slots for egress interfaces, with a cursor and counters for each CPU; two egress interfaces whose indexes agree modulo this cannot both be used by xdp.
pub const CURSORS: u32 = 1024;
/// Bytes of the capture ring.
pub const CAPTURE_RING: u32 = 4 << 20;
/// Bytes kept of each captured packet.
pub const CAPTURE_SNAP: usize = 2048;

/// Index of the set of all children.
pub const ALL_CHILDREN: u32 = 0;

/// Names of the maps that are pinned, in the order of the module's drawing.
pub const PINNED_MAPS: &[&str] = &[
    "RELAY",
    "LISTENERS",
    "LISTENER_CHANGES",
    "SOURCES",
    "ROUTES",
    "SETS",
    "SET_CHILDREN",
    "FANOUT",
    "INSTANCES",
    "GROUPS",
    "MEMBERS",
    "CHILDREN",
    "PEERS",
    "STREAMS",
    "EGRESS",
    "CHILD_STATS",
    "CHILD_INFO",
    "DROPS",
    "CURSORS",
    "SERIAL",
    "PENDING",
    "CAPTURE_FILTER",
    "TOTALS",
];

/// Those of [`PINNED_MAPS`] that a directory of the same [`VERSION`] may lack: an older daemon did not make them, no
/// program reads them, and a missing one means the same as one full of zeros. The next daemon makes it; media goes on.
pub const LATER_MAPS: &[&str] = &[];

const _: () = {
    // DROPS has a slot for each.
    assert!(Reason::ALL.len() == 36);
    assert!(size_of::<ListenerKey>() == 20);
    assert!(size_of::<Listener>() == 16);
    assert!(size_of::<StreamKey>() == 8);
    assert!(size_of::<Child>() == 64);
    assert!(size_of::<ChildInfo>() == 328);
    assert!(size_of::<Heard>() == 40);
    assert!(size_of::<CaptureHead>() == 24);
    assert!(size_of::<Relay>() == 352);
    assert!(size_of::<Total>() == 24);
    assert!(size_of::<Spread>() == 8 + 4 * MAX_SPREAD);
    assert!(MAX_SPREAD.is_power_of_two());
    assert!(size_of::<Kept>() == 32 + KEPT);
    assert!(KEPT.is_multiple_of(8));
    assert!(size_of::<HistoryHead>() == 24);
    assert!(size_of::<Gap>() == 24);
    assert!(size_of::<ChildStats>() == 32);
    assert!(size_of::<Broadcasts>() == 16);
    assert!(size_of::<Pending>() == 96);
    assert!(size_of::<crate::stream::Stream>() == 408);
};

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C) structs of integers and byte arrays, every byte named (the size checks above): any bit pattern
    // is a value and there is no padding.
    macro_rules! pod { ($($name:ty),+) => { $(
        // SAFETY: as said above the macro.
        unsafe impl aya::Pod for $name {}
    )+ } }
    pod!(
        super::ListenerKey,
        super::Listener,
        super::StreamKey,
        super::SetWord,
        super::Span,
        super::GroupKey,
        super::Child,
        super::ChildStats,
        super::ChildInfo,
        super::Cursor,
        super::Broadcasts,
        super::Pending,
        super::Egress,
        super::CaptureFilter,
        super::Relay,
        super::Total,
        super::Spread,
        super::HistoryHead,
        super::Gap,
        crate::stream::Stream
    );
}
