//! Programs of somebody else's on an interface: two instructions that say what becomes of every packet.

use std::ffi::c_long;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use lab::Lab;

const BPF_PROG_LOAD: c_long = 5;
const BPF_PROG_ATTACH: c_long = 8;
const BPF_LINK_CREATE: c_long = 28;
const PROGRAM_XDP: u32 = 6;
const PROGRAM_TC: u32 = 3;
const ATTACH_XDP: u32 = 37;
const ATTACH_TCX_INGRESS: u32 = 46;
/// XDP_FLAGS_DRV_MODE.
const IN_THE_DRIVER: u32 = 1 << 2;
/// BPF_F_BEFORE: in front of all others.
const BEFORE: u32 = 1 << 3;
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
            let program = load(PROGRAM_XDP, XDP_PASS, name)?;
            let attributes = LinkAttributes {
                program: program.as_raw_fd() as u32,
                ifindex: index(interface),
                attach: ATTACH_XDP,
                flags: IN_THE_DRIVER,
            };
            // SAFETY: a descriptor that the kernel has just made for us.
            bpf(BPF_LINK_CREATE, &attributes).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
        };
        Foreign(lab.in_namespace(ns, attach).unwrap().unwrap())
    }

    /// A tcx program in front of all that are there, which returns `verdict`. It stays.
    pub fn tcx(lab: &Lab, ns: &str, interface: &str, name: &str, verdict: i32) -> Foreign {
        let attach = || {
            let program = load(PROGRAM_TC, verdict, name)?;
            let attributes = AttachAttributes {
                ifindex: index(interface),
                program: program.as_raw_fd() as u32,
                attach: ATTACH_TCX_INGRESS,
                flags: BEFORE,
                ..AttachAttributes::default()
            };
            bpf(BPF_PROG_ATTACH, &attributes).map(|_| program)
        };
        Foreign(lab.in_namespace(ns, attach).unwrap().unwrap())
    }
}

fn index(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap()
}

/// The start of `bpf_attr` for `BPF_PROG_LOAD`; what is left out is zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log: [u32; 2],
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach: u32,
}

#[repr(C)]
struct LinkAttributes {
    program: u32,
    ifindex: u32,
    attach: u32,
    flags: u32,
}

#[derive(Default)]
#[repr(C)]
struct AttachAttributes {
    ifindex: u32,
    program: u32,
    attach: u32,
    flags: u32,
    replaced: u32,
    relative: u32,
    revision: u64,
}

/// `return verdict;`
fn load(program_type: u32, verdict: i32, name: &str) -> Result<OwnedFd> {
    let code = [0xb7 | u64::from(verdict as u32) << 32, 0x95];
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    let attributes = LoadAttributes {
        program_type,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 2],
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
        name: padded,
        ifindex: 0,
        attach: if program_type == PROGRAM_XDP { ATTACH_XDP } else { 0 },
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: c_long, attributes: &T) -> Result<i32> {
    // SAFETY: the attributes, and what they point to, live through the call; the kernel is told their size.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result as i32) }
}
