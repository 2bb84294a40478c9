//! A socket buffer that is several packets: a sender on a virtual network gave them to the kernel in one message
//! (UDP_SEGMENT), or the interface put them together (GRO). It has the headers of one datagram with the payloads of all,
//! equally long but for the last. It is forwarded as it is, for whoever must have packets cuts it: the interface or the
//! receiver's stack. Here each packet is looked at: for its stream's statistics, and because all must go to the same children.

use core::ffi::c_void;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_loop, bpf_skb_load_bytes};
use aya_ebpf::programs::TcContext;
use relay_common::parse::{self, Payload};

use relay_common::reason::Reason;

use crate::media::{Head, Media};
use crate::tc::load_at;
use crate::{books, classify, count, history};

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

/// How many packets the buffer is, whatever they are.
#[inline(always)]
pub fn in_buffer(ctx: &TcContext) -> u64 {
    // SAFETY: the context is the one this program was called with.
    let (packets, size) = unsafe { ((*ctx.skb.skb).gso_segs, (*ctx.skb.skb).gso_size) };
    match (packets, size) {
        (_, 0) => 1,
        // From a virtual machine: its headers count for nothing beside what it carries.
        (0, size) => ctx.len().div_ceil(size) as u64,
        (packets, _) => packets as u64,
    }
}

/// How many packets the datagram is. Not the kernel's own count: that is 0 on a buffer from a virtual machine.
#[inline(always)]
pub fn count(media: &Media, segment: u16) -> u32 {
    let payload = media.datagram.payload_length();
    if segment == 0 || payload <= segment { 1 } else { (payload as u32).div_ceil(segment as u32) }
}

/// What each step needs, and what the steps find.
struct Rest {
    skb: *mut __sk_buff,
    media: *mut Media,
    segment: u32,
    /// SSRC of the first.
    ssrc: u32,
    mixed: bool,
}

/// Looks at all packets but the first: keeps the books of their streams, and sees to it that they go where the first goes.
/// In a frame of its own, like all that looks at a packet.
#[inline(never)]
pub fn rest(ctx: &TcContext, media: &mut Media, segment: u16, packets: u32) -> u32 {
    let ssrc = media.key.ssrc;
    let mut rest = Rest { skb: ctx.skb.skb, media, segment: segment as u32, ssrc, mixed: false };
    let step: extern "C" fn(u32, *mut Rest) -> i64 = step;
    // SAFETY: `step` has the form that the helper calls, and `rest` lives until it returns.
    unsafe { bpf_loop(packets - 1, step as *mut c_void, (&raw mut rest).cast(), 0) };
    rest.mixed as u32
}

extern "C" fn step(index: u32, rest: *mut Rest) -> i64 {
    // SAFETY: the pointer is the one that `rest` handed to the helper.
    let rest = unsafe { &mut *rest };
    rest.mixed |= !belongs(rest, index + 1);
    0
}

/// One packet: does it go where the first goes?
#[inline(always)]
fn belongs(rest: &Rest, index: u32) -> bool {
    // SAFETY: as in `step`; nobody else has it meanwhile.
    let media = unsafe { &mut *rest.media };
    let (at, bytes) = place(rest, media, index);
    let Some(payload) = payload(rest, at, bytes, media.rtcp_port != 0) else {
        // It cannot be taken out, and the media must not be lost for it.
        count::drops(Reason::ForeignSegment, 1);
        return true;
    };
    if books::take_next(media, payload, bytes as u16).is_err() {
        return false;
    }
    // A route that changes just now must not part a stream's own packets.
    media.key.ssrc == rest.ssrc || classify::set(media.routed != 0, &media.key) == media.set
}

/// Where the packet of that number is in the buffer, and how many RTP or RTCP bytes it has.
#[inline(always)]
fn place(rest: &Rest, media: &Media, index: u32) -> (u32, u32) {
    let before = index * rest.segment;
    let bytes = (media.datagram.payload_length() as u32 - before).min(rest.segment);
    (media.datagram.payload_offset() as u32 + before, bytes)
}

#[inline(always)]
fn payload(rest: &Rest, at: u32, bytes: u32, rtcp_port: bool) -> Option<Payload> {
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
    if length == RTP {
        parse::payload_of(&head, rtcp_port)
    } else {
        parse::payload_of(&head[..RTCP as usize], rtcp_port)
    }
    .ok()
}

/// Keeps each packet that is RTP.
#[inline(never)]
pub fn keep(ctx: &TcContext, media: &mut Media, segment: u16, packets: u32) -> u32 {
    if media.rtcp_port != 0 {
        return 0;
    }
    let mut rest = Rest { skb: ctx.skb.skb, media, segment: segment as u32, ssrc: 0, mixed: false };
    let step: extern "C" fn(u32, *mut Rest) -> i64 = keep_one;
    // SAFETY: `keep_one` has the form that the helper calls, and `rest` lives until it returns.
    unsafe { bpf_loop(packets, step as *mut c_void, (&raw mut rest).cast(), 0) };
    1
}

extern "C" fn keep_one(index: u32, rest: *mut Rest) -> i64 {
    // SAFETY: the pointer is the one that `keep` handed to the helper.
    let rest = unsafe { &mut *rest };
    // SAFETY: as above; nobody else has it meanwhile.
    let media = unsafe { &*rest.media };
    let (at, bytes) = place(rest, media, index);
    let Some(Payload::Rtp { ssrc, sequence, .. }) = payload(rest, at, bytes, false) else { return 0 };
    history::keep(media, Head { ssrc, sequence }, bytes, |to, length| load_at(rest.skb, at, to, length));
    0
}
