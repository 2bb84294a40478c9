//! The receivers: every child's packets are counted and judged by the number in them, stamped against the clock if wanted,
//! and dropped.

use aya_ebpf::Global;
use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT, xdp_action};
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{btf_map, classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use relay_common::packet::{Packet, be16};

/// Ethernet, IPv4 and UDP header.
pub const HEADERS: usize = 14 + 20 + 8;
/// Where media comes to, at the relay and at the first children.
pub const PORT: u16 = 5002;

/// Children: 128 addresses from 10.0.2.11 on, at port 5002, and the same at port 5012.
const CHILDREN: usize = 256;
const ADDRESSES: u8 = 128;
const FIRST_CHILD: [u8; 4] = [10, 0, 2, 11];
const PORT_STEP: u16 = 10;
/// Headers, RTP header and the probe: number and time.
const JUDGED: usize = HEADERS + 12 + 12;
/// Stamps kept.
const STAMPS: usize = 1 << 20;

/// 1: keep how long each packet took.
#[unsafe(no_mangle)]
static STAMPING: Global<u32> = Global::new(0);

/// What came for one child.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Receiver {
    packets: u64,
    /// Numbers that were jumped over.
    missing: u64,
    /// Below the highest number seen: late, or there twice.
    late: u64,
    /// The number expected next.
    next: u64,
    /// The number that ends a run, and when it came.
    last: u64,
    ended: u64,
}

/// By child; the last one is for packets to nobody in particular, which the floors make.
#[btf_map]
static RECEIVERS: PerCpuArray<Receiver, { CHILDREN + 1 }> = PerCpuArray::new();
/// ns from the generator to here, and how many there are. One receive queue, so one writer.
#[btf_map]
static TOOK: Array<u64, STAMPS> = Array::new();
#[btf_map]
static STAMPED: Array<u64, 1> = Array::new();

/// ARP and the rest go to the stack.
#[xdp]
pub fn bench_sink(ctx: XdpContext) -> u32 {
    // SAFETY: the span is the packet, which nothing moves while it is looked at.
    let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
    if judge(packet) { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
}

/// [`bench_sink`] for receivers that XDP would cost a copy of every socket buffer.
#[classifier]
pub fn bench_sink_tc(ctx: TcContext) -> i32 {
    // What the kernel has cut from a larger packet has its payload elsewhere.
    if ctx.data_end() - ctx.data() < JUDGED && ctx.pull_data(JUDGED as u32).is_err() {
        return TC_ACT_OK;
    }
    // SAFETY: the span is the linear part of the packet, which nothing moves while it is looked at.
    let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
    if judge(packet) { TC_ACT_SHOT } else { TC_ACT_OK }
}

#[inline(always)]
fn judge(packet: Packet<'_>) -> bool {
    let Some(bytes) = packet.bytes::<JUDGED>(0) else { return false };
    if be16(bytes, 12) != 0x0800 || bytes[23] != 17 {
        return false;
    }
    let group = match be16(bytes, 36).wrapping_sub(PORT) {
        0 => 0,
        PORT_STEP => ADDRESSES as usize,
        _ => return false,
    };
    let [a, b, c, first] = FIRST_CHILD;
    let host = bytes[33].wrapping_sub(first);
    let known = bytes[30] == a && bytes[31] == b && bytes[32] == c && host < ADDRESSES;
    let child = if known { group + host as usize } else { CHILDREN };
    let Some(receiver) = RECEIVERS.get_ptr_mut(child as u32) else { return false };
    // SAFETY: this CPU's own slot.
    let receiver = unsafe { &mut *receiver };
    let number = (be16(bytes, HEADERS + 12) as u32) << 16 | be16(bytes, HEADERS + 14) as u32;
    receiver.packets += 1;
    let ahead = number.wrapping_sub(receiver.next as u32);
    if ahead == 0 {
        receiver.next += 1;
    } else if ahead < 1 << 31 {
        receiver.missing += ahead as u64;
        receiver.next += ahead as u64 + 1;
    } else {
        receiver.late += 1;
    }
    if number == receiver.last as u32 {
        receiver.ended = clock();
    }
    if STAMPING.load() != 0 {
        stamp(bytes);
    }
    true
}

#[inline(always)]
fn stamp(bytes: &[u8; JUDGED]) {
    let now = clock();
    let mut sent = 0;
    let mut at = HEADERS + 16;
    while at < JUDGED {
        sent = sent << 16 | be16(bytes, at) as u64;
        at += 2;
    }
    let Some(stamped) = STAMPED.get_ptr_mut(0) else { return };
    // SAFETY: one writer, see above.
    let index = unsafe {
        *stamped += 1;
        *stamped - 1
    };
    if let Some(took) = TOOK.get_ptr_mut(index as u32) {
        // SAFETY: as above.
        unsafe { *took = now.saturating_sub(sent) };
    }
}

#[inline(always)]
fn clock() -> u64 {
    // SAFETY: the helper takes no arguments and only reads the clock.
    unsafe { bpf_ktime_get_ns() }
}
