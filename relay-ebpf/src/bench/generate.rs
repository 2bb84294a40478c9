//! The generator: run as live frames by BPF_PROG_TEST_RUN, it sends as fast as it can or on an exact schedule.

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::Array;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_loop, bpf_redirect};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use relay_common::checksum;

use crate::judge::HEADERS;

/// Bytes that it writes: all headers, RTP's too, and the first words of the payload.
const WRITTEN: usize = 80;
const RTP: usize = HEADERS;
/// Packets between two looks at the clock, when it sends as fast as it can.
const BATCH: u64 = 16;
/// Longest wait of one frame for its time, ns. What comes too early is not sent, and the next frame waits on: softirqs of
/// this CPU get their turn in between.
const PATIENCE: u64 = 4_000;
/// Turns of the waiting loop; each takes at least 20 ns, so it is the clock that ends it.
const TURNS: u32 = 1_000;

/// The first bytes of a packet, with 0 for whatever differs between packets.
#[unsafe(no_mangle)]
static TEMPLATE: Global<[u64; WRITTEN / 8]> = Global::new([0; WRITTEN / 8]);
/// The sum over everything that the UDP checksum covers, of the template.
#[unsafe(no_mangle)]
static CHECKSUM: Global<u32> = Global::new(0);
/// Interface that the generator sends on.
#[unsafe(no_mangle)]
static IFINDEX: Global<u32> = Global::new(0);

/// How to send, written before each run: picoseconds between packets (0: as fast as it can), packets (then frames are
/// dropped), streams that take turns, the first one's SSRC.
#[btf_map]
static SCHEDULE: Array<[u64; 4], 1> = Array::new();
/// Where the generator is: packets since it was loaded, those of this run, and when (CLOCK_MONOTONIC ns) the first and the
/// last (as fast as it can: of a batch) went. The user zeroes all but the first number.
#[btf_map]
static PROGRESS: Array<[u64; 4], 1> = Array::new();

/// Frames are recycled: every packet gets its headers anew.
#[xdp]
pub fn bench_generate(ctx: XdpContext) -> u32 {
    let (Some(progress), Some(schedule)) = (PROGRESS.get_ptr_mut(0), SCHEDULE.get(0)) else {
        return xdp_action::XDP_ABORTED;
    };
    let start = ctx.data();
    if start + WRITTEN > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    let [step, packets, streams, first_ssrc] = *schedule;
    // SAFETY: the slot is written by this program alone, which one thread runs.
    let [count, sent, first, last] = unsafe { &mut *progress };
    if *sent >= packets {
        return xdp_action::XDP_DROP;
    }
    let mut now = *last;
    if step != 0 {
        now = clock();
        if *sent > 0 {
            let due = *first + *sent * step / 1000;
            if now < due {
                let until = if due - now > PATIENCE { now + PATIENCE } else { due };
                now = wait(until);
                if now < due {
                    return xdp_action::XDP_DROP;
                }
            }
        }
        *last = now;
    } else if *sent % BATCH == 0 {
        now = clock();
        *last = now;
    }
    if *sent == 0 {
        *first = now;
    }
    let number = *count as u32;
    *count += 1;
    *sent += 1;
    // Checked, or the compiler would want to panic.
    let turn = number.checked_div(streams as u32).unwrap_or(0);
    let ssrc = (first_ssrc as u32).wrapping_add(number.checked_rem(streams as u32).unwrap_or(0));
    let timestamp = turn.wrapping_mul(960);
    // SAFETY: 80 bytes inside the packet, checked above. The kernel puts a live frame at a multiple of 8 bytes, and the
    // fields written after the template lie at even offsets.
    unsafe {
        *(start as *mut [u64; WRITTEN / 8]) = TEMPLATE.load();
        let mut sum = CHECKSUM.load();
        sum += write(start + RTP + 2, turn as u16);
        sum += write(start + RTP + 4, (timestamp >> 16) as u16) + write(start + RTP + 6, timestamp as u16);
        sum += write(start + RTP + 8, (ssrc >> 16) as u16) + write(start + RTP + 10, ssrc as u16);
        // The probe of `judge`: which packet of all, and when.
        sum += write(start + RTP + 12, (number >> 16) as u16) + write(start + RTP + 14, number as u16);
        sum += write(start + RTP + 16, (now >> 48) as u16) + write(start + RTP + 18, (now >> 32) as u16);
        sum += write(start + RTP + 20, (now >> 16) as u16) + write(start + RTP + 22, now as u16);
        let field = !checksum::fold(sum);
        *((start + HEADERS - 2) as *mut u16) = if field == 0 { 0xffff } else { field };
        bpf_redirect(IFINDEX.load(), 0) as u32
    }
}

/// Writes a word in network order; gives what it adds to the checksum.
///
/// # Safety
/// `at` must be even and inside the packet.
#[inline(always)]
unsafe fn write(at: usize, word: u16) -> u32 {
    let word = word.to_be();
    // SAFETY: as the caller says.
    unsafe { *(at as *mut u16) = word };
    word as u32
}

#[inline(always)]
fn clock() -> u64 {
    // SAFETY: the helper takes no arguments and only reads the clock.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
fn wait(until: u64) -> u64 {
    let mut end = [until, 0];
    let turn: extern "C" fn(u32, *mut [u64; 2]) -> i64 = turn;
    // SAFETY: `turn` has the form that the helper calls, and `end` lives until it returns.
    unsafe { bpf_loop(TURNS, turn as *mut c_void, (&raw mut end).cast(), 0) };
    end[1]
}

extern "C" fn turn(_index: u32, end: *mut [u64; 2]) -> i64 {
    // SAFETY: the pointer is the one that `wait` handed to the helper.
    let end = unsafe { &mut *end };
    end[1] = clock();
    (end[1] >= end[0]) as i64
}
