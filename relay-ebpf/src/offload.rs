//! UDP checksums that a local sender left to its hardware. XDP sees such packets as they are, with only the
//! pseudo-header's sum in the field, and what it redirects never meets the hardware again.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_csum_diff, bpf_loop, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;
use relay_common::checksum;
use relay_common::parse::{ETHERNET, Family, IPV4, IPV6};
use relay_common::reason::Reason;

use crate::media::Media;

/// Bytes summed at a time.
const CHUNK: usize = 64;
/// Chunks of the largest UDP datagram, 65,535 bytes; no frame that XDP sees has that many.
const CHUNKS: u32 = 1024;

/// Completes the checksum of an untagged frame whose sender left it to hardware. A field that happens to be the
/// pseudo-header's sum, as one in 65,536 is, but is right as it stands, stays.
#[inline(always)]
pub fn mend(ctx: &XdpContext, media: &mut Media, addresses: u32) -> Result<(), Reason> {
    let datagram = &media.datagram;
    if datagram.checksum == [0, 0]
        || datagram.checksum != checksum::partial_udp(addresses, datagram.udp_length)
    {
        return Ok(());
    }
    match datagram.family {
        Family::V4 => complete::<{ ETHERNET + IPV4 }>(ctx, media, addresses),
        Family::V6 => complete::<{ ETHERNET + IPV6 }>(ctx, media, addresses),
    }
}

/// `UDP`: where the UDP header is.
#[inline(always)]
fn complete<const UDP: usize>(ctx: &XdpContext, media: &mut Media, addresses: u32) -> Result<(), Reason> {
    if sum_datagram(ctx, media, UDP as u32) != 0 {
        return Err(Reason::NotWritable);
    }
    let datagram = &media.datagram;
    let without = checksum::fold(media.sum) as u32 + (!u16::from_ne_bytes(datagram.checksum)) as u32;
    let right = checksum::full_udp(addresses, datagram.udp_length, without);
    if right == datagram.checksum {
        return Ok(());
    }
    let at = ctx.data() + UDP + 6;
    if at + 2 > ctx.data_end() {
        return Err(Reason::NotWritable);
    }
    // SAFETY: two bytes inside the packet, checked above.
    unsafe { *(at as *mut [u8; 2]) = right };
    Ok(())
}

/// What the steps of [`sum_datagram`] share. Where each one is follows from its number, and the sum is in a map: what is
/// carried from step to step on the stack, the verifier follows from step to step.
struct Sum {
    ctx: *mut xdp_md,
    media: *mut Media,
    at: u32,
    failed: u32,
}

/// Sums up UDP header and payload, which begin at `at`, into `media.sum`; not 0 when the packet has fewer bytes. Apart from
/// the rest, and a step for each chunk by the kernel's own loop: the verifier walks it once.
#[inline(never)]
fn sum_datagram(ctx: &XdpContext, media: &mut Media, at: u32) -> u32 {
    media.sum = 0;
    let mut sum = Sum { ctx: ctx.ctx, media, at, failed: 0 };
    let step: extern "C" fn(u32, *mut Sum) -> i64 = add_chunk;
    // SAFETY: `add_chunk` has the form that the helper calls, and `sum` lives until it returns.
    unsafe { bpf_loop(CHUNKS, step as *mut c_void, (&raw mut sum).cast(), 0) };
    sum.failed
}

extern "C" fn add_chunk(index: u32, sum: *mut Sum) -> i64 {
    // SAFETY: the pointers are those that `sum_datagram` handed to the helper.
    let (sum, media) = unsafe { (&mut *sum, &mut *(*sum).media) };
    let done = index * CHUNK as u32;
    let length = media.datagram.udp_length as u32;
    if done >= length {
        return 1;
    }
    let left = length - done;
    let mut chunk = MaybeUninit::<[u64; CHUNK / 8]>::uninit();
    let words: *mut u64 = chunk.as_mut_ptr().cast();
    let length = if left < CHUNK as u32 { left } else { CHUNK as u32 };
    // For the verifier, which does not see that it is not 0: 1..=CHUNK.
    let length = ((core::hint::black_box(length).wrapping_sub(1)) & (CHUNK as u32 - 1)) + 1;
    // SAFETY: `chunk` has room for `length` bytes; the sum is of what it has then, zeros behind those. One by one and
    // volatile: else the compiler calls a function that goes byte by byte, each of which the verifier would walk.
    let added = unsafe {
        words.write_volatile(0);
        words.add(1).write_volatile(0);
        words.add(2).write_volatile(0);
        words.add(3).write_volatile(0);
        words.add(4).write_volatile(0);
        words.add(5).write_volatile(0);
        words.add(6).write_volatile(0);
        words.add(7).write_volatile(0);
        if bpf_xdp_load_bytes(sum.ctx, sum.at + done, words.cast(), length) != 0 {
            sum.failed = 1;
            return 1;
        }
        bpf_csum_diff(core::ptr::null_mut(), 0, words.cast(), CHUNK as u32, 0)
    };
    media.sum += checksum::fold(added as u32) as u32;
    0
}
