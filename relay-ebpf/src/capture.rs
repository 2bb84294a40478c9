//! `relay-ctl capture`: XDP's traffic is invisible to tcpdump, so the relay has a tap of its own. Off, it costs one
//! array look-up a packet.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use relay_common::layout::{CAPTURE_SNAP, CaptureHead, StreamKey};

use crate::maps::{CAPTURE, CAPTURE_FILTER};

/// One entry of the ring: head and bytes together.
#[repr(C)]
struct Entry {
    head: CaptureHead,
    bytes: [u8; CAPTURE_SNAP],
}

/// Is somebody capturing this stream now?
#[inline(always)]
pub fn wanted(key: &StreamKey, now: u64) -> bool {
    let Some(filter) = CAPTURE_FILTER.get(0) else { return false };
    filter.until > now
        && (filter.any_ssrc != 0 || filter.ssrc == key.ssrc)
        && (filter.port == 0 || filter.port == key.port as u32)
}

/// Copies the packet into the ring. `load` fetches bytes of the packet (the helper differs between XDP and tc).
#[inline(always)]
pub fn packet<C: EbpfContext>(
    context: &C,
    length: usize,
    ifindex: u32,
    outgoing: u32,
    load: impl FnOnce(&C, *mut u8, u32) -> i64,
) {
    let Some(mut entry) = CAPTURE.reserve_untyped::<Entry>(0) else { return };
    let kept = if length > CAPTURE_SNAP { CAPTURE_SNAP } else { length };
    // The mask tells the verifier what the line above says.
    let kept = (kept as u32) & 0x7ff;
    let entry_ptr = entry.as_mut_ptr();
    // SAFETY: the reservation is as large as Entry; each field is written before it is submitted.
    unsafe {
        (*entry_ptr).head =
            CaptureHead { time: bpf_ktime_get_ns(), ifindex, length: length as u32, kept, outgoing };
        if kept == 0
            || kept as usize > CAPTURE_SNAP
            || load(context, (&raw mut (*entry_ptr).bytes).cast(), kept) != 0
        {
            entry.discard(0);
            return;
        }
    }
    entry.submit(0);
}
