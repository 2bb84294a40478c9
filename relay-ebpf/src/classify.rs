//! Whose packet is this? The policy of the relay, the same for XDP and tc. Nothing here writes to the packet.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use relay_common::layout::{ALL_CHILDREN, HEARD, Heard, Listener, ListenerKey, SetWord, StreamKey, half};
use relay_common::packet::{Packet, same_mac, word64};
use relay_common::parse::{self, Datagram, Family};
use relay_common::reason::Reason;

use crate::maps::{LISTENER_CACHE, LISTENER_CHANGES, LISTENERS, MEDIA, ROUTES, SETS};
use crate::media::{Media, Outcome, outcome, result};
use crate::{books, capture, count, gaps};

/// Who has already seen to it that the frame is for this station.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// Nobody: compare the destination MAC (XDP).
    Unchecked,
    /// The stack: the packet is `PACKET_HOST`, and the only VLAN tag that it may have is out of it (tc).
    Checked,
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
    books::keep_of_one(media, is_several)?;
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
