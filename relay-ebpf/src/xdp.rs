//! XDP ingress: normalise the packet once, put the token where its Ethernet header was, let the kernel broadcast.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_F_BROADCAST, xdp_action};
use aya_ebpf::helpers::{bpf_loop, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use relay_common::checksum;
use relay_common::layout::{
    TOKEN_CAPTURE, TOKEN_FROM_CHILD, TOKEN_LARGE, TOKEN_PORT_SHIFT, TOKEN_RTCP, TOKEN_V6, Token,
};
use relay_common::packet::{Packet, set_word32, set_word64, word32, word64};
use relay_common::parse::{ETHERNET, Family, VLAN_TAG};
use relay_common::reason::{Fate, Reason};
use relay_common::rewrite;

use crate::classify::{Station, classify, nobody};
use crate::maps::{CHILDREN, FANOUT, INSTANCES, MEMBERS, SERIAL};
use crate::media::Media;
use crate::{capture, count, history, offload};

/// Length of the shortest Ethernet frame, without its check sequence.
const SHORTEST: usize = 60;

#[xdp]
pub fn relay_xdp(ctx: XdpContext) -> u32 {
    verdict(&ctx, forward(&ctx))
}

/// The same on the CPU that `relay_spread` queued the packet for.
#[xdp(map = "cpumap")]
pub fn relay_xdp_cpu(ctx: XdpContext) -> u32 {
    verdict(&ctx, forward(&ctx))
}

/// What the kernel is told; a packet that is not forwarded is counted.
#[inline(always)]
pub fn verdict(ctx: &XdpContext, result: Result<u32, Reason>) -> u32 {
    match result {
        Ok(action) => action,
        Err(reason) => {
            count::drops(reason, 1);
            if matches!(reason, Reason::NoFanoutSet | Reason::NotWritable) {
                warn!(ctx, "packet dropped: reason {}", reason as u32);
            }
            match reason.fate() {
                Fate::Stack => xdp_action::XDP_PASS,
                Fate::Dropped | Fate::CopyDropped => xdp_action::XDP_DROP,
            }
        }
    }
}

/// Lets everything pass. Most drivers transmit XDP frames only while a program is attached to them, so this one is held on
/// every interface that copies leave by; and it takes the place of `relay_xdp` while it is being looked whether XDP works,
/// and when forwarding goes over to tc: taking XDP off an interface makes many drivers lose what is in their rings,
/// replacing the program does not.
#[xdp]
pub fn relay_pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[inline(always)]
fn forward(ctx: &XdpContext) -> Result<u32, Reason> {
    // SAFETY: the span is the packet, for as long as this program runs and does not move its ends.
    let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
    let media = classify(packet, Station::Unchecked, u16::MAX)?;
    let instance = media.word.instance();
    if instance == 0 {
        return Err(nobody(media.word, 1));
    }
    if media.word.others() > 0 {
        count::drops(Reason::OtherFamily, media.word.others() as u64);
    }
    let fanout = FANOUT.get(instance).ok_or(Reason::NoFanoutSet)?;
    let length = media.datagram.ip_length() as u32;
    let large = length > media.word.mtu() as u32;
    if large && !oversize(instance, length) {
        return Ok(xdp_action::XDP_DROP);
    }

    if history::is_on() && media.is_rtp() {
        let at = media.datagram.payload_offset() as u32;
        history::keep(media, media.head(), media.datagram.payload_length() as u32, |to, length| {
            load_at(ctx, at, to, length)
        });
    }
    if media.is_captured() {
        let length = ctx.data_end() - ctx.data();
        capture::packet(ctx, length, ctx.ingress_ifindex() as u32, 0, load);
    }
    if media.datagram.tagged {
        untag(ctx)?;
    }
    let frame = packet.len() - if media.datagram.tagged { VLAN_TAG } else { 0 };
    trim(ctx, frame, length)?;
    let addresses = addresses(media);
    offload::mend(ctx, media, addresses)?;
    match media.datagram.family {
        Family::V4 => rewrite::open_v4(headers(ctx)?, addresses as u16),
        Family::V6 => rewrite::open_v6(headers(ctx)?, addresses as u16),
    }
    let wanted = if large { 0 } else { INSTANCES.get(instance).ok_or(Reason::NoFanoutSet)?.count };
    put_token(ctx, media, large, wanted)?;
    fanout.redirect(0, BPF_F_BROADCAST as u64).map_err(|_| Reason::NoFanoutSet)
}

/// Charges a packet that does not fit every way out to the children that it does not fit, and says whether any are left.
/// The kernel leaves a device out whose MTU it exceeds, without a word.
#[inline(never)]
fn oversize(instance: u32, length: u32) -> bool {
    let Some(span) = INSTANCES.get(instance) else { return true };
    let mut walk = Oversize { first: span.first, length, fits: 0 };
    let step: extern "C" fn(u32, *mut Oversize) -> i64 = charge;
    // SAFETY: `charge` has the form that the helper calls, and `walk` lives until it returns.
    unsafe { bpf_loop(span.count, step as *mut c_void, (&raw mut walk).cast(), 0) };
    walk.fits > 0
}

struct Oversize {
    first: u32,
    length: u32,
    fits: u32,
}

extern "C" fn charge(index: u32, walk: *mut Oversize) -> i64 {
    // SAFETY: the pointer is the one that `oversize` handed to the helper.
    let walk = unsafe { &mut *walk };
    let Some(slot) = MEMBERS.get(walk.first + index) else { return 1 };
    let Some(child) = CHILDREN.get(*slot) else { return 1 };
    if walk.length > child.mtu as u32 {
        count::failed(child, Reason::TooBig);
    } else {
        walk.fits += 1;
    }
    0
}

/// Cuts off what the frame of `frame` bytes has behind its IP packet of `length`: copies are new frames. The padding of the shortest
/// frames stays.
#[inline(always)]
fn trim(ctx: &XdpContext, frame: usize, length: u32) -> Result<(), Reason> {
    let wanted = ETHERNET + length as usize;
    let wanted = if wanted < SHORTEST { SHORTEST } else { wanted };
    // SAFETY: the context is the one this program was called with; who writes to the packet reads its ends anew.
    if frame > wanted && unsafe { bpf_xdp_adjust_tail(ctx.ctx, wanted as i32 - frame as i32) } != 0 {
        return Err(Reason::NotWritable);
    }
    Ok(())
}

/// Folded sum of both addresses; the mapped prefix of IPv4 is in neither checksum.
#[inline(never)]
fn addresses(media: &Media) -> u32 {
    let datagram = &media.datagram;
    let sum = match datagram.family {
        Family::V6 => checksum::sum(&datagram.source) + checksum::sum(&datagram.destination),
        Family::V4 => {
            let [.., a, b, c, d] = datagram.source;
            let [.., e, f, g, h] = datagram.destination;
            checksum::sum(&[a, b, c, d, e, f, g, h])
        }
    };
    checksum::fold(sum) as u32
}

/// Takes the VLAN tag out: copies go out untagged, as the route to each child wants them.
#[inline(always)]
fn untag(ctx: &XdpContext) -> Result<(), Reason> {
    let start = ctx.data();
    if start + 16 > ctx.data_end() {
        return Err(Reason::NotWritable);
    }
    // SAFETY: 16 bytes inside the packet, checked above.
    let head = unsafe { &mut *(start as *mut [u8; 16]) };
    // All of it is read before any is written: the two places overlap.
    let (first, second) = (word64::<0>(head), word32::<8>(head));
    set_word64::<4>(head, first);
    set_word32::<12>(head, second);
    // SAFETY: the context is the one this program was called with.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, VLAN_TAG as i32) } != 0 {
        return Err(Reason::NotWritable);
    }
    Ok(())
}

/// Writes the token over the Ethernet header, and that so many copies are wanted into this CPU's books.
#[inline(always)]
fn put_token(ctx: &XdpContext, media: &Media, large: bool, wanted: u32) -> Result<(), Reason> {
    let broadcasts = SERIAL.get_ptr_mut(0).ok_or(Reason::NotWritable)?;
    let mut flags = media.kind as u32 | (media.datagram.source_port as u32) << TOKEN_PORT_SHIFT;
    if media.is_for_rtcp_ports() {
        flags |= TOKEN_RTCP;
    }
    if media.datagram.family == Family::V6 {
        flags |= TOKEN_V6;
    }
    if media.is_captured() {
        flags |= TOKEN_CAPTURE;
    }
    if media.is_from_child() {
        flags |= TOKEN_FROM_CHILD;
    }
    if large {
        flags |= TOKEN_LARGE;
    }
    // SAFETY: this CPU's own.
    let serial = unsafe {
        (*broadcasts).wanted += wanted as u64;
        (*broadcasts).packets = (*broadcasts).packets.wrapping_add(1);
        (*broadcasts).packets
    };
    Token { packet: (serial as u64) << 32 | media.word.instance() as u64, flags }.write(headers(ctx)?);
    Ok(())
}

/// The first `N` bytes of the packet, writable. Moving the packet's ends makes this stale.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the packet is not part of the context; see the SAFETY line")]
pub fn headers<const N: usize>(ctx: &XdpContext) -> Result<&mut [u8; N], Reason> {
    let start = ctx.data();
    if start + N > ctx.data_end() {
        return Err(Reason::NotWritable);
    }
    // SAFETY: N bytes inside the packet, checked above; callers hold one such borrow at a time.
    Ok(unsafe { &mut *(start as *mut [u8; N]) })
}

/// Fetches the packet's first `length` bytes.
#[inline(always)]
pub fn load(ctx: &XdpContext, to: *mut u8, length: u32) -> i64 {
    load_at(ctx, 0, to, length)
}

/// Fetches `length` bytes of the packet, from that one on.
#[inline(always)]
fn load_at(ctx: &XdpContext, at: u32, to: *mut u8, length: u32) -> i64 {
    // SAFETY: `to` has room for `length` bytes, as the caller says.
    unsafe { bpf_xdp_load_bytes(ctx.as_ptr().cast(), at, to.cast(), length) as i64 }
}
