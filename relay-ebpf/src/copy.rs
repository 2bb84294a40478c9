//! The devmap program: which child is this copy for, and that child's headers.
//!
//! The kernel shows a copy's egress device but not whose it is. Copies of one packet for one device run here one after
//! the other, in devmap order, on the CPU that took the packet; so the first copy with a new token is for the first
//! child behind this device, the next for the second, and a cursor per CPU and device is enough.
//!
//! Nothing is dropped here: the kernel has the driver send what it was given only with the last copies of a poll, and not
//! at all when none of those is left. What is not to be sent is not in the devmap; the rare copy that must not go to its
//! child all the same becomes a [`blank`].

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::bpf_xdp_adjust_tail;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use relay_common::layout::{
    BULK, CURSORS, Child, Cursor, GroupKey, NOBODY, Pending, Span, TOKEN_CAPTURE, TOKEN_ETHERTYPE,
    TOKEN_FROM_CHILD, TOKEN_LARGE, TOKEN_PORT_SHIFT, TOKEN_RTCP, TOKEN_V6, Token,
};
use relay_common::packet::{be16, set_word, set_word32, word, word32, word64};
use relay_common::parse::{ETHERNET, UDP};
use relay_common::reason::Reason;
use relay_common::rewrite::{self, V4_HEADERS, V4_UDP, V6_HEADERS, V6_UDP};

use crate::maps::{self, CHILDREN, GROUPS, INSTANCES, MEMBERS, PENDING};
use crate::xdp::headers;
use crate::{capture, count};

/// Length of a [`blank`]: the shortest Ethernet frame, without its check sequence.
const BLANK: usize = 60;

#[xdp(map = "devmap")]
pub fn relay_copy(ctx: XdpContext) -> u32 {
    match copy(&ctx) {
        Ok(()) => xdp_action::XDP_PASS,
        // Never seen: some other program's packet, or copies in an order that this kernel does not have.
        Err(reason) => {
            count::drops(reason, 1);
            warn!(&ctx, "copy dropped: reason {}", reason as u32);
            xdp_action::XDP_DROP
        }
    }
}

#[inline(always)]
fn copy(ctx: &XdpContext) -> Result<(), Reason> {
    let token = Token::read(headers(ctx)?).ok_or(Reason::CopyWithoutToken)?;
    // SAFETY: the context is the one this program was called with; in a devmap program the field is set.
    let ifindex = unsafe { (*ctx.ctx).egress_ifindex };
    let lane = lane(ifindex)?;
    if token.flags & TOKEN_LARGE == 0 {
        lane.made += 1;
    }
    let position = position(lane, &token, ifindex)?;
    let slot = *MEMBERS.get(position).ok_or(Reason::CopyWithoutChild)?;
    let child = CHILDREN.get(slot).ok_or(Reason::CopyWithoutChild)?;
    if token.flags & (TOKEN_FROM_CHILD | TOKEN_LARGE) != 0 && !is_for(ctx, &token, child)? {
        note_pending(lane, NOBODY);
        return blank(ctx, child);
    }
    let bytes = rewrite(ctx, &token, child)?;
    count::sent(child, bytes);
    note_pending(lane, child.counter);
    if token.flags & TOKEN_CAPTURE != 0 {
        let length = length(ctx);
        capture::packet(ctx, length, ifindex, 1, crate::xdp::load);
    }
    Ok(())
}

/// The position in `MEMBERS` of the child that this copy is for.
#[inline(always)]
fn position(lane: &mut Pending, token: &Token, ifindex: u32) -> Result<u32, Reason> {
    let cursor = &mut lane.cursor;
    if cursor.packet != token.packet {
        if cursor.next < cursor.end {
            count::drops(Reason::CopyNotMade, (cursor.end - cursor.next) as u64);
        }
        let group = group(token.instance(), ifindex)?;
        *cursor = Cursor { packet: token.packet, next: group.first, end: group.first + group.count };
    }
    let position = cursor.next;
    if position >= cursor.end {
        return Err(Reason::CopyWithoutChild);
    }
    cursor.next = position + 1;
    Ok(position)
}

/// This CPU's books of the interface that copies leave by now. Those of the interface before go to `CURSORS` until it
/// has its turn again.
#[inline(always)]
pub fn lane(ifindex: u32) -> Result<&'static mut Pending, Reason> {
    let lane = PENDING.get_ptr_mut(0).ok_or(Reason::CopyWithoutChild)?;
    // SAFETY: this CPU's own; devmap programs and the driver run in softirq and do not interrupt each other.
    let lane = unsafe { &mut *lane };
    if lane.ifindex != ifindex {
        let before = maps::CURSORS.get_ptr_mut(lane.ifindex % CURSORS).ok_or(Reason::CopyWithoutChild)?;
        let now = maps::CURSORS.get_ptr_mut(ifindex % CURSORS).ok_or(Reason::CopyWithoutChild)?;
        // SAFETY: as above.
        unsafe {
            *before = lane.cursor;
            lane.cursor = *now;
        }
        lane.ifindex = ifindex;
        lane.count = 0;
    }
    Ok(lane)
}

/// The instance's members behind this interface.
#[inline(always)]
fn group(instance: u32, ifindex: u32) -> Result<&'static Span, Reason> {
    let all = INSTANCES.get(instance).ok_or(Reason::CopyWithoutChild)?;
    if all.ifindex == ifindex {
        return Ok(all);
    }
    let key = GroupKey { instance, ifindex };
    // SAFETY: a group is written before its instance is reachable and not changed while it is.
    unsafe { GROUPS.get(&key) }.ok_or(Reason::CopyWithoutChild)
}

/// Remembers whose copy this is until the driver has taken or refused it, see [`crate::xmit`].
#[inline(always)]
pub fn note_pending(lane: &mut Pending, counter: u32) {
    if (lane.count as usize) < BULK {
        lane.children[lane.count as usize] = counter;
        lane.count += 1;
    }
}

/// False for a copy that must not go to its child.
#[inline(always)]
fn is_for(ctx: &XdpContext, token: &Token, child: &Child) -> Result<bool, Reason> {
    if token.flags & TOKEN_LARGE != 0 && length(ctx) > ETHERNET + child.mtu as usize {
        // Counted at the way in: most devices' copies of such a packet never come here.
        return Ok(false);
    }
    if token.flags & TOKEN_FROM_CHILD != 0 && is_sender(ctx, token, child)? {
        count::failed(child, Reason::ChildIsSender);
        return Ok(false);
    }
    Ok(true)
}

/// Length of the frame. Opaque to the compiler, which would compute it from the lower halves of two pointers.
#[inline(always)]
fn length(ctx: &XdpContext) -> usize {
    core::hint::black_box(ctx.data_end() - ctx.data())
}

/// The packet came from where this child is: its source address is still in it, and the port in the token.
#[inline(always)]
fn is_sender(ctx: &XdpContext, token: &Token, child: &Child) -> Result<bool, Reason> {
    if (token.flags >> TOKEN_PORT_SHIFT) as u16 != port(token, child) {
        return Ok(false);
    }
    if token.flags & TOKEN_V6 == 0 {
        let headers = headers::<V4_HEADERS>(ctx)?;
        return Ok(word32::<{ ETHERNET + 12 }>(headers) == word32::<12>(&child.destination));
    }
    let headers = headers::<V6_HEADERS>(ctx)?;
    Ok(word64::<{ ETHERNET + 8 }>(headers) == word64::<0>(&child.destination)
        && word64::<{ ETHERNET + 16 }>(headers) == word64::<8>(&child.destination))
}

/// The child's port that the copy goes to.
#[inline(always)]
fn port(token: &Token, child: &Child) -> u16 {
    child.ports[(token.flags & 1) as usize] + ((token.flags & TOKEN_RTCP != 0) as u16)
}

/// Makes the copy a frame that no host acts on, from the interface's own MAC to itself, with nothing in it.
#[inline(always)]
fn blank(ctx: &XdpContext, child: &Child) -> Result<(), Reason> {
    let length = length(ctx);
    // SAFETY: the context is the one this program was called with; its ends are read anew below.
    if length > BLANK && unsafe { bpf_xdp_adjust_tail(ctx.ctx, BLANK as i32 - length as i32) } != 0 {
        return Err(Reason::NotWritable);
    }
    let frame = headers::<V4_HEADERS>(ctx)?;
    *frame = [0; V4_HEADERS];
    set_word32::<0>(frame, word32::<6>(child.ethernet()));
    set_word(frame, 4, word(child.ethernet(), 10));
    set_word32::<6>(frame, word32::<6>(child.ethernet()));
    set_word(frame, 10, word(child.ethernet(), 10));
    set_word(frame, 12, TOKEN_ETHERTYPE);
    for at in V4_HEADERS..BLANK {
        let byte = ctx.data() + at;
        if byte + 1 > ctx.data_end() {
            break;
        }
        // SAFETY: one byte inside the packet, checked above.
        unsafe { *(byte as *mut u8) = 0 };
    }
    Ok(())
}

/// Writes the child's headers; gives the number of RTP or RTCP bytes.
#[inline(always)]
fn rewrite(ctx: &XdpContext, token: &Token, child: &Child) -> Result<u16, Reason> {
    let port = port(token, child);
    if token.flags & TOKEN_V6 == 0 {
        let headers = headers::<V4_HEADERS>(ctx)?;
        rewrite::close_v4(headers, child, port);
        Ok(be16(headers, V4_UDP + 4) - UDP as u16)
    } else {
        let headers = headers::<V6_HEADERS>(ctx)?;
        rewrite::close_v6(headers, child, port);
        Ok(be16(headers, V6_UDP + 4) - UDP as u16)
    }
}
