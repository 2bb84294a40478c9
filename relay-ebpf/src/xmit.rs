//! What the drivers made of the copies. The kernel hands XDP frames over in bulk and tells the result only to this
//! tracepoint, so it runs once for up to 16 copies.
//!
//! It hears of every XDP transmission on the machine, in every network namespace. `PENDING` tells ours: the devmap
//! program noted the copies of this very bulk on this CPU just before.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use relay_common::layout::{BULK, CURSORS, NOBODY};
use relay_common::reason::Reason;

use crate::count;
use crate::maps::{CHILD_STATS, EGRESS, PENDING};

/// Position of `sent` in the arguments of `xdp_devmap_xmit`: from, to, sent, drops, error.
const SENT: usize = 2;

#[raw_tracepoint(tracepoint = "xdp_devmap_xmit")]
pub fn relay_xmit(ctx: RawTracePointContext) -> i32 {
    let Some(pending) = PENDING.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own.
    let pending = unsafe { &mut *pending };
    if pending.count == 0 {
        return 0;
    }
    let sent: i32 = ctx.arg(SENT);
    let sent = if sent > 0 { sent as u32 } else { 0 };
    // Not the tracepoint's own count of drops: that has the copies that the devmap program dropped as well.
    let refused = pending.count.saturating_sub(sent);
    if let Some(egress) = EGRESS.get_ptr_mut(pending.ifindex % CURSORS) {
        // SAFETY: this CPU's own counters.
        unsafe {
            (*egress).sent += sent as u64;
            (*egress).refused += refused as u64;
        }
    }
    if refused > 0 {
        // The driver takes frames from the front; what it refused is the tail.
        for at in 0..BULK {
            if at as u32 >= sent && (at as u32) < pending.count {
                refuse(pending.children[at]);
            }
        }
    }
    pending.count = 0;
    0
}

#[inline(always)]
fn refuse(counter: u32) {
    if counter == NOBODY {
        return;
    }
    count::drops(Reason::EgressRefused, 1);
    if let Some(stats) = CHILD_STATS.get_ptr_mut(counter) {
        // SAFETY: this CPU's own counters.
        unsafe { (*stats).errors += 1 };
    }
}
