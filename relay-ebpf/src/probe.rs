//! Sends the frame it is run on out of one interface the way xdp sends copies. Run once by the daemon, never attached.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// Interface to send on; set when the program is loaded.
#[unsafe(no_mangle)]
static PROBE_IFINDEX: Global<u32> = Global::new(0);

#[xdp]
pub fn relay_probe(_ctx: XdpContext) -> u32 {
    // SAFETY: the helper only notes the interface; the redirect happens after this program.
    unsafe { bpf_redirect(PROBE_IFINDEX.load(), 0) as u32 }
}
