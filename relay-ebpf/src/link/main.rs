//! A link of the test bench that loses packets, an object of its own: at both interfaces of a namespace between two nodes
//! (tcx, ingress), each of which it gives everything to that comes to the other. Nothing here is part of the product.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod fate;
#[cfg(target_arch = "bpf")]
mod packet;
#[cfg(target_arch = "bpf")]
mod program;

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
    eprintln!("this is an eBPF program of the lab; build it with `cargo xtask build-ebpf`");
}
