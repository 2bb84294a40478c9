//! An XDP program that is not the relay's and redirects into one of its devmaps: a few instructions, loaded by hand.

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use aya::maps::{ArrayOfMaps, Map, MapData};
use aya::programs::Xdp;
use aya_obj::programs::XdpAttachType;
use relay_common::layout::half;
use relay_ctl::kernel::Pins;

use super::Kernel;

/// `bpf_cmd` (linux/bpf.h).
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_PROG_TYPE_XDP: u32 = 6;

pub struct Redirector(Xdp);

impl Redirector {
    /// A program that sends every frame to the first slot of the devmap of a fan-out set's IPv4 children.
    pub fn load(kernel: &Kernel<'_>, set: u32) -> Redirector {
        let instance = kernel.plane.maps().sets.get(&half(set, false), 0).unwrap().instance();
        let pins = Pins::new(kernel.lab.bpffs(), "eth0");
        let fanout = Map::from_map_data(MapData::from_pin(pins.file("FANOUT")).unwrap()).unwrap();
        let fanout: ArrayOfMaps<MapData, MapData> = fanout.try_into().unwrap();
        let devmap = fanout.get(&instance, 0).unwrap();
        let program = load(&instructions(devmap.fd().as_fd().as_raw_fd())).unwrap();
        let path = kernel.lab.bpffs().join("redirector");
        pin(&program, path.to_str().unwrap()).unwrap();
        Redirector(Xdp::from_pin(path, XdpAttachType::Interface).unwrap())
    }

    pub fn program(&self) -> &Xdp {
        &self.0
    }
}

/// `return bpf_redirect_map(devmap, 0, 0);`
fn instructions(devmap: i32) -> Vec<u64> {
    let instruction =
        |code: u64, registers: u64, immediate: i32| code | registers << 8 | u64::from(immediate as u32) << 32;
    vec![
        // r1 = devmap: 16 bytes, with BPF_PSEUDO_MAP_FD as the source register.
        instruction(0x18, 0x11, devmap),
        0,
        instruction(0xb7, 0x02, 0),
        instruction(0xb7, 0x03, 0),
        instruction(0x85, 0x00, 51),
        instruction(0x95, 0x00, 0),
    ]
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
}

fn load(code: &[u64]) -> Result<OwnedFd> {
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_XDP,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 2],
        log_buffer: 0,
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct PinAttributes {
    path: u64,
    program: u32,
    flags: u32,
}

fn pin(program: &OwnedFd, path: &str) -> Result<()> {
    let path = CString::new(path).unwrap();
    let attributes =
        PinAttributes { path: path.as_ptr() as u64, program: program.as_raw_fd() as u32, flags: 0 };
    bpf(BPF_OBJ_PIN, &attributes).map(drop)
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> Result<i32> {
    // SAFETY: the attributes, and what they point to, live through the call; the kernel is told their size.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result as i32) }
}
