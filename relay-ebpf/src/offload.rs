//! UDP checksums that a local sender left to its hardware. XDP sees such packets as they are, with only the
//! pseudo-header's sum in the field, and what it redirects never meets the hardware again.

use aya_ebpf::helpers::bpf_csum_diff;
use aya_ebpf::programs::XdpContext;
use relay_common::checksum;
use relay_common::parse::{Datagram, ETHERNET, Family, IPV6};
use relay_common::reason::Reason;

/// Largest UDP datagram summed: what fits a page with XDP headroom.
const CHUNK: usize = 64;
const CHUNKS: usize = 60;

/// Bytes of checksum field and its place, for an untagged frame; `None` when nothing is to be mended.
#[inline(always)]
pub fn mend(ctx: &XdpContext, datagram: &Datagram, addresses: u32) -> Result<(), Reason> {
    if datagram.checksum == [0, 0]
        || datagram.checksum != checksum::partial_udp(addresses, datagram.udp_length)
    {
        return Ok(());
    }
    match datagram.family {
        // Legal on IPv4 (RFC 768) and free.
        Family::V4 => store::<{ ETHERNET + 20 + 6 }>(ctx, [0, 0]),
        Family::V6 => {
            store::<{ ETHERNET + IPV6 + 6 }>(ctx, [0, 0])?;
            let sum = datagram_sum(ctx, datagram.udp_length as usize)?;
            store::<{ ETHERNET + IPV6 + 6 }>(ctx, checksum::full_udp(addresses, datagram.udp_length, sum))
        }
    }
}

#[inline(always)]
fn store<const AT: usize>(ctx: &XdpContext, field: [u8; 2]) -> Result<(), Reason> {
    let at = ctx.data() + AT;
    if at + 2 > ctx.data_end() {
        return Err(Reason::NotWritable);
    }
    // SAFETY: two bytes inside the packet, checked above.
    unsafe { *(at as *mut [u8; 2]) = field };
    Ok(())
}

/// Sum of the UDP header and payload of an untagged IPv6 frame.
#[inline(always)]
fn datagram_sum(ctx: &XdpContext, length: usize) -> Result<u32, Reason> {
    let mut sum = 0u32;
    let mut at = ctx.data() + ETHERNET + IPV6;
    let end = ctx.data_end();
    let mut left = length;
    for _ in 0..CHUNKS {
        if left < CHUNK {
            break;
        }
        if at + CHUNK > end {
            return Err(Reason::NotWritable);
        }
        // SAFETY: CHUNK bytes inside the packet, checked above.
        sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, at as *mut u32, CHUNK as u32, sum) } as u32;
        at += CHUNK;
        left -= CHUNK;
    }
    if left >= CHUNK {
        return Err(Reason::NotWritable);
    }
    let mut folded = checksum::fold(sum) as u32;
    for _ in 0..CHUNK / 2 {
        if left < 2 {
            break;
        }
        if at + 2 > end {
            return Err(Reason::NotWritable);
        }
        // SAFETY: two bytes inside the packet, checked above.
        folded += u16::from_ne_bytes(unsafe { *(at as *const [u8; 2]) }) as u32;
        at += 2;
        left -= 2;
    }
    if left == 1 {
        if at + 1 > end {
            return Err(Reason::NotWritable);
        }
        // SAFETY: one byte inside the packet, checked above.
        folded += u16::from_ne_bytes([unsafe { *(at as *const u8) }, 0]) as u32;
    }
    Ok(checksum::fold(folded) as u32)
}
