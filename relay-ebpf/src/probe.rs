//! Sends the frame it is run on out of one interface the way xdp sends copies. Run by the daemon, never attached.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::Array;
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

use relay_common::layout::NOBODY;

use crate::copy::{lane, note_pending};

/// Interface to send on.
#[btf_map]
static PROBE: Array<u32, 1> = Array::new();

#[xdp]
pub fn relay_probe(_ctx: XdpContext) -> u32 {
    let Some(ifindex) = PROBE.get(0) else { return xdp_action::XDP_ABORTED };
    let Ok(lane) = lane(*ifindex) else { return xdp_action::XDP_ABORTED };
    // The outcome is told to `relay_xmit` like that of any copy. Of the probe before, nothing may have been told.
    lane.count = 0;
    note_pending(lane, NOBODY);
    // SAFETY: the helper only notes the interface; the redirect happens after this program.
    unsafe { bpf_redirect(*ifindex, 0) as u32 }
}
