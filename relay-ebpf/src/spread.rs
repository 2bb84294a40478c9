//! XDP ingress where several CPUs copy (`--cpus`). A network card puts packets into its queues by addresses and ports, and all
//! media between two relays has the same ones: one queue, one CPU. Here each stream gets a CPU of its own choice, by SSRC.
//!
//! All of a stream's packets, RTP and RTCP, go to one CPU. So they stay in order, the stream's entry keeps its one writer,
//! and what is kept per CPU between ingress and copy is kept there: the kernel runs a cpumap's program, like a driver's poll,
//! with softirqs off.

use aya_ebpf::macros::{raw_tracepoint, xdp};
use aya_ebpf::programs::{RawTracePointContext, XdpContext};
use relay_common::packet::Packet;
use relay_common::reason::Reason;

use crate::classify::{Station, look};
use crate::maps::{CPUS, SPREAD};
use crate::xdp::verdict;
use crate::{books, count};

#[xdp]
pub fn relay_spread(ctx: XdpContext) -> u32 {
    verdict(&ctx, spread(&ctx))
}

/// Counts nothing of what it queues: that is the cpumap program's.
#[inline(always)]
fn spread(ctx: &XdpContext) -> Result<u32, Reason> {
    // SAFETY: the span is the packet, for as long as this program runs; nothing moves its ends.
    let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
    let media = look(packet, Station::Unchecked, u16::MAX)?;
    if media.is_feedback() {
        // For the stack, and so not by way of a queue: on a virtual network its checksum may be unfinished, and behind the
        // queue nobody remembers that it need not be right.
        books::keep(media)?;
    }
    let spread = SPREAD.get(0).ok_or(Reason::CpuBusy)?;
    CPUS.redirect(spread.cpu(&media.key), 0).map_err(|_| Reason::CpuBusy)
}

/// Positions in the arguments of `xdp_cpumap_enqueue`: map, processed, drops, CPU.
const MAP: usize = 0;
/// See [`MAP`].
const DROPS: usize = 2;

/// Counts what found its CPU's queue full. The kernel queues in bulk, up to 8 packets, and tells the result only here. It runs
/// for every cpumap of the machine; ours is told by its number.
#[raw_tracepoint(tracepoint = "xdp_cpumap_enqueue")]
pub fn relay_busy(ctx: RawTracePointContext) -> i32 {
    let Some(spread) = SPREAD.get(0) else { return 0 };
    let map: u32 = ctx.arg(MAP);
    let drops: u32 = ctx.arg(DROPS);
    if spread.map == map && drops > 0 {
        count::drops(Reason::CpuBusy, drops as u64);
    }
    0
}
