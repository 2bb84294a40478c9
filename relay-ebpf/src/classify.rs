//! Whose packet is this? The policy of the relay, the same for XDP and tc. Nothing here writes to the packet.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use relay_common::layout::{ALL_CHILDREN, HEARD, Heard, Listener, ListenerKey, StreamKey, clock_rate};
use relay_common::packet::{Packet, same_mac, word64};
use relay_common::parse::{self, Datagram, Family, Payload};
use relay_common::reason::Reason;
use relay_common::stream::{Arrival, Stream, units_per_ns};

use crate::capture;
use crate::count;
use crate::maps::{LISTENER_CACHE, LISTENER_CHANGES, LISTENERS, NEW_STREAM, PEERS, ROUTES, SETS, STREAMS};

/// A packet that this relay forwards.
pub struct Media {
    /// Where it is in the frame, and its addresses.
    pub datagram: Datagram,
    /// Audio or video.
    pub kind: u8,
    /// RTP port of the pair.
    pub port: u16,
    /// It came to the RTCP port of the pair.
    pub rtcp_port: bool,
    /// Some stream of the pair has a fan-out set of its own.
    pub routed: bool,
    /// RTCP, and so for the children's RTCP ports: it came to that of its pair.
    pub rtcp: bool,
    /// SSRC of the stream.
    pub ssrc: u32,
    /// The stream's fan-out set.
    pub set: u32,
    /// Instance of the set; never 0 from [`classify`].
    pub instance: u32,
    /// Somebody captures this stream.
    pub captured: bool,
}

/// Who has already seen to it that the frame is for this station.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// Nobody: compare the destination MAC (XDP).
    Unchecked,
    /// The stack: the packet is `PACKET_HOST` (tc).
    Checked,
}

/// Decides whether the packet is media for this relay, keeps the books of its stream, and finds its fan-out set.
#[inline(always)]
pub fn classify(packet: Packet<'_>, station: Station) -> Result<Media, Reason> {
    let media = first(packet, station, u16::MAX)?;
    if media.instance == 0 {
        return Err(Reason::NoChildren);
    }
    Ok(media)
}

/// [`classify`] for a datagram of which only the first `segment` bytes are one packet. Whether anybody gets it is left to
/// the caller, who has the other packets to look at.
#[inline(always)]
pub fn first(packet: Packet<'_>, station: Station, segment: u16) -> Result<Media, Reason> {
    let datagram = parse::datagram(packet)?;
    let listener = listener(&datagram)?;
    if station == Station::Unchecked {
        let to = packet.bytes::<6>(0).ok_or(Reason::Runt)?;
        if !same_mac(to, &listener.mac) {
            return Err(Reason::NotLocal);
        }
    }
    // By value from here on: the verifier need not follow what was in the cache and what was not any further.
    let Listener { port, kind, rtcp, routed, .. } = *listener;
    let (rtcp_port, routed) = (rtcp != 0, routed != 0);
    let payload = parse::payload(packet, &datagram, rtcp_port)?;
    if datagram.family == Family::V6 && datagram.checksum == [0, 0] {
        return Err(Reason::NoChecksum6);
    }
    if datagram.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    // SAFETY: the helper takes no arguments and only reads the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let (ssrc, rtcp) = match payload {
        Payload::Rtp { ssrc, .. } => (ssrc, false),
        Payload::Rtcp { ssrc } => (ssrc, true),
    };
    let key = StreamKey { port, reserved: [0; 2], ssrc };
    match payload {
        Payload::Rtp { sequence, timestamp, .. } if count::wanted() => {
            let rate = if kind == 0 { units_per_ns(clock_rate(0)) } else { units_per_ns(clock_rate(1)) };
            let bytes = datagram.payload_length().min(segment);
            record(&key, Arrival { sequence, timestamp, bytes, now, rate }, &datagram);
        }
        Payload::Rtp { .. } => {}
        Payload::Rtcp { .. } => {
            let peer = ListenerKey { address: datagram.source, port: datagram.source_port, reserved: [0; 2] };
            if PEERS.get_ptr(&peer).is_some() {
                return Err(Reason::RtcpFromChild);
            }
            if let Some(stream) = STREAMS.get_ptr_mut(&key) {
                // SAFETY: the entry has one writer, see `relay_common::stream`.
                unsafe { (*stream).rtcp_packets += 1 };
            }
        }
    }
    let set = set(routed, &key);
    let instance = SETS.get(set).copied().unwrap_or(0);
    let captured = capture::wanted(&key, now);
    Ok(Media {
        datagram,
        kind,
        port,
        rtcp_port,
        routed,
        rtcp: rtcp && rtcp_port,
        ssrc,
        set,
        instance,
        captured,
    })
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
fn listener(datagram: &Datagram) -> Result<&'static Listener, Reason> {
    let mut key =
        ListenerKey { address: datagram.destination, port: datagram.destination_port, reserved: [0; 2] };
    // Port 0 is the entry that only says "this address is ours", and no port that anything listens on.
    if key.port != 0 {
        // Read before the entry: what is found may be newer than this says, never older.
        let changes = LISTENER_CHANGES.get(0).copied().unwrap_or(0);
        let slot = LISTENER_CACHE.get_ptr_mut(key.port as u32 % HEARD);
        // SAFETY: this CPU's own, and programs of this kind do not interrupt one another there.
        if let Some(heard) = slot.map(|slot| unsafe { &*slot })
            && heard.changes == changes
            && same_key(&heard.key, &key)
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
fn same_key(one: &ListenerKey, other: &ListenerKey) -> bool {
    one.port == other.port
        && word64::<0>(&one.address) == word64::<0>(&other.address)
        && word64::<8>(&one.address) == word64::<8>(&other.address)
}

/// Takes one RTP packet into its stream's statistics.
#[inline(always)]
pub fn record(key: &StreamKey, arrival: Arrival, datagram: &Datagram) {
    if let Some(stream) = STREAMS.get_ptr_mut(key) {
        // SAFETY: the entry has one writer, see `relay_common::stream`.
        unsafe { (*stream).update(arrival) };
        return;
    }
    // Not on the stack, which has 512 bytes for parsing and this.
    let Some(new) = NEW_STREAM.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own; nothing else uses it before the insertion has copied it.
    let inserted = unsafe {
        new.write(Stream::begin(arrival, datagram.source, datagram.source_port));
        STREAMS.insert(key, &*new, BPF_NOEXIST as u64)
    };
    if inserted.is_err() {
        count::drops(Reason::StreamTableFull, 1);
    }
}
