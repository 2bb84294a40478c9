//! What a pinned link is attached to, and taking it off. A link outlives its interface, and its file says nothing of that:
//! only the kernel knows, and aya does not ask it.

use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type};

/// What a link is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface; 0 when it is gone, or for a link that is not one of an interface.
    pub ifindex: u32,
    /// The program in the link.
    pub program: u32,
}

/// Asks the kernel about the link that is pinned at `path`. Without rights, or when the file is something else, an error.
pub fn attached(path: &Path) -> io::Result<Attached> {
    let link = open(path)?;
    // SAFETY: integers only, for which zeros are a value.
    let (mut ask, mut info): (bpf_attr, bpf_link_info) = unsafe { (zeroed(), zeroed()) };
    ask.info.bpf_fd = link.as_raw_fd() as u32;
    ask.info.info = (&raw mut info) as u64;
    ask.info.info_len = size_of::<bpf_link_info>() as u32;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut ask)?;
    let of_interface =
        [bpf_link_type::BPF_LINK_TYPE_XDP, bpf_link_type::BPF_LINK_TYPE_TCX].map(|kind| kind as u32);
    let ifindex = match of_interface.contains(&info.type_) {
        // SAFETY: both kinds of link begin with the interface, and every bit pattern is a number.
        true => unsafe { info.__bindgen_anon_1.xdp.ifindex },
        false => 0,
    };
    Ok(Attached { ifindex, program: info.prog_id })
}

/// Takes the program of the link that is pinned at `path` off its interface, now: to remove the file only gives the link up,
/// and the kernel acts on that in its own time, and not at all while somebody else has the link open.
pub fn detach(path: &Path) -> io::Result<()> {
    let link = open(path)?;
    // SAFETY: integers only, for which zeros are a value.
    let mut detach: bpf_attr = unsafe { zeroed() };
    detach.link_detach.link_fd = link.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut detach).map(drop)
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a union of plain integers, for which zeros are a value.
    let mut get: bpf_attr = unsafe { zeroed() };
    get.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let descriptor = bpf(bpf_cmd::BPF_OBJ_GET, &mut get)?;
    // SAFETY: BPF_OBJ_GET gives a new file descriptor, which nobody else has.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // Of a map or a program the kernel would tell other things in the same place.
    let kind = std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))?;
    match ["bpf_link", "bpf-link"].iter().any(|name| kind.to_string_lossy().contains(name)) {
        true => Ok(descriptor),
        false => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a link", kind.display())))
        }
    }
}

fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<RawFd> {
    // SAFETY: the attributes are as large as is said, and what they point to outlives the call.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<bpf_attr>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as RawFd) }
}
