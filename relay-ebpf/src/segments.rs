//! A socket buffer that is several packets: a sender on a virtual network gave them to the kernel in one message
//! (UDP_SEGMENT), or the interface put them together (GRO). It has the headers of one datagram with the payloads of all,
//! equally long but for the last. It is forwarded as it is, for whoever must have packets cuts it: the interface or the
//! receiver's stack. Here each packet is looked at: for its stream's statistics, and because all must go to the same children.

use core::ffi::c_void;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_loop, bpf_skb_load_bytes};
use aya_ebpf::programs::TcContext;
use relay_common::layout::{ListenerKey, StreamKey, clock_rate};
use relay_common::parse::{self, Payload};
use relay_common::reason::Reason;
use relay_common::stream::{Arrival, units_per_ns};

use crate::classify::{self, Media};
use crate::count;
use crate::maps::{PEERS, STREAMS};

/// Length of an RTP header without extensions, and of the part of it that RTCP has too.
const RTP: u32 = 12;
const RTCP: u32 = 8;

/// Payload of each packet but the last; [`u16::MAX`], more than any datagram has, for a single packet.
#[inline(always)]
pub fn length(ctx: &TcContext) -> u16 {
    // SAFETY: the context is the one this program was called with.
    match unsafe { (*ctx.skb.skb).gso_size } {
        0 => u16::MAX,
        // The kernel's own field has 16 bits.
        size => size as u16,
    }
}

/// How many packets the datagram is. Not the kernel's own count: that is 0 on a buffer from a virtual machine.
#[inline(always)]
pub fn count(media: &Media, segment: u16) -> u32 {
    let payload = media.datagram.payload_length();
    if segment == 0 || payload <= segment { 1 } else { (payload as u32).div_ceil(segment as u32) }
}

/// What each step needs, and what the steps find.
struct Rest<'a> {
    skb: *mut __sk_buff,
    media: &'a Media,
    segment: u32,
    now: u64,
    mixed: bool,
}

/// Looks at all packets but the first: keeps the books of their streams, and sees to it that they go where the first goes.
/// In a frame of its own, like [`crate::tc`]'s look at the first.
#[inline(never)]
pub fn rest(ctx: &TcContext, media: &Media, segment: u16, packets: u32) -> Result<(), Reason> {
    // SAFETY: the helper takes no arguments and only reads the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let mut rest = Rest { skb: ctx.skb.skb, media, segment: segment as u32, now, mixed: false };
    let step: extern "C" fn(u32, *mut Rest<'_>) -> i64 = step;
    // SAFETY: `step` has the form that the helper calls, and `rest` lives until it returns.
    unsafe { bpf_loop(packets - 1, step as *mut c_void, (&raw mut rest).cast(), 0) };
    if rest.mixed { Err(Reason::MixedSegments) } else { Ok(()) }
}

extern "C" fn step(index: u32, rest: *mut Rest<'_>) -> i64 {
    // SAFETY: the pointer is the one that `rest` handed to the helper.
    let rest = unsafe { &mut *rest };
    rest.mixed |= !belongs(rest, index + 1);
    0
}

/// One packet: does it go where the first goes?
#[inline(always)]
fn belongs(rest: &Rest<'_>, index: u32) -> bool {
    let Media { datagram, kind, port, routed, set, .. } = rest.media;
    let before = index * rest.segment;
    let bytes = (datagram.payload_length() as u32 - before).min(rest.segment);
    let Some(payload) = payload(rest, datagram.payload_offset() as u32 + before, bytes) else { return false };
    let (Payload::Rtp { ssrc, .. } | Payload::Rtcp { ssrc }) = payload;
    let key = StreamKey { port: *port, reserved: [0; 2], ssrc };
    match payload {
        Payload::Rtp { sequence, timestamp, .. } if count::wanted() => {
            let rate = if *kind == 0 { units_per_ns(clock_rate(0)) } else { units_per_ns(clock_rate(1)) };
            let arrival = Arrival { sequence, timestamp, bytes: bytes as u16, now: rest.now, rate };
            classify::record(&key, arrival, datagram);
        }
        Payload::Rtp { .. } => {}
        Payload::Rtcp { .. } => {
            let peer = ListenerKey { address: datagram.source, port: datagram.source_port, reserved: [0; 2] };
            if PEERS.get_ptr(&peer).is_some() {
                return false;
            }
            if let Some(stream) = STREAMS.get_ptr_mut(&key) {
                // SAFETY: the entry has one writer, see `relay_common::stream`.
                unsafe { (*stream).rtcp_packets += 1 };
            }
        }
    }
    // A route that changes just now must not part a stream's own packets.
    ssrc == rest.media.ssrc || classify::set(*routed, &key) == *set
}

#[inline(always)]
fn payload(rest: &Rest<'_>, at: u32, bytes: u32) -> Option<Payload> {
    let mut head = [0u8; RTP as usize];
    // A constant length each, for the verifier.
    // SAFETY: `head` has room for both lengths.
    let (loaded, length) = unsafe {
        let to = head.as_mut_ptr().cast();
        if bytes >= RTP {
            (bpf_skb_load_bytes(rest.skb.cast(), at, to, RTP), RTP)
        } else {
            (bpf_skb_load_bytes(rest.skb.cast(), at, to, RTCP), RTCP)
        }
    };
    if loaded != 0 || bytes < RTCP {
        return None;
    }
    let rtcp_port = rest.media.rtcp_port;
    if length == RTP {
        parse::payload_of(&head, rtcp_port)
    } else {
        parse::payload_of(&head[..RTCP as usize], rtcp_port)
    }
    .ok()
}
