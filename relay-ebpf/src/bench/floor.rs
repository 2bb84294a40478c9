//! The least that a copy costs by either kernel path: nothing is looked up and nothing rewritten.

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::bindings::{__sk_buff, BPF_F_BROADCAST, TC_ACT_OK, xdp_action};
use aya_ebpf::btf_maps::DevMap;
use aya_ebpf::helpers::{bpf_clone_redirect, bpf_loop, bpf_redirect};
use aya_ebpf::macros::{btf_map, classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use relay_common::packet::{Packet, be16};

use crate::judge::{HEADERS, PORT};

/// Copies of each packet, and the interface they leave by.
#[unsafe(no_mangle)]
static COPIES: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static OUT: Global<u32> = Global::new(0);

/// As large as the fan-out: the loader sets it.
#[btf_map]
static FLOOR: DevMap<1> = DevMap::new();

/// The bare kernel broadcast.
#[xdp]
pub fn bench_floor(_ctx: XdpContext) -> u32 {
    FLOOR.redirect(0, BPF_F_BROADCAST as u64).unwrap_or(xdp_action::XDP_ABORTED)
}

/// The devmap program that does nothing.
#[xdp(map = "devmap")]
pub fn bench_empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// The bare loop of clones; the last child takes the packet itself. It has to know media from ARP, or nothing would work.
#[classifier]
pub fn bench_floor_tc(ctx: TcContext) -> i32 {
    // SAFETY: the span is the linear part of the packet, which nothing moves while it is looked at.
    let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
    let Some(headers) = packet.bytes::<HEADERS>(0) else { return TC_ACT_OK };
    if be16(headers, 12) != 0x0800 || be16(headers, 36) != PORT {
        return TC_ACT_OK;
    }
    // The helper hands on only what is on the stack.
    let mut skb = ctx.skb.skb;
    let step: extern "C" fn(u32, *mut *mut __sk_buff) -> i64 = clone;
    // SAFETY: `clone` has the form that the helper calls, and `skb` lives until it returns.
    unsafe {
        bpf_loop(COPIES.load() - 1, step as *mut c_void, (&raw mut skb).cast(), 0);
        bpf_redirect(OUT.load(), 0) as i32
    }
}

extern "C" fn clone(_index: u32, skb: *mut *mut __sk_buff) -> i64 {
    // SAFETY: the pointer is the one that was handed to the helper, and what it points at is the program's context.
    unsafe { bpf_clone_redirect(*skb, OUT.load(), 0) };
    0
}
