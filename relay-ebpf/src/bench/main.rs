//! Helpers of `cargo xtask bench`, an object of their own: a packet generator, receivers that judge and drop, and the bare
//! kernel loops that the product is held against. Nothing here is part of the product.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod floor;
#[cfg(target_arch = "bpf")]
mod generate;
#[cfg(target_arch = "bpf")]
mod judge;

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

/// On the host this is an empty program, so that `cargo check --workspace` covers it.
#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("these are eBPF programs of the bench; build them with `cargo xtask build-ebpf`");
}
