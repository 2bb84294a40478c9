//! tcx ingress: walk the children, write each one's headers, clone; the last mostly takes the packet itself.
//!
//! `bpf_clone_redirect` clones the packet with its headers as rewritten so far, so each child's headers are written
//! over the previous child's. A child that is skipped never touched them. The UDP checksum is left to the kernel's
//! helper, which knows whether the sender left it to hardware. A socket buffer may be several packets: see [`segments`].

use core::ffi::c_void;

use aya_ebpf::bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::{
    bpf_clone_redirect, bpf_l4_csum_replace, bpf_loop, bpf_redirect, bpf_set_hash_invalid,
    bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_vlan_pop,
};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::warn;
use relay_common::checksum;
use relay_common::layout::{Child, Span};
use relay_common::packet::Packet;
use relay_common::parse::{ETHERNET, Family, IPV4, IPV6, TYPE_VLAN, UDP};
use relay_common::reason::{Fate, Reason};
use relay_common::rewrite::{self, V4_UDP, V6_UDP};

use crate::classify::{Station, classify, nobody};
use crate::maps::{CHILDREN, INSTANCES, MEMBERS, PROOFS, PROVEN, Proof};
use crate::media::Media;
use crate::{capture, count, history, segments};

/// `skb->pkt_type` of a packet for this host.
const PACKET_HOST: u32 = 0;
/// Headers and the start of RTP, the part that must be in linear memory.
const LINEAR: u32 = (ETHERNET + IPV6 + UDP + 12) as u32;

#[classifier]
pub fn relay_tc(ctx: TcContext) -> i32 {
    match forward(&ctx) {
        Ok(action) => action,
        Err(reason) => {
            count::drops(reason, segments::in_buffer(&ctx));
            if matches!(reason, Reason::NotWritable) {
                warn!(&ctx, "packet dropped: reason {}", reason as u32);
            }
            match reason.fate() {
                // "Next": what other programs on the interface do with foreign packets is theirs to decide.
                Fate::Stack => TC_ACT_UNSPEC,
                Fate::Dropped | Fate::CopyDropped => TC_ACT_SHOT,
            }
        }
    }
}

#[inline(always)]
fn forward(ctx: &TcContext) -> Result<i32, Reason> {
    // SAFETY: the context is the one this program was called with.
    let (pkt_type, tagged, protocol) = unsafe {
        let skb = ctx.skb.skb;
        ((*skb).pkt_type, (*skb).vlan_present != 0, (*skb).vlan_proto as u16)
    };
    if pkt_type != PACKET_HOST {
        return Err(Reason::NotLocal);
    }
    if tagged && u16::from_be(protocol) != TYPE_VLAN {
        return Err(Reason::StackedVlan);
    }
    let segment = segments::length(ctx);
    let media = look(ctx, segment)?;
    let packets = segments::count(media, segment);
    if packets > 1 && segments::rest(ctx, media, segment, packets) != 0 {
        return Err(Reason::MixedSegments);
    }
    if packets > 1 && media.is_stale() {
        return Err(Reason::Duplicate);
    }
    if media.word.instance() == 0 {
        return Err(nobody(media.word, packets));
    }
    if packets > 1 && media.repeated > 0 {
        count::drops(Reason::RepeatedSegment, media.repeated as u64);
    }
    if media.word.others() > 0 {
        count::drops(Reason::OtherFamily, media.word.others() as u64 * packets as u64);
    }
    if history::is_on() {
        if packets > 1 {
            segments::keep(ctx, media, segment, packets);
        } else if media.is_rtp() {
            let at = media.datagram.payload_offset() as u32;
            let length = media.datagram.payload_length() as u32;
            history::keep(media, media.head(), length, |to, length| load_at(ctx.skb.skb, at, to, length));
        }
    }
    if media.is_captured() {
        // SAFETY: as above.
        let ifindex = unsafe { (*ctx.skb.skb).ifindex };
        capture::packet(ctx, ctx.len() as usize, ifindex, 0, load);
    }
    if tagged {
        // SAFETY: the context is the one this program was called with.
        if unsafe { bpf_skb_vlan_pop(ctx.skb.skb) } != 0 {
            return Err(Reason::NotWritable);
        }
    }
    // Copies are new packets of this host: what the way in left on them must not steer the way out, nor make all of them
    // one flow for its queues.
    trim(ctx, media)?;
    // SAFETY: both fields are writable for tc programs; volatile, or the two stores become one that the kernel refuses.
    unsafe {
        (&raw mut (*ctx.skb.skb).mark).write_volatile(0);
        (&raw mut (*ctx.skb.skb).queue_mapping).write_volatile(0);
        bpf_set_hash_invalid(ctx.skb.skb);
    }
    match media.datagram.family {
        Family::V4 => walk::<V4>(ctx, media, segment, packets),
        Family::V6 => walk::<V6>(ctx, media, segment, packets),
    }
}

/// Cuts off what the frame has behind its IP packet: padding of a short one, or a trailer.
#[inline(always)]
fn trim(ctx: &TcContext, media: &Media) -> Result<(), Reason> {
    let wanted = (ETHERNET + media.datagram.ip_length()) as u32;
    // SAFETY: the context is the one this program was called with.
    if ctx.len() > wanted && unsafe { bpf_skb_change_tail(ctx.skb.skb, wanted, 0) } != 0 {
        return Err(Reason::NotWritable);
    }
    Ok(())
}

/// [`classify()`], once the headers are where it can see them.
#[inline(always)]
fn look(ctx: &TcContext, segment: u16) -> Result<&'static mut Media, Reason> {
    let linear = ctx.data_end() - ctx.data();
    if (linear as u32) < LINEAR && ctx.len() as usize > linear {
        let wanted = if ctx.len() < LINEAR { ctx.len() } else { LINEAR };
        ctx.pull_data(wanted).map_err(|_| Reason::NotWritable)?;
    }
    // SAFETY: the span is the linear part of the packet, and nothing moves it while `packet` is in use.
    let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
    classify(packet.of_length(ctx.len() as usize), Station::Checked, segment)
}

/// What differs between the IP versions in the walk.
trait Version {
    /// Length of IP and UDP header.
    const HEADERS: u32;
    /// Where the UDP checksum field is.
    const CHECKSUM: u32;
    fn normalise(ctx: &TcContext) -> Result<(), Reason>;
    fn address(ctx: &TcContext, child: &Child, port: u16) -> Result<(), Reason>;
}

struct V4;
struct V6;

impl Version for V4 {
    const HEADERS: u32 = (IPV4 + UDP) as u32;
    const CHECKSUM: u32 = (V4_UDP + 6) as u32;
    #[inline(always)]
    fn normalise(ctx: &TcContext) -> Result<(), Reason> {
        rewrite::normalise_v4(headers(ctx)?);
        Ok(())
    }
    #[inline(always)]
    fn address(ctx: &TcContext, child: &Child, port: u16) -> Result<(), Reason> {
        rewrite::address_v4(headers(ctx)?, child, port);
        Ok(())
    }
}

impl Version for V6 {
    const HEADERS: u32 = (IPV6 + UDP) as u32;
    const CHECKSUM: u32 = (V6_UDP + 6) as u32;
    #[inline(always)]
    fn normalise(ctx: &TcContext) -> Result<(), Reason> {
        rewrite::normalise_v6(headers(ctx)?);
        Ok(())
    }
    #[inline(always)]
    fn address(ctx: &TcContext, child: &Child, port: u16) -> Result<(), Reason> {
        rewrite::address_v6(headers(ctx)?, child, port);
        Ok(())
    }
}

/// The first `N` bytes of the packet, writable. Every helper that may move the packet makes this stale.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the packet is not part of the context; see the SAFETY line")]
fn headers<const N: usize>(ctx: &TcContext) -> Result<&mut [u8; N], Reason> {
    let start = ctx.data();
    if start + N > ctx.data_end() {
        return Err(Reason::NotWritable);
    }
    // SAFETY: N bytes inside the packet, checked above; callers hold one such borrow at a time.
    Ok(unsafe { &mut *(start as *mut [u8; N]) })
}

/// The walk over the children: what every step needs, and what the steps change.
struct Walk {
    skb: *mut __sk_buff,
    span: Span,
    /// Audio or video, and 1 when the copies go to the RTCP port.
    kind: u8,
    rtcp: u8,
    captured: bool,
    /// What a copy counts as.
    packets: u32,
    bytes: u16,
    /// The largest IP packet among them.
    length: u32,
    /// The sender has a child's address: a child that is there, at this port, is left out.
    from_child: bool,
    sender: [u8; 16],
    sender_port: u16,
    /// The words in the UDP checksum that differ between children, as they stand in the packet now.
    addresses: u32,
    port: u32,
    now: u64,
    /// No copy of this packet has been refused so far.
    all_taken: bool,
    /// What becomes of the packet itself.
    verdict: i32,
}

/// In a frame of its own: the kernel allows 512 bytes of stack along a chain of calls, and looking and walking must not add up.
#[inline(never)]
fn walk<V: Version>(ctx: &TcContext, media: &Media, segment: u16, packets: u32) -> Result<i32, Reason> {
    let span = *INSTANCES.get(media.word.instance()).ok_or(Reason::NoFanoutSet)?;
    let own_port = word(media.datagram.destination_port);
    update_checksum::<V>(ctx, difference(word(media.datagram.source_port), own_port), false)?;
    V::normalise(ctx)?;
    let mut walk = Walk {
        skb: ctx.skb.skb,
        span,
        kind: media.kind & 1,
        rtcp: media.is_for_rtcp_ports() as u8,
        captured: media.is_captured(),
        packets,
        bytes: media.datagram.payload_length(),
        length: V::HEADERS + media.datagram.payload_length().min(segment) as u32,
        from_child: media.is_from_child(),
        sender: media.datagram.source,
        sender_port: media.datagram.source_port,
        addresses: source_and_destination::<V>(media),
        port: own_port,
        now: media.now,
        all_taken: true,
        // Not TC_ACT_STOLEN: tcx knows only pass, drop and redirect, and takes all else for "next" (kernel:
        // `tcx_action_code`), so that the packet, by then another child's, would reach the stack.
        verdict: TC_ACT_SHOT,
    };
    let step: extern "C" fn(u32, *mut Walk) -> i64 = step::<V>;
    // A loop of our own would be unrolled by the verifier, 256 times two IP versions; this it checks once.
    // SAFETY: `step` has the form that the helper calls, and `walk` lives until it returns.
    unsafe { bpf_loop(span.count, step as *mut c_void, (&raw mut walk).cast(), 0) };
    Ok(walk.verdict)
}

/// One child. One that fails does not stop the others.
extern "C" fn step<V: Version>(index: u32, walk: *mut Walk) -> i64 {
    // SAFETY: the pointer is the one that `walk` handed to the helper.
    let walk = unsafe { &mut *walk };
    let Some(slot) = MEMBERS.get(walk.span.first + index) else { return 1 };
    let Some(child) = CHILDREN.get(*slot) else { return 1 };
    match send::<V>(walk, child, index + 1 == walk.span.count) {
        Ok(()) => count::sent_all(child, walk.packets, walk.bytes),
        Err(reason) => count::failed_all(child, walk.packets, reason),
    }
    0
}

/// Puts a child's headers into the packet and sends a clone of it, or the packet itself if it is the last.
///
/// What becomes of the packet itself the kernel tells nobody. So the last child, too, gets a clone, unless its interface has
/// taken one within the last millisecond and no other child's copy of this packet was refused.
#[inline(always)]
fn send<V: Version>(walk: &mut Walk, child: &Child, last: bool) -> Result<(), Reason> {
    let ctx = &TcContext::new(walk.skb);
    let port = child.ports[(walk.kind & 1) as usize] + walk.rtcp as u16;
    if walk.from_child && walk.sender_port == port && walk.sender == child.destination {
        return Err(Reason::ChildIsSender);
    }
    if walk.length > child.mtu as u32 {
        return Err(Reason::TooBig);
    }
    update_checksum::<V>(ctx, difference(walk.addresses, child.address_sum), true)?;
    walk.addresses = child.address_sum;
    // Most children listen on the same port: nothing to change then.
    if walk.port != word(port) {
        update_checksum::<V>(ctx, difference(walk.port, word(port)), false)?;
        walk.port = word(port);
    }
    V::address(ctx, child, port)?;
    if walk.captured {
        capture::packet(ctx, ctx.len() as usize, child.ifindex, 1, load);
    }
    if last && walk.all_taken && is_proven(child.ifindex, walk.now) {
        // SAFETY: the helper only notes the interface; the redirect happens after this program.
        walk.verdict = unsafe { bpf_redirect(child.ifindex, 0) } as i32;
        return Ok(());
    }
    // SAFETY: the context is the one this program was called with.
    if unsafe { bpf_clone_redirect(walk.skb, child.ifindex, 0) } != 0 {
        walk.all_taken = false;
        return Err(Reason::EgressRefused);
    }
    if last {
        prove(child.ifindex, walk.now);
    }
    Ok(())
}

/// How long it holds that an interface has taken a copy, ns.
const PROOF: u64 = 1_000_000;

#[inline(always)]
fn is_proven(ifindex: u32, now: u64) -> bool {
    let Some(proof) = PROVEN.get_ptr(ifindex % PROOFS as u32) else { return false };
    // SAFETY: this CPU's own.
    let proof = unsafe { &*proof };
    proof.ifindex == ifindex && now.wrapping_sub(proof.since) < PROOF
}

#[inline(always)]
fn prove(ifindex: u32, now: u64) {
    if let Some(proof) = PROVEN.get_ptr_mut(ifindex % PROOFS as u32) {
        // SAFETY: this CPU's own.
        unsafe { *proof = Proof { since: now, ifindex, reserved: 0 } };
    }
}

/// Adds to the UDP checksum. `pseudo`: the words are part of the pseudo-header, which is all that a checksum left to
/// hardware contains.
#[inline(always)]
fn update_checksum<V: Version>(ctx: &TcContext, change: u32, pseudo: bool) -> Result<(), Reason> {
    let pseudo = if pseudo { BPF_F_PSEUDO_HDR as u64 } else { 0 };
    let flags = BPF_F_MARK_MANGLED_0 as u64 | pseudo;
    // SAFETY: the context is the one this program was called with.
    match unsafe { bpf_l4_csum_replace(ctx.skb.skb, V::CHECKSUM, 0, change as u64, flags) } {
        0 => Ok(()),
        _ => Err(Reason::NotWritable),
    }
}

/// What the helper adds to a sum in which `old` becomes `new`.
#[inline(always)]
fn difference(old: u32, new: u32) -> u32 {
    checksum::fold(new) as u32 + (!checksum::fold(old)) as u32
}

/// A port as a word of the checksum.
#[inline(always)]
fn word(port: u16) -> u32 {
    port.to_be() as u32
}

#[inline(always)]
fn source_and_destination<V: Version>(media: &Media) -> u32 {
    let datagram = &media.datagram;
    if V::HEADERS == V4::HEADERS {
        let [.., a, b, c, d] = datagram.source;
        let [.., e, f, g, h] = datagram.destination;
        checksum::sum(&[a, b, c, d, e, f, g, h])
    } else {
        checksum::sum(&datagram.source) + checksum::sum(&datagram.destination)
    }
}

#[inline(always)]
fn load(ctx: &TcContext, to: *mut u8, length: u32) -> i64 {
    load_at(ctx.skb.skb, 0, to, length)
}

/// Fetches `length` bytes of the packet, from that one on.
#[inline(always)]
pub fn load_at(skb: *mut __sk_buff, at: u32, to: *mut u8, length: u32) -> i64 {
    // SAFETY: `to` has room for `length` bytes, as the caller says.
    unsafe { bpf_skb_load_bytes(skb.cast(), at, to.cast(), length) as i64 }
}
