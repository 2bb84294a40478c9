//! The books of the packet's stream: whether the packet may belong there, and what it changes. Nothing here looks at the packet, nor
//! writes to it.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::btf_maps::lpm_trie::Key;
use relay_common::layout::{ListenerKey, TWIN};
use relay_common::parse::{self, Datagram, Payload};
use relay_common::reason::Reason;
use relay_common::stream::{Elsewhere, FROM_CHILD, Standing, Stream};

use crate::maps::{LISTENERS, NEW_STREAM, PEERS, SOURCES, STREAMS};
use crate::media::{FINE, Media, Outcome, outcome, result};
use crate::{count, gaps};

/// [`FINE`], and the stream comes from there now.
const MOVED: Outcome = u32::MAX - 1;

/// [`Media::standing`], see `relay_common::stream::Standing`. In the map, so that the verifier walks what follows once.
const OWN: u8 = 0;
const APART: u8 = 1;
const TWINS: u8 = 2;
const GONE: u8 = 3;
const ONE_OF_TWO: u8 = 4;

/// Another packet of the same datagram, which is several: what it is, and its RTP or RTCP bytes.
#[inline(always)]
pub fn take_next(media: &mut Media, payload: Payload, bytes: u16) -> Result<(), Reason> {
    media.take(payload);
    media.bytes = bytes;
    media.missing = 0;
    keep_of_one(media, true)?;
    gaps::tell(media);
    Ok(())
}

/// [`keep`] of a packet that may be together with others in one buffer (`is_several`): that it has come already is no reason
/// yet not to forward these.
#[inline(always)]
pub fn keep_of_one(media: &mut Media, is_several: bool) -> Result<(), Reason> {
    match keep(media) {
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
pub fn keep(media: &mut Media) -> Result<(), Reason> {
    if !media.is_rtp() {
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
    if media.is_feedback() {
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
