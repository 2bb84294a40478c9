//! What the drivers made of the copies. The kernel hands XDP frames over in bulk and tells the result only to this
//! tracepoint, so it runs once for up to 16 copies.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use relay_common::layout::BULK;
use relay_common::reason::Reason;

use crate::count;
use crate::maps::{CHILD_STATS, EGRESS, PENDING};

/// Offsets in `xdp:xdp_devmap_xmit`, see its `format` file in tracefs.
const TO_IFINDEX: usize = 16;
const DROPS: usize = 20;
const SENT: usize = 24;

#[tracepoint(category = "xdp", name = "xdp_devmap_xmit")]
pub fn relay_xmit(ctx: TracePointContext) -> u32 {
    // SAFETY: the offsets are those of the event's fields, all of them int.
    let fields =
        unsafe { (ctx.read_at::<u32>(TO_IFINDEX), ctx.read_at::<i32>(DROPS), ctx.read_at::<i32>(SENT)) };
    let (Ok(to), Ok(refused), Ok(sent)) = fields else { return 0 };
    let refused = if refused > 0 { refused as u32 } else { 0 };
    let sent = if sent > 0 { sent as u32 } else { 0 };
    // Only interfaces that user space entered are the relay's.
    if let Some(egress) = EGRESS.get_ptr_mut(&to) {
        // SAFETY: this CPU's own counters.
        unsafe {
            (*egress).sent += sent as u64;
            (*egress).refused += refused as u64;
        }
    }
    let Some(pending) = PENDING.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own.
    let pending = unsafe { &mut *pending };
    if pending.ifindex == to && pending.count == sent + refused && pending.count as usize <= BULK {
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
    count::drops(Reason::EgressRefused, 1);
    if let Some(stats) = CHILD_STATS.get_ptr_mut(counter) {
        // SAFETY: this CPU's own counters.
        unsafe { (*stats).errors += 1 };
    }
}
