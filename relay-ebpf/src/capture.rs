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

const _: () = assert!(CAPTURE_SNAP.is_power_of_two());

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
    // For the verifier, which does not see that a packet has bytes: 1..=CAPTURE_SNAP.
    let kept = ((core::hint::black_box(kept as u32).wrapping_sub(1)) & (CAPTURE_SNAP as u32 - 1)) + 1;
    let entry_ptr = entry.as_mut_ptr();
    // SAFETY: the reservation is as large as Entry; each field is written before it is submitted.
    unsafe {
        (*entry_ptr).head =
            CaptureHead { time: bpf_ktime_get_ns(), ifindex, length: length as u32, kept, outgoing };
        if load(context, (&raw mut (*entry_ptr).bytes).cast(), kept) != 0 {
            entry.discard(0);
            return;
        }
    }
    entry.submit(0);
}
