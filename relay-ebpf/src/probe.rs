//! Sends the frame it is run on out of one interface the way xdp sends copies, and hears what became of it. Run by the
//! daemon, never attached to an interface.
//!
//! The kernel tells the outcome to one of two tracepoints, on the same CPU and before anything else is sent there: to
//! `xdp_redirect_err` when it does not even ask the driver, to `xdp_devmap_xmit` when it does.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::{btf_map, raw_tracepoint, xdp};
use aya_ebpf::programs::{RawTracePointContext, XdpContext};
use relay_common::probe::{ERROR, OUTCOME, REFUSED, SENT, TARGET, WORDS};

/// See [`relay_common::probe`].
#[btf_map]
static PROBE: Array<u32, { WORDS as usize }> = Array::new();
/// 1 on the CPU on which a probe frame is on its way.
#[btf_map]
static PROBING: PerCpuArray<u32, 1> = PerCpuArray::new();

/// Arguments of `xdp_devmap_xmit`: from, to, sent, drops, error.
const XMIT_SENT: usize = 2;
/// See [`XMIT_SENT`].
const XMIT_ERROR: usize = 4;
/// Arguments of `xdp_redirect_err`: device, program, target, error, kind of map, map, index.
const REDIRECT_ERROR: usize = 3;

#[xdp]
pub fn relay_probe(_ctx: XdpContext) -> u32 {
    let Some(ifindex) = PROBE.get(TARGET) else { return xdp_action::XDP_ABORTED };
    let Some(probing) = PROBING.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: this CPU's own.
    unsafe { *probing = 1 };
    // SAFETY: the helper only notes the interface; the redirect happens after this program.
    unsafe { bpf_redirect(*ifindex, 0) as u32 }
}

/// The driver was asked.
#[raw_tracepoint(tracepoint = "xdp_devmap_xmit")]
pub fn probe_asked(ctx: RawTracePointContext) -> i32 {
    if is_ours() {
        let sent: i32 = ctx.arg(XMIT_SENT);
        tell(if sent > 0 { SENT } else { REFUSED }, ctx.arg(XMIT_ERROR));
    }
    0
}

/// The driver was not even asked.
#[raw_tracepoint(tracepoint = "xdp_redirect_err")]
pub fn probe_refused(ctx: RawTracePointContext) -> i32 {
    if is_ours() {
        tell(REFUSED, ctx.arg(REDIRECT_ERROR));
    }
    0
}

/// These tracepoints hear of every XDP transmission on the machine. True once for each probe frame.
#[inline(always)]
fn is_ours() -> bool {
    let Some(probing) = PROBING.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own.
    let probing = unsafe { &mut *probing };
    core::mem::replace(probing, 0) == 1
}

#[inline(always)]
fn tell(outcome: u32, error: i32) {
    let words = [(ERROR, error.unsigned_abs()), (OUTCOME, outcome)];
    for (word, value) in words {
        if let Some(place) = PROBE.get_ptr_mut(word) {
            // SAFETY: one frame is probed at a time, so nobody else writes here.
            unsafe { *place = value };
        }
    }
}
