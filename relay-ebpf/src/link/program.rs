//! The program at both interfaces.

use aya_ebpf::Global;
use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use crate::{fate, packet};

/// The two interfaces.
#[unsafe(no_mangle)]
static UPPER: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static LOWER: Global<u32> = Global::new(0);

/// Way 0 is from the upper interface to the lower one.
#[classifier]
pub fn link(ctx: TcContext) -> i32 {
    // SAFETY: the context is valid while the program runs.
    let upwards = unsafe { (*ctx.skb.skb).ifindex } == LOWER.load();
    if packet::look(&ctx).is_some_and(|packet| fate::is_lost(upwards as u32, packet)) {
        return TC_ACT_SHOT;
    }
    let to = if upwards { UPPER.load() } else { LOWER.load() };
    // SAFETY: the helper takes numbers only.
    unsafe { bpf_redirect(to, 0) as i32 }
}
