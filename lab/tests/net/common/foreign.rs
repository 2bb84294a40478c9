//! Programs of somebody else's on an interface: two instructions that say what becomes of every packet.

use std::os::fd::{AsFd as _, OwnedFd};

use lab::Lab;
use lab::bpf::{self, Hook};

const XDP_PASS: i32 = 2;
/// What a tcx program returns that lets a packet pass and no other program see it.
pub const TCX_PASS: i32 = 0;
/// The next program is to decide.
pub const TCX_NEXT: i32 = -1;

/// On an interface for as long as this lives.
pub struct Foreign(#[allow(dead_code, reason = "holds what is attached")] OwnedFd);

impl Foreign {
    /// An XDP program of that name that lets everything pass.
    pub fn xdp(lab: &Lab, ns: &str, interface: &str, name: &str) -> Foreign {
        let attach = || {
            let program = bpf::load(Hook::Xdp, &bpf::verdict(XDP_PASS), name)?;
            bpf::attach_xdp(program.as_fd(), index(interface))
        };
        Foreign(lab.in_namespace(ns, attach).unwrap().unwrap())
    }

    /// A tcx program in front of all that are there, which returns `verdict`. It stays.
    pub fn tcx(lab: &Lab, ns: &str, interface: &str, name: &str, verdict: i32) -> Foreign {
        let attach = || {
            let program = bpf::load(Hook::Tcx, &bpf::verdict(verdict), name)?;
            bpf::attach_tcx_first(program.as_fd(), index(interface)).map(|()| program)
        };
        Foreign(lab.in_namespace(ns, attach).unwrap().unwrap())
    }
}

fn index(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap()
}
