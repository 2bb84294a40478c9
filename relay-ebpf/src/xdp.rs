//! XDP ingress: normalise the packet once, put the token where its Ethernet header was, let the kernel broadcast.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_F_BROADCAST, xdp_action};
use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_load_bytes};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use relay_common::checksum;
use relay_common::layout::{TOKEN_CAPTURE, TOKEN_PORT_SHIFT, TOKEN_RTCP, TOKEN_V6, Token};
use relay_common::packet::Packet;
use relay_common::parse::{Family, VLAN_TAG};
use relay_common::reason::{Fate, Reason};
use relay_common::rewrite;

use crate::classify::{Media, Station, classify};
use crate::maps::{FANOUT, SERIAL};
use crate::{capture, count, offload};

#[xdp]
pub fn relay_xdp(ctx: XdpContext) -> u32 {
    match forward(&ctx) {
        Ok(action) => action,
        Err(reason) => {
            count::drops(reason, 1);
            if matches!(reason, Reason::NoFanoutSet | Reason::NotWritable) {
                warn!(&ctx, "packet dropped: reason {}", reason as u32);
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
    let media = classify(packet, Station::Unchecked)?;
    let fanout = FANOUT.get(media.instance).ok_or(Reason::NoFanoutSet)?;

    if media.captured {
        let length = ctx.data_end() - ctx.data();
        capture::packet(ctx, length, ctx.ingress_ifindex() as u32, 0, load);
    }
    if media.datagram.tagged {
        untag(ctx)?;
    }
    let addresses = addresses(&media);
    offload::mend(ctx, &media.datagram, addresses)?;
    match media.datagram.family {
        Family::V4 => rewrite::open_v4(headers(ctx)?, addresses as u16),
        Family::V6 => rewrite::open_v6(headers(ctx)?, addresses as u16),
    }
    put_token(ctx, &media)?;
    fanout.redirect(0, BPF_F_BROADCAST as u64).map_err(|_| Reason::NoFanoutSet)
}

/// Folded sum of both addresses; the mapped prefix of IPv4 is in neither checksum.
#[inline(always)]
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
    // SAFETY: 16 bytes inside the packet, checked above; source and destination of the copy overlap, hence the
    // detour through the stack.
    unsafe {
        let macs = *(start as *const [u8; 12]);
        *((start + VLAN_TAG) as *mut [u8; 12]) = macs;
        if bpf_xdp_adjust_head(ctx.ctx, VLAN_TAG as i32) != 0 {
            return Err(Reason::NotWritable);
        }
    }
    Ok(())
}

/// Writes the token over the Ethernet header.
#[inline(always)]
fn put_token(ctx: &XdpContext, media: &Media) -> Result<(), Reason> {
    let serial = SERIAL.get_ptr_mut(0).ok_or(Reason::NotWritable)?;
    let mut flags = media.kind as u32 | (media.datagram.source_port as u32) << TOKEN_PORT_SHIFT;
    if media.rtcp {
        flags |= TOKEN_RTCP;
    }
    if media.datagram.family == Family::V6 {
        flags |= TOKEN_V6;
    }
    if media.captured {
        flags |= TOKEN_CAPTURE;
    }
    // SAFETY: this CPU's own.
    let serial = unsafe {
        *serial = (*serial).wrapping_add(1);
        *serial
    };
    Token { packet: (serial as u64) << 32 | media.instance as u64, flags }.write(headers(ctx)?);
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
    // SAFETY: `to` has room for `length` bytes, as the caller says.
    unsafe { bpf_xdp_load_bytes(ctx.as_ptr().cast(), 0, to.cast(), length) as i64 }
}
