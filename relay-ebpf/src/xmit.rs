//! What the drivers made of the copies. The kernel hands XDP frames over in bulk and tells the result only to this
//! tracepoint, so it runs once for up to 16 copies.

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::maps::EGRESS;

/// Offsets in `xdp:xdp_devmap_xmit`, see its `format` file in tracefs.
const TO_IFINDEX: usize = 16;
const DROPS: usize = 20;
const SENT: usize = 24;

#[tracepoint(category = "xdp", name = "xdp_devmap_xmit")]
pub fn relay_xmit(ctx: TracePointContext) -> u32 {
    // SAFETY: the offsets are those of the event's fields, all of them int.
    let fields = unsafe { (ctx.read_at::<u32>(TO_IFINDEX), ctx.read_at::<i32>(DROPS), ctx.read_at::<i32>(SENT)) };
    let (Ok(to), Ok(drops), Ok(sent)) = fields else { return 0 };
    // Only interfaces that user space entered are the relay's.
    if let Some(egress) = EGRESS.get_ptr_mut(&to) {
        // SAFETY: this CPU's own counters.
        unsafe {
            if sent > 0 {
                (*egress).sent += sent as u64;
            }
            if drops > 0 {
                (*egress).refused += drops as u64;
            }
        }
    }
    0
}
