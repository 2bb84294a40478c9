//! The relay's kernel side: every RTP packet that comes in for the relay goes out once to each child of its stream.
//!
//! Three entry points over one classification (`classify`) and one state (`maps`):
//! - `relay_xdp` (XDP ingress): puts a token over the packet's Ethernet header and lets the kernel broadcast it;
//! - `relay_copy` (devmap program): runs for each copy, finds out whose it is, and writes that child's headers;
//! - `relay_tc` (tcx ingress): walks the children itself, rewriting and cloning for each.
//!
//! With `--cpus`, `relay_spread` (XDP ingress) only finds out which stream a packet belongs to and queues it for that stream's
//! CPU, where `relay_xdp_cpu` (cpumap program) does what `relay_xdp` does otherwise.
//!
//! `relay_xmit` (tracepoint) only counts what drivers refused of the copies. `relay_probe` sends the one frame with which
//! the daemon finds out whether an interface takes XDP frames at all.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![allow(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, keys and values are copied once more on a 512-byte stack"
)]

#[cfg(target_arch = "bpf")]
mod books;
#[cfg(target_arch = "bpf")]
mod capture;
#[cfg(target_arch = "bpf")]
mod classify;
#[cfg(target_arch = "bpf")]
mod copy;
#[cfg(target_arch = "bpf")]
mod count;
#[cfg(target_arch = "bpf")]
mod gaps;
#[cfg(target_arch = "bpf")]
mod history;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod media;
#[cfg(target_arch = "bpf")]
mod offload;
#[cfg(target_arch = "bpf")]
mod probe;
#[cfg(target_arch = "bpf")]
mod segments;
#[cfg(target_arch = "bpf")]
mod spread;
#[cfg(target_arch = "bpf")]
mod tc;
#[cfg(target_arch = "bpf")]
mod xdp;
#[cfg(target_arch = "bpf")]
mod xmit;

/// The kernel wants to see a GPL-compatible licence for the helpers used.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// On the host this crate is an empty program, so that `cargo check --workspace` covers it.
#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("this is the relay's eBPF object; build it with `cargo xtask build-ebpf`");
}
