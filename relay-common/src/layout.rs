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

use crate::packet::{set_word, set_word32, set_word64, word, word32, word64};
use crate::parse::ETHERNET;
use crate::reason::Reason;

/// Version of everything in this module.
pub const VERSION: u32 = 4;

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

/// What a change of a set's children flips, the value of `SETS`: one word, so that a packet sees all of it or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct SetWord(u64);

impl SetWord {
    /// `instance`: of the members of this IP version, 0 when there are none. `mtu`: the smallest of the ways to them, IP
    /// bytes. `others`: how many members have the other IP version.
    #[inline(always)]
    pub const fn new(instance: u32, mtu: u16, others: u16) -> SetWord {
        SetWord(instance as u64 | (mtu as u64) << 32 | (others as u64) << 48)
    }

    /// The instance of the members of this IP version; 0: there are none.
    #[inline(always)]
    pub const fn instance(self) -> u32 {
        self.0 as u32
    }

    /// The largest IP packet that fits the ways to all of them.
    #[inline(always)]
    pub const fn mtu(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Members of the other IP version.
    #[inline(always)]
    pub const fn others(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// Index in `SETS`. A set is two, one for each IP version: no program can make a packet of one into one of the other, and
/// what is not to be sent must not be in a devmap (the kernel rings the driver's bell only for the last copies of a poll).
#[inline(always)]
pub const fn half(set: u32, v6: bool) -> u32 {
    2 * set + v6 as u32
}

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

/// Value of `INSTANCES` and `GROUPS`: a run of positions in `MEMBERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// First position.
    pub first: u32,
    /// Number of members.
    pub count: u32,
    /// The interface that all of them are behind; 0: several.
    pub ifindex: u32,
}

/// Value of `SET_CHILDREN`: which children a set is meant to have, resolved or not, one bit for each counter index.
/// For the next daemon; the data plane does not read it.
pub type SetChildren = [u64; (MAX_CHILDREN / 64) as usize];

/// Key of `GROUPS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct GroupKey {
    /// Instance.
    pub instance: u32,
    /// Egress interface.
    pub ifindex: u32,
}

/// Value of `CHILDREN`: what makes a copy a packet for one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Child {
    /// Next hop's MAC.
    pub destination_mac: [u8; 6],
    /// Egress interface's MAC.
    pub source_mac: [u8; 6],
    /// EtherType on the wire: 08 00 or 86 dd.
    pub ethertype: [u8; 2],
    /// Largest IP packet that fits the way to the child.
    pub mtu: u16,
    /// The relay's address towards the child; IPv4 mapped.
    pub source: [u8; 16],
    /// The child's address; IPv4 mapped.
    pub destination: [u8; 16],
    /// The child's RTP ports, by kind, host order. RTCP goes to the port after.
    pub ports: [u16; 2],
    /// Ones' complement sum of both addresses, folded to 16 bits, ready for the checksums.
    pub address_sum: u32,
    /// Egress interface.
    pub ifindex: u32,
    /// Index in `CHILD_STATS` and `CHILD_INFO`.
    pub counter: u32,
}

impl Child {
    /// The Ethernet header of a copy.
    #[inline(always)]
    pub fn ethernet(&self) -> &[u8; ETHERNET] {
        // SAFETY: repr(C) puts the first three fields, which are byte arrays of that length together, one after the other.
        unsafe { &*(&raw const *self).cast::<[u8; ETHERNET]>() }
    }
}

/// Value of `CHILD_STATS`, per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ChildStats {
    /// Copies handed to the egress interface.
    pub packets: u64,
    /// RTP and RTCP bytes in them.
    pub bytes: u64,
    /// Copies that could not be made or sent.
    pub errors: u64,
    /// Those of them that were larger than [`Child::mtu`].
    pub too_big: u64,
}

/// Value of `CHILD_INFO`: who a child is, for people and for the next daemon. The data plane does not read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ChildInfo {
    /// Name, UTF-8, padded with zeros; empty: no such child.
    pub name: [u8; NAME],
    /// Host as it was given, UTF-8, padded with zeros.
    pub host: [u8; HOST],
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
    /// Child slot in force + 1; 0 while the child is not resolved.
    pub slot: u32,
}

/// Bytes of a child's name.
pub const NAME: usize = 64;
/// Bytes of a host name (RFC 1035 section 2.3.4 allows 255).
pub const HOST: usize = 256;

/// Value of `EGRESS`, by interface index modulo [`CURSORS`], per CPU: what became of the copies that xdp handed to a driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Egress {
    /// Frames the driver took.
    pub sent: u64,
    /// Frames it refused: ring full, link down, or no way to transmit XDP frames at all.
    pub refused: u64,
}

/// Value of `CURSORS`, per CPU: where the devmap program is in the copies of one packet on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Cursor {
    /// [`Token::packet`] of the last copy seen.
    pub packet: u64,
    /// Position of the next copy's member.
    pub next: u32,
    /// Position after this interface's last member.
    pub end: u32,
}

/// Value of `SERIAL`, per CPU: what this CPU gave to the kernel to be broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Broadcasts {
    /// Packets, modulo 2^32: the high half of [`Token::packet`].
    pub packets: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// Copies wanted of them, but for [`TOKEN_LARGE`] ones. What is missing beside [`Pending::made`] the kernel did not make: it leaves an
    /// interface out that is down or cannot transmit XDP frames, and no program or tracepoint hears of it.
    pub wanted: u64,
}

/// Copies that the kernel collects for one interface before it hands them to the driver (`DEV_MAP_BULK_SIZE`).
pub const BULK: usize = 16;

/// In [`Pending::children`]: a frame that is for nobody.
pub const NOBODY: u32 = u32::MAX;

/// Value of `PENDING`, per CPU: the copies on their way to the driver in this very bulk. The kernel runs the devmap
/// program over a bulk, hands it over and reports the outcome without anything in between on that CPU, so the report
/// can be told from another namespace's and each refused copy has a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Pending {
    /// Interface that the bulk is for.
    pub ifindex: u32,
    /// Copies in it.
    pub count: u32,
    /// Their children's counter indexes, in order.
    pub children: [u32; BULK],
    /// This interface's cursor, taken out of `CURSORS` while it is in use: copies come in runs for one interface.
    pub cursor: Cursor,
    /// Copies that the kernel made, for whatever interface: see [`Broadcasts::wanted`].
    pub made: u64,
}

/// What a packet that is being broadcast has instead of an Ethernet header, which each copy gets its own of anyway. In
/// front of the packet, as XDP metadata, it would cost a call of the kernel and a cache line of each copy, and not every
/// driver has room there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which packet on this CPU in the high half, which instance of which fan-out set in the low one.
    pub packet: u64,
    /// Kind in the low byte, then [`TOKEN_RTCP`] and so on, the packet's source port in the high half.
    pub flags: u32,
}

impl Token {
    /// The token in these bytes; `None` when the relay did not write it.
    #[inline(always)]
    pub fn read(bytes: &[u8; ETHERNET]) -> Option<Token> {
        if word(bytes, 12) != TOKEN_ETHERTYPE {
            return None;
        }
        Some(Token { packet: word64::<0>(bytes), flags: word32::<8>(bytes) })
    }

    /// Makes an Ethernet header this token.
    #[inline(always)]
    pub fn write(&self, bytes: &mut [u8; ETHERNET]) {
        set_word64::<0>(bytes, self.packet);
        set_word32::<8>(bytes, self.flags);
        set_word(bytes, 12, TOKEN_ETHERTYPE);
    }

    /// The instance that the packet goes to.
    #[inline(always)]
    pub const fn instance(&self) -> u32 {
        self.packet as u32
    }
}

/// Says that the relay wrote it, where others have 08 00 or 86 dd: "local experimental EtherType 1" (IEEE 802), which no
/// network carries.
pub const TOKEN_ETHERTYPE: u16 = u16::from_ne_bytes([0x88, 0xb5]);
/// Flag of a token: RTCP, to the port after.
pub const TOKEN_RTCP: u32 = 0x100;
/// Flag of a token: IPv6.
pub const TOKEN_V6: u32 = 0x200;
/// Flag of a token: the copies are wanted by `relay-ctl capture`.
pub const TOKEN_CAPTURE: u32 = 0x400;
/// Flag of a token: the sender has a child's address, and that child gets no copy of its own packets.
pub const TOKEN_FROM_CHILD: u32 = 0x800;

/// Flag of a token: the packet is larger than the MTU of some of the ways out.
pub const TOKEN_LARGE: u32 = 0x1000;

/// Where the source port starts in [`Token::flags`].
pub const TOKEN_PORT_SHIFT: u32 = 16;

/// Value of `CAPTURE_FILTER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CaptureFilter {
    /// Capture until then, CLOCK_MONOTONIC ns; a capturing process that dies stops costing anything by itself.
    pub until: u64,
    /// SSRC wanted, when `any_ssrc` is 0.
    pub ssrc: u32,
    /// RTP port wanted; 0: any.
    pub port: u32,
    /// 1: any SSRC.
    pub any_ssrc: u32,
    /// Explicit padding.
    pub reserved: u32,
}

/// Head of an entry of the `CAPTURE` ring; the packet's bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CaptureHead {
    /// CLOCK_MONOTONIC ns.
    pub time: u64,
    /// Interface it came in on or goes out of.
    pub ifindex: u32,
    /// Length of the packet on the wire.
    pub length: u32,
    /// Bytes kept.
    pub kept: u32,
    /// 1: a copy going out.
    pub outgoing: u32,
}

/// Most CPUs that streams are spread over.
pub const MAX_SPREAD: usize = 64;

/// Value of `SPREAD`, which is not pinned: each load of the programs has its own, and its own `CPUS`, so that exchanging the
/// program exchanges all three at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Spread {
    /// The kernel's number of the `CPUS` map that belongs to this.
    pub map: u32,
    /// How many CPUs.
    pub count: u32,
    /// Their numbers, which are the keys of `CPUS`.
    pub cpus: [u32; MAX_SPREAD],
}

impl Spread {
    /// Over these CPUs, the first [`MAX_SPREAD`] of them.
    pub fn over(cpus: &[u32], map: u32) -> Spread {
        let mut spread = Spread { map, count: 0, cpus: [0; MAX_SPREAD] };
        for (place, cpu) in spread.cpus.iter_mut().zip(cpus) {
            *place = *cpu;
            spread.count += 1;
        }
        spread
    }

    /// The CPU that copies a stream: always the same one, so that its packets stay in order and its statistics have one
    /// writer.
    #[inline(always)]
    pub fn cpu(&self, key: &StreamKey) -> u32 {
        // Multiplied by 2^64 / golden ratio: the high bits then depend on all of the key, and streams numbered one after the
        // other fall far apart. The second product is in 0..count, without the bias of a modulus.
        let mixed = ((key.port as u64) << 32 | key.ssrc as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = ((mixed >> 32) * self.count as u64) >> 32;
        self.cpus[place as usize & (MAX_SPREAD - 1)]
    }
}

/// Value of `RELAY`: what the data plane is, for `status` and for the next daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Relay {
    /// [`VERSION`].
    pub version: u32,
    /// [`MODE_XDP`] or [`MODE_TC`].
    pub mode: u32,
    /// Interface attached to.
    pub ifindex: u32,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
    /// Changes of fan-out sets so far.
    pub generation: u64,
    /// When the data plane was attached, ms since the epoch.
    pub attached: u64,
    /// Node's name, UTF-8, padded with zeros.
    pub node: [u8; NAME],
    /// Why this mode, UTF-8, padded with zeros.
    pub mode_reason: [u8; HOST],
}

/// [`Relay::mode`]: XDP ingress and devmap program.
pub const MODE_XDP: u32 = 1;
/// [`Relay::mode`]: tcx ingress.
pub const MODE_TC: u32 = 2;

/// Value of `TOTALS`, by kind: what streams had counted that are not in `STREAMS` any more. Written by the daemon alone,
/// so that sums over streams never go down; the data plane does not read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Total {
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes, headers included.
    pub bytes: u64,
    /// RTCP packets.
    pub rtcp_packets: u64,
}

impl core::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Total) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.rtcp_packets += other.rtcp_packets;
    }
}

impl From<&crate::stream::Stream> for Total {
    fn from(stream: &crate::stream::Stream) -> Total {
        Total { packets: stream.packets, bytes: stream.bytes, rtcp_packets: stream.rtcp_packets }
    }
}

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
    assert!(Reason::ALL.len() == 35);
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
        crate::stream::Stream
    );
}
