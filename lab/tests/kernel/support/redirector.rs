//! An XDP program that is not the relay's and redirects into one of its devmaps: a few instructions, loaded by hand.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{ArrayOfMaps, Map, MapData};
use aya::programs::Xdp;
use aya_obj::programs::XdpAttachType;
use lab::bpf::{self, Hook, instruction};
use relay_common::layout::half;
use relay_ctl::kernel::Pins;

use super::Kernel;

pub struct Redirector(Xdp);

impl Redirector {
    /// A program that sends every frame to the first slot of the devmap of a fan-out set's IPv4 children.
    pub fn load(kernel: &Kernel<'_>, set: u32) -> Redirector {
        let instance = kernel.plane.maps().sets.get(&half(set, false), 0).unwrap().instance();
        let pins = Pins::new(kernel.lab.bpffs(), "eth0");
        let fanout = Map::from_map_data(MapData::from_pin(pins.file("FANOUT")).unwrap()).unwrap();
        let fanout: ArrayOfMaps<MapData, MapData> = fanout.try_into().unwrap();
        let devmap = fanout.get(&instance, 0).unwrap();
        let code = instructions(devmap.fd().as_fd().as_raw_fd());
        let program = bpf::load(Hook::Xdp, &code, "redirector").unwrap();
        let path = kernel.lab.bpffs().join("redirector");
        bpf::pin(program.as_fd(), &path).unwrap();
        Redirector(Xdp::from_pin(path, XdpAttachType::Interface).unwrap())
    }

    pub fn program(&self) -> &Xdp {
        &self.0
    }
}

/// `return bpf_redirect_map(devmap, 0, 0);`
fn instructions(devmap: i32) -> [u64; 6] {
    [
        // r1 = devmap: 16 bytes, with BPF_PSEUDO_MAP_FD as the source register.
        instruction(0x18, 0x11, devmap),
        0,
        instruction(0xb7, 0x02, 0),
        instruction(0xb7, 0x03, 0),
        instruction(0x85, 0x00, 51),
        instruction(0x95, 0x00, 0),
    ]
}
