//! Counters. Each belongs to one CPU, so plain additions are enough.

use aya_ebpf::Global;
use relay_common::layout::Child;
use relay_common::reason::Reason;

use crate::maps::{CHILD_STATS, DROPS};

/// 0: neither streams nor children are counted, for the benchmark that says what this costs. The loader sets it before the
/// verifier looks, which leaves out what is never run.
#[unsafe(no_mangle)]
static STATISTICS: Global<u8> = Global::new(1);

/// Whether streams and children are counted.
#[inline(always)]
pub fn wanted() -> bool {
    STATISTICS.load() != 0
}

/// Counts `times` packets or copies as not forwarded for `reason`.
#[inline(always)]
pub fn drops(reason: Reason, times: u64) {
    if let Some(counter) = DROPS.get_ptr_mut(reason as u32) {
        // SAFETY: a per-CPU slot; BPF programs of this kind are not preempted by one another on their CPU.
        unsafe { *counter += times };
    }
}

/// Counts one copy as given to the egress interface.
#[inline(always)]
pub fn sent(child: &Child, bytes: u16) {
    sent_all(child, 1, bytes);
}

/// Counts one packet's or several packets' copies as given to the egress interface, so many bytes in all.
#[inline(always)]
pub fn sent_all(child: &Child, packets: u32, bytes: u16) {
    if wanted()
        && let Some(stats) = CHILD_STATS.get_ptr_mut(child.counter)
    {
        // SAFETY: as in `drops`.
        unsafe {
            (*stats).packets += packets as u64;
            (*stats).bytes += bytes as u64;
        }
    }
}

/// Counts one copy as not sent.
#[inline(always)]
pub fn failed(child: &Child, reason: Reason) {
    failed_all(child, 1, reason);
}

/// Counts one packet's or several packets' copies as not sent.
#[inline(always)]
pub fn failed_all(child: &Child, packets: u32, reason: Reason) {
    drops(reason, packets as u64);
    if let Some(stats) = CHILD_STATS.get_ptr_mut(child.counter) {
        // SAFETY: as in `drops`.
        unsafe {
            (*stats).errors += packets as u64;
            if matches!(reason, Reason::TooBig) {
                (*stats).too_big += packets as u64;
            }
        }
    }
}
