//! Helpers of `cargo xtask bench`, an object of their own: a packet generator, sinks that count and drop, and the bare
//! kernel broadcast that the product is held against. Nothing here is part of the product.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::Global;
    use aya_ebpf::bindings::{BPF_F_BROADCAST, TC_ACT_OK, TC_ACT_SHOT, xdp_action};
    use aya_ebpf::btf_maps::{Array, DevMap, PerCpuArray};
    use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_redirect};
    use aya_ebpf::macros::{btf_map, classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};
    use relay_common::checksum;
    use relay_common::packet::{Packet, be16};

    /// Children of the bench, at 10.0.2.11 and on.
    const CHILDREN: usize = 8;
    const FIRST_CHILD: [u8; 4] = [10, 0, 2, 11];
    const PORT: u16 = 5002;
    /// Packets between two looks at the clock.
    const BATCH: u64 = 16;
    /// Ethernet, IPv4 and UDP header.
    const HEADERS: usize = 14 + 20 + 8;

    /// The first 56 bytes of a packet (all headers) with an RTP sequence number, timestamp and UDP checksum of 0.
    #[unsafe(no_mangle)]
    static TEMPLATE: Global<[u64; 7]> = Global::new([0; 7]);
    /// The sum over everything that the UDP checksum covers, of the template.
    #[unsafe(no_mangle)]
    static CHECKSUM: Global<u32> = Global::new(0);
    /// Interface that the generator sends on.
    #[unsafe(no_mangle)]
    static IFINDEX: Global<u32> = Global::new(0);

    /// Where the generator is: packets so far, and when (CLOCK_MONOTONIC ns) the first and the last of a batch went. The
    /// user zeroes the first one.
    #[btf_map]
    static PROGRESS: Array<[u64; 3], 1> = Array::new();
    /// Packets that reached the sink: by child, and in the last place those for nobody in particular.
    #[btf_map]
    static ARRIVED: PerCpuArray<[u64; CHILDREN + 1], 1> = PerCpuArray::new();
    #[btf_map]
    static FLOOR: DevMap<CHILDREN> = DevMap::new();

    /// Run as live frames, which are recycled: every packet gets its headers anew.
    #[xdp]
    pub fn bench_generate(ctx: XdpContext) -> u32 {
        let Some(progress) = PROGRESS.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
        let start = ctx.data();
        if start + size_of::<[u64; 7]>() > ctx.data_end() {
            return xdp_action::XDP_ABORTED;
        }
        // SAFETY: the slot is written by this program alone, which one thread runs.
        let [count, first, last] = unsafe { &mut *progress };
        *count += 1;
        if *count % BATCH == 0 || *first == 0 {
            // SAFETY: the helper takes no arguments and only reads the clock.
            *last = unsafe { bpf_ktime_get_ns() };
            if *first == 0 {
                *first = *last;
            }
        }
        let number = *count as u32;
        let (high, low) = ((number as u16).to_be(), (number.wrapping_mul(960) as u16).to_be());
        let cycle = ((number.wrapping_mul(960) >> 16) as u16).to_be();
        let sum = CHECKSUM.load() + high as u32 + low as u32 + cycle as u32;
        let field = !checksum::fold(sum);
        // SAFETY: 56 bytes inside the packet, checked above. The kernel puts a live frame at a multiple of 8 bytes, and
        // the fields written after the template lie at even offsets.
        unsafe {
            *(start as *mut [u64; 7]) = TEMPLATE.load();
            *((start + HEADERS - 2) as *mut u16) = if field == 0 { 0xffff } else { field };
            *((start + HEADERS + 2) as *mut u16) = high;
            *((start + HEADERS + 4) as *mut u16) = cycle;
            *((start + HEADERS + 6) as *mut u16) = low;
            bpf_redirect(IFINDEX.load(), 0) as u32
        }
    }

    /// The bare kernel broadcast.
    #[xdp]
    pub fn bench_floor(_ctx: XdpContext) -> u32 {
        FLOOR.redirect(0, BPF_F_BROADCAST as u64).unwrap_or(xdp_action::XDP_ABORTED)
    }

    /// The devmap program that does nothing.
    #[xdp(map = "devmap")]
    pub fn bench_empty(_ctx: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    /// Counts media at the receivers and drops it; ARP and the rest go to the stack.
    #[xdp]
    pub fn bench_sink(ctx: XdpContext) -> u32 {
        // SAFETY: the span is the packet, which nothing moves while it is looked at.
        let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
        if count(packet) { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
    }

    /// [`bench_sink`] for receivers that XDP would cost a copy of every socket buffer.
    #[classifier]
    pub fn bench_sink_tc(ctx: TcContext) -> i32 {
        // SAFETY: the span is the linear part of the packet, which nothing moves while it is looked at.
        let packet = unsafe { Packet::from_span(ctx.data(), ctx.data_end()) };
        if count(packet) { TC_ACT_SHOT } else { TC_ACT_OK }
    }

    #[inline(always)]
    fn count(packet: Packet<'_>) -> bool {
        let Some(headers) = packet.bytes::<HEADERS>(0) else { return false };
        if be16(headers, 12) != 0x0800 || headers[23] != 17 || be16(headers, 36) != PORT {
            return false;
        }
        let Some(arrived) = ARRIVED.get_ptr_mut(0) else { return false };
        let [a, b, c, first] = FIRST_CHILD;
        let child = headers[33].wrapping_sub(first) as usize;
        let known = headers[30] == a && headers[31] == b && headers[32] == c && child < CHILDREN;
        // SAFETY: this CPU's own slot.
        unsafe { (*arrived)[if known { child } else { CHILDREN }] += 1 };
        true
    }

    /// The kernel wants to see a GPL-compatible licence for the helpers used.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}

/// On the host this is an empty program, so that `cargo check --workspace` covers it.
#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("these are eBPF programs of the bench; build them with `cargo xtask build-ebpf`");
}
