//! Programs of nobody's in the kernel: a few instructions by hand, loaded by plain bpf(2), which a loader of object files would
//! have no use for.

use std::ffi::{CString, c_long};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;

// bpf_cmd, bpf_prog_type, bpf_attach_type and flags (linux/bpf.h, linux/if_link.h).
const PROG_LOAD: c_long = 5;
const OBJ_PIN: c_long = 6;
const PROG_ATTACH: c_long = 8;
const LINK_CREATE: c_long = 28;
const TYPE_TC: u32 = 3;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const ATTACH_TCX_INGRESS: u32 = 46;
/// XDP_FLAGS_DRV_MODE.
const IN_THE_DRIVER: u32 = 1 << 2;
/// BPF_F_BEFORE: in front of all others.
const BEFORE: u32 = 1 << 3;

/// Where a program is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP, in the driver.
    Xdp,
    /// tcx, ingress.
    Tcx,
}

/// `return verdict;`
pub fn verdict(verdict: i32) -> [u64; 2] {
    [instruction(0xb7, 0x00, verdict), instruction(0x95, 0x00, 0)]
}

/// One instruction: its opcode, its source (high four bits) and destination registers, its immediate value.
pub const fn instruction(code: u8, registers: u8, immediate: i32) -> u64 {
    code as u64 | (registers as u64) << 8 | (immediate as u32 as u64) << 32
}

/// Loads a program of at most 15 letters' name.
///
/// # Errors
/// What the kernel says: it needs root, and a program that the verifier takes.
pub fn load(hook: Hook, code: &[u64], name: &str) -> Result<OwnedFd> {
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    let attributes = LoadAttributes {
        program_type: if hook == Hook::Xdp { TYPE_XDP } else { TYPE_TC },
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 2],
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
        name: padded,
        ifindex: 0,
        attach: if hook == Hook::Xdp { ATTACH_XDP } else { 0 },
    };
    let fd = bpf(PROG_LOAD, &attributes)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a program a name in a bpffs.
///
/// # Errors
/// What the kernel says.
pub fn pin(program: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let attributes =
        PinAttributes { path: path.as_ptr() as u64, program: program.as_raw_fd() as u32, flags: 0 };
    bpf(OBJ_PIN, &attributes).map(drop)
}

/// Attaches an XDP program to an interface of this thread's namespace, for as long as what is given lives.
///
/// # Errors
/// What the kernel says.
pub fn attach_xdp(program: BorrowedFd<'_>, ifindex: u32) -> Result<OwnedFd> {
    let attributes = LinkAttributes {
        program: program.as_raw_fd() as u32,
        ifindex,
        attach: ATTACH_XDP,
        flags: IN_THE_DRIVER,
    };
    // SAFETY: a descriptor that the kernel has just made for us.
    bpf(LINK_CREATE, &attributes).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts a tcx program in front of all that an interface of this thread's namespace has. It stays.
///
/// # Errors
/// What the kernel says.
pub fn attach_tcx_first(program: BorrowedFd<'_>, ifindex: u32) -> Result<()> {
    let attributes = AttachAttributes {
        ifindex,
        program: program.as_raw_fd() as u32,
        attach: ATTACH_TCX_INGRESS,
        flags: BEFORE,
        ..AttachAttributes::default()
    };
    bpf(PROG_ATTACH, &attributes).map(drop)
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
struct PinAttributes {
    path: u64,
    program: u32,
    flags: u32,
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

fn bpf<T>(command: c_long, attributes: &T) -> Result<i32> {
    // SAFETY: the attributes, and what they point to, live through the call; the kernel is told their size.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_as_the_kernel_reads_them() {
        // struct bpf_insn: opcode, registers, offset, immediate; little endian.
        assert_eq!(verdict(-1)[0].to_le_bytes(), [0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(instruction(0x18, 0x11, 7).to_le_bytes(), [0x18, 0x11, 0, 0, 7, 0, 0, 0]);
    }
}
