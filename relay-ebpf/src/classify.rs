//! Whose packet is this? The policy of the relay, the same for XDP and tc. Nothing here writes to the packet.
//!
//! What is found out about a packet is kept in a map, [`Media`], and found out in functions of their own: the verifier knows
//! nothing of what is in a map, so that many ways of getting there become one, and walks each function once instead of once
//! for each way. (It also spares the 512 bytes of stack.)

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use relay_common::layout::{
    ALL_CHILDREN, HEARD, Heard, Listener, ListenerKey, SetWord, StreamKey, TWIN, clock_rate, half,
};
use relay_common::packet::{Packet, same_mac, word64};
use relay_common::parse::{self, Datagram, Family, Payload};
use relay_common::reason::Reason;
use relay_common::stream::{Arrival, Elsewhere, FROM_CHILD, Missing, Standing, Stream, units_per_ns};

use crate::maps::{
    LISTENER_CACHE, LISTENER_CHANGES, LISTENERS, MEDIA, NEW_STREAM, PEERS, ROUTES, SETS, SOURCES, STREAMS,
};
use crate::{capture, count, gaps};

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
    changes: u32,
    /// Of RTP: its timestamp and sequence number.
    timestamp: u32,
    /// The first of the packets that this one jumped over.
    pub first_missing: u32,
    /// Scratch of [`crate::offload`].
    pub sum: u32,
    sequence: u16,
    /// RTP or RTCP bytes of it: of several packets in one buffer, of the first.
    bytes: u16,
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
    flags: u8,
    /// Somebody captures this stream: 1.
    captured: u8,
    /// Its source is one of two parents: 1.
    twin: u8,
    /// What the stream's source is to its own: [`OWN`] and so on.
    standing: u8,
    /// Of several packets in one buffer some had not come before: 1.
    fresh: u8,
    /// Explicit padding.
    reserved: u8,
    /// How many of them had.
    repeated: u32,
}

/// [`Media::standing`], see `relay_common::stream::Standing`. In the map, so that the verifier walks what follows once.
const OWN: u8 = 0;
const APART: u8 = 1;
const TWINS: u8 = 2;
const GONE: u8 = 3;
const ONE_OF_TWO: u8 = 4;

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

    /// How many of several packets in one buffer had come before.
    #[inline(always)]
    pub fn repeated(&self) -> u32 {
        self.repeated
    }

    /// Notes what the packet jumped over, if `before` was the highest number until it came.
    #[inline(always)]
    fn note_missing(&mut self, stream: &Stream, before: u32) {
        if gaps::are_told()
            && let Some(Missing { first, count }) = stream.missing_since(before)
        {
            self.first_missing = first;
            self.missing = count;
        }
    }

    /// How the stream's statistics see it.
    #[inline(always)]
    fn arrival(&self) -> Arrival {
        let rate = if self.kind == 0 { units_per_ns(clock_rate(0)) } else { units_per_ns(clock_rate(1)) };
        let (sequence, timestamp) = (self.sequence, self.timestamp);
        Arrival { sequence, timestamp, bytes: self.bytes, now: self.now, rate }
    }

    /// Takes what the packet is.
    #[inline(always)]
    fn take(&mut self, payload: Payload) {
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

/// Who has already seen to it that the frame is for this station.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// Nobody: compare the destination MAC (XDP).
    Unchecked,
    /// The stack: the packet is `PACKET_HOST`, and the only VLAN tag that it may have is out of it (tc).
    Checked,
}

/// What functions of their own give: [`FINE`] or a [`Reason`], for the kernel allows them one number.
type Outcome = u32;
const FINE: Outcome = u32::MAX;
/// The same, and the stream comes from there now.
const MOVED: Outcome = u32::MAX - 1;

#[inline(always)]
fn outcome(result: Result<(), Reason>) -> Outcome {
    match result {
        Ok(()) => FINE,
        Err(reason) => reason as u32,
    }
}

#[inline(always)]
fn result(outcome: Outcome) -> Result<(), Reason> {
    if outcome == FINE { Ok(()) } else { Err(Reason::of(outcome)) }
}

/// Decides whether the packet is media for this relay, keeps the books of its stream, and finds its fan-out set. Of a
/// datagram that is several packets, only the first `segment` bytes are one. Whether anybody gets it is left to the caller, and
/// whether a datagram that is several has anything new ([`Media::is_stale`]).
#[inline(always)]
pub fn classify(packet: Packet<'_>, station: Station, segment: u16) -> Result<&'static mut Media, Reason> {
    let media = look(packet, station, segment)?;
    // SAFETY: the helper takes no arguments and only reads the clock.
    media.now = unsafe { bpf_ktime_get_ns() };
    media.fresh = 0;
    media.repeated = 0;
    media.missing = 0;
    let is_several = media.datagram.payload_length() > segment;
    keep_books_of_one(media, is_several)?;
    media.set = set(media.routed != 0, &media.key);
    media.word = SETS.get(half(media.set, media.datagram.family == Family::V6)).copied().unwrap_or_default();
    gaps::tell(media);
    media.captured = capture::wanted(&media.key, media.now) as u8;
    Ok(media)
}

/// What can be said of a packet by looking at it: which stream of which listener it is for.
#[inline(always)]
pub fn look(packet: Packet<'_>, station: Station, segment: u16) -> Result<&'static mut Media, Reason> {
    let media = MEDIA.get_ptr_mut(0).ok_or(Reason::NotWritable)?;
    // SAFETY: this CPU's own, and programs of this kind do not interrupt one another there.
    let media = unsafe { &mut *media };
    result(find_datagram(packet.start(), packet.end(), packet.len(), media))?;
    if media.datagram.tagged && station == Station::Checked {
        return Err(Reason::StackedVlan);
    }
    let listener = listener(media)?;
    if station == Station::Unchecked {
        let to = packet.bytes::<6>(0).ok_or(Reason::Runt)?;
        if !same_mac(to, &listener.mac) {
            return Err(Reason::NotLocal);
        }
    }
    media.key.port = listener.port;
    media.kind = listener.kind;
    media.rtcp_port = listener.rtcp;
    media.routed = listener.routed;
    media.bytes = media.datagram.payload_length().min(segment);
    result(find_payload(packet.start(), packet.end(), packet.len(), media))?;
    Ok(media)
}

#[inline(never)]
fn find_datagram(start: usize, end: usize, length: usize, media: &mut Media) -> Outcome {
    // SAFETY: the span is the packet's, from the caller.
    let packet = unsafe { Packet::from_span(start, end) }.of_length(length);
    outcome(parse::datagram(packet).map(|datagram| media.datagram = datagram))
}

#[inline(never)]
fn find_payload(start: usize, end: usize, length: usize, media: &mut Media) -> Outcome {
    // SAFETY: as above.
    let packet = unsafe { Packet::from_span(start, end) }.of_length(length);
    let found = parse::payload(packet, &media.datagram, media.rtcp_port != 0).and_then(|payload| {
        if media.datagram.family == Family::V6 && media.datagram.checksum == [0, 0] {
            return Err(Reason::NoChecksum6);
        }
        if media.datagram.ttl <= 1 {
            return Err(Reason::TtlExpired);
        }
        media.take(payload);
        Ok(())
    });
    outcome(found)
}

/// Nobody gets the packet: why not.
#[inline(always)]
pub fn nobody(word: SetWord, packets: u32) -> Reason {
    match word.others() {
        0 => Reason::NoChildren,
        others => {
            // Once for each of those; the last is counted like any packet's reason.
            count::drops(Reason::OtherFamily, (others as u64 - 1) * packets as u64);
            Reason::OtherFamily
        }
    }
}

/// Another packet of the same datagram, which is several: what it is, and its RTP or RTCP bytes.
#[inline(always)]
pub fn take_next(media: &mut Media, payload: Payload, bytes: u16) -> Result<(), Reason> {
    media.take(payload);
    media.bytes = bytes;
    media.missing = 0;
    keep_books_of_one(media, true)?;
    gaps::tell(media);
    Ok(())
}

/// [`keep_books`] of a packet that may be together with others in one buffer (`is_several`): that it has come already is no reason
/// yet not to forward these.
#[inline(always)]
fn keep_books_of_one(media: &mut Media, is_several: bool) -> Result<(), Reason> {
    match keep_books(media) {
        Err(Reason::Duplicate) if is_several => {
            media.repeated += 1;
            Ok(())
        }
        Ok(()) => {
            media.fresh = 1;
            Ok(())
        }
        refused => refused,
    }
}

/// Takes the packet into its stream's statistics, if it may belong there.
#[inline(always)]
pub fn keep_books(media: &mut Media) -> Result<(), Reason> {
    if media.payload != RTP {
        return result(keep_rtcp(media));
    }
    if let Some(stream) = STREAMS.get_ptr_mut(&media.key) {
        // SAFETY: the entry has one writer, or two that know of each other, see `relay_common::stream`.
        let stream = unsafe { &mut *stream };
        if stream.changes == media.changes
            && stream.once == 0
            && stream.is_from(&media.datagram.source, media.datagram.source_port)
        {
            media.flags = stream.flags;
            return result(update(stream, media));
        }
    }
    result(admit(media))
}

#[inline(never)]
fn update(stream: &mut Stream, media: &mut Media) -> Outcome {
    if !count::wanted() {
        return FINE;
    }
    let before = stream.highest;
    if !stream.update(media.arrival()) {
        return Reason::Duplicate as u32;
    }
    media.note_missing(stream, before);
    FINE
}

/// Of a stream that comes by two ways.
#[inline(never)]
fn take_once(stream: &mut Stream, media: &mut Media) -> Outcome {
    let standing = match media.standing {
        OWN => Standing::Own,
        GONE => Standing::Gone,
        ONE_OF_TWO => Standing::OneOfTwo,
        _ => Standing::Twin,
    };
    let before = stream.highest;
    let Datagram { source, source_port, .. } = &media.datagram;
    let became = became(stream.take_once(source, *source_port, media.arrival(), standing));
    media.note_missing(stream, before);
    became
}

#[inline(never)]
fn elsewhere(stream: &mut Stream, media: &mut Media) -> Outcome {
    let before = stream.highest;
    let Datagram { source, source_port, .. } = &media.datagram;
    let became = became(stream.elsewhere(source, *source_port, media.arrival()));
    media.note_missing(stream, before);
    became
}

/// [`MOVED`], [`FINE`], or a [`Reason`].
#[inline(always)]
fn became(became: Elsewhere) -> Outcome {
    match became {
        Elsewhere::Moved => MOVED,
        Elsewhere::Taken => FINE,
        Elsewhere::Repeated => Reason::Duplicate as u32,
        Elsewhere::Collision => Reason::SsrcCollision as u32,
    }
}

/// A packet that begins a stream, or that comes from elsewhere, or the first after a change of what may come from where.
#[inline(never)]
fn admit(media: &mut Media) -> Outcome {
    outcome(source(media).and_then(|()| admitted(media)))
}

#[inline(always)]
fn admitted(media: &mut Media) -> Result<(), Reason> {
    let datagram = media.datagram;
    let Some(stream) = STREAMS.get_ptr_mut(&media.key).or_else(|| begin(media)) else { return Ok(()) };
    // SAFETY: the entry has one writer, or two that know of each other, see `relay_common::stream`.
    let stream = unsafe { &mut *stream };
    let is_own = stream.is_from(&datagram.source, datagram.source_port);
    media.standing = match (is_own, media.twin != 0) {
        (true, false) => OWN,
        (true, true) => ONE_OF_TWO,
        (false, twin) => standing(stream, twin),
    };
    if is_own && media.twin != 0 {
        stream.expect_another_way(media.now);
    }
    let outcome = if media.standing == APART {
        elsewhere(stream, media)
    } else if is_own && stream.once == 0 {
        update(stream, media)
    } else {
        take_once(stream, media)
    };
    if outcome == MOVED || is_own {
        stream.flags = media.flags;
        stream.changes = media.changes;
    }
    if outcome == MOVED { Ok(()) } else { result(outcome) }
}

/// Begins the packet's stream, unless another CPU has done so since this one looked: then it is that.
#[inline(always)]
fn begin(media: &Media) -> Option<*mut Stream> {
    let new = NEW_STREAM.get_ptr_mut(0)?;
    let Datagram { source, source_port, .. } = media.datagram;
    // SAFETY: this CPU's own; nothing else uses it before the insertion has copied it.
    unsafe {
        Stream::begin_at(&mut *new, media.arrival(), source, source_port);
        insert(media, new, media.changes)
    }
}

/// What a stream's source is to another that media is taken from. `twin`: that one is one of two parents.
#[inline(always)]
fn standing(stream: &Stream, twin: bool) -> u8 {
    match SOURCES.get(&Key::new(128, stream.source)) {
        None => GONE,
        Some(kind) if *kind == TWIN && twin => TWINS,
        Some(_) => APART,
    }
}

/// Nobody else can have the packet's source address. `own`: the same as a key.
#[inline(always)]
fn is_impossible(media: &Media, own: &ListenerKey) -> bool {
    parse::is_martian(&media.datagram.source) || LISTENERS.get_ptr(own).is_some()
}

/// Is media taken from there?
#[inline(always)]
fn source(media: &mut Media) -> Result<(), Reason> {
    let address = media.datagram.source;
    let own = ListenerKey { address, port: 0, reserved: [0; 2] };
    if is_impossible(media, &own) {
        return Err(Reason::MartianSource);
    }
    let Some(kind) = SOURCES.get(&Key::new(128, address)) else { return Err(Reason::Stranger) };
    media.twin = (*kind == TWIN) as u8;
    media.flags = if PEERS.get_ptr(&own).is_some() { FROM_CHILD } else { 0 };
    Ok(())
}

/// Takes one RTCP packet into account, if it is for the children.
#[inline(never)]
fn keep_rtcp(media: &mut Media) -> Outcome {
    outcome(kept_rtcp(media))
}

#[inline(always)]
fn kept_rtcp(media: &mut Media) -> Result<(), Reason> {
    let peer = ListenerKey { address: media.datagram.source, port: 0, reserved: [0; 2] };
    if is_impossible(media, &peer) {
        return Err(Reason::MartianSource);
    }
    let child = PEERS.get_ptr(&peer).is_some();
    media.flags = if child { FROM_CHILD } else { 0 };
    if media.payload == FEEDBACK {
        return Err(if child { Reason::RtcpFromChild } else { Reason::RtcpFeedback });
    }
    let mut found = STREAMS.get_ptr_mut(&media.key);
    if found.is_none() {
        if child {
            return Err(Reason::RtcpFromChild);
        }
        source(media)?;
        found = begin_with_rtcp(media);
    }
    let Some(stream) = found else { return Ok(()) };
    // SAFETY: the entry has one writer, or two that know of each other, see `relay_common::stream`.
    let stream = unsafe { &mut *stream };
    let is_own = stream.is_from_address(&media.datagram.source);
    if child && !is_own {
        return Err(Reason::RtcpFromChild);
    }
    let kind = SOURCES.get(&Key::new(128, media.datagram.source)).ok_or(Reason::Stranger)?;
    match if is_own { OWN } else { standing(stream, *kind == TWIN) } {
        OWN | GONE => {
            stream.rtcp_packets += 1;
            Ok(())
        }
        // The other parent says the same.
        TWINS => Err(Reason::Duplicate),
        _ => Err(Reason::SsrcCollision),
    }
}

/// As [`begin`].
#[inline(always)]
fn begin_with_rtcp(media: &Media) -> Option<*mut Stream> {
    let new = NEW_STREAM.get_ptr_mut(0)?;
    let Datagram { source, source_port, .. } = media.datagram;
    // SAFETY: as in `begin`.
    unsafe {
        new.write(Stream::begin_with_rtcp(media.now, source, source_port));
        // Its first RTP packet is to be looked at: 0 is no state of `LISTENER_CHANGES` while anybody listens.
        insert(media, new, 0)
    }
}

/// Puts a new stream into the table. If another CPU has done so since this one looked, gives what that has put there.
///
/// # Safety
/// `new` is this CPU's own.
#[inline(always)]
unsafe fn insert(media: &Media, new: *mut Stream, changes: u32) -> Option<*mut Stream> {
    // SAFETY: as the caller says.
    let inserted = unsafe {
        (*new).flags = media.flags;
        (*new).changes = changes;
        if media.twin != 0 {
            (*new).expect_another_way(media.now);
        }
        STREAMS.insert(&media.key, &*new, BPF_NOEXIST as u64)
    };
    if inserted.is_ok() {
        return None;
    }
    let found = STREAMS.get_ptr_mut(&media.key);
    if found.is_none() {
        count::drops(Reason::StreamTableFull, 1);
    }
    found
}

/// The fan-out set of a stream, of a port pair where some are routed or none is.
#[inline(always)]
pub fn set(routed: bool, key: &StreamKey) -> u32 {
    if !routed {
        return ALL_CHILDREN;
    }
    // SAFETY: the value is one aligned word, read once.
    unsafe { ROUTES.get(key) }.copied().unwrap_or(ALL_CHILDREN)
}

#[inline(always)]
fn listener(media: &mut Media) -> Result<&'static Listener, Reason> {
    let Datagram { destination, destination_port, .. } = media.datagram;
    let mut key = ListenerKey { address: destination, port: destination_port, reserved: [0; 2] };
    // Port 0 is the entry that only says "this address is ours", and no port that anything listens on.
    if key.port != 0 {
        // Read before the entry: what is found may be newer than this says, never older.
        let changes = LISTENER_CHANGES.get(0).copied().unwrap_or(0);
        media.changes = changes;
        let slot = LISTENER_CACHE.get_ptr_mut(key.port as u32 % HEARD);
        // SAFETY: this CPU's own, and programs of this kind do not interrupt one another there.
        if let Some(heard) = slot.map(|slot| unsafe { &*slot })
            && heard.changes == changes
            && same_key(&heard.key, &media.datagram)
        {
            return Ok(&heard.listener);
        }
        // SAFETY: entries are replaced whole and only while addresses or the MAC of the interface change.
        if let Some(listener) = unsafe { LISTENERS.get(&key) } {
            if let Some(slot) = slot {
                // SAFETY: as above.
                unsafe { *slot = Heard { key, changes, listener: *listener } };
            }
            return Ok(listener);
        }
    }
    // Only a packet that is not forwarded pays for the difference between these two.
    key.port = 0;
    Err(if LISTENERS.get_ptr(&key).is_some() { Reason::UnknownPort } else { Reason::NotLocal })
}

#[inline(always)]
fn same_key(one: &ListenerKey, other: &Datagram) -> bool {
    one.port == other.destination_port
        && word64::<0>(&one.address) == word64::<0>(&other.destination)
        && word64::<8>(&one.address) == word64::<8>(&other.destination)
}
