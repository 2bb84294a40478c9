//! Finding out by trying: may programs be loaded, does XDP attach, do XDP frames really leave an interface?

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, XdpMode};
use aya::{Ebpf, EbpfLoader};
use relay_common::layout::{CURSORS, Egress};

use super::programs::{OBJECT, PROBE, XDP, attach_tracepoint, of, retry, xdp};
use super::{KernelError, map};

/// EtherType for local experiments (IEEE 802): no host acts on it.
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];

/// Can programs be loaded at all?
pub fn bpf_rights() -> Result<(), String> {
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err("the kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)".to_owned());
    }
    let mut ebpf = load()?;
    let program = xdp(&mut ebpf, PROBE).map_err(|error| error.to_string())?;
    retry(|| program.load())
        .map_err(|error| format!("the kernel refuses eBPF programs: {}", root_cause(&error)))
}

/// Does the running kernel have tcx (Linux 6.6)?
pub fn tcx() -> Result<(), String> {
    let kernel =
        aya::util::KernelVersion::current().map_err(|error| format!("unknown kernel version: {error}"))?;
    if kernel < aya::util::KernelVersion::new(6, 6, 0) {
        return Err("the kernel is older than 6.6 and has no tcx".to_owned());
    }
    Ok(())
}

/// Does an XDP program attach in this interface's driver? Tried with one that lets everything pass, for a moment.
pub fn xdp_attach(ifindex: u32, interface: &str) -> Result<(), String> {
    let mut ebpf = load()?;
    let mut attempt = || -> Result<(), KernelError> {
        let program = xdp(&mut ebpf, XDP)?;
        retry(|| program.load()).map_err(of(XDP))?;
        let id = program.attach_to_if_index(ifindex, XdpMode::Driver).map_err(of(XDP))?;
        drop(program.take_link(id).map_err(of(XDP))?);
        Ok(())
    };
    attempt()
        .map_err(|error| format!("{interface} takes no XDP program in its driver: {}", root_cause(&error)))
}

/// Sends frames out of interfaces exactly as copies would leave, and asks the tracepoint what became of them.
///
/// A frame goes from the interface's own MAC to itself, so no host and no switch acts on it.
pub struct Prober {
    ebpf: Ebpf,
    egress: PerCpuArray<MapData, Egress>,
    target: Array<MapData, u32>,
}

impl Prober {
    /// Loads what probing takes.
    pub fn new() -> Result<Prober, String> {
        let mut ebpf = load()?;
        let attempt = |ebpf: &mut Ebpf| -> Result<_, KernelError> {
            let program = xdp(ebpf, PROBE)?;
            retry(|| program.load()).map_err(of(PROBE))?;
            Ok((take(ebpf, "EGRESS")?, take(ebpf, "PROBE")?))
        };
        let (egress, target) =
            attempt(&mut ebpf).map_err(|error| format!("XDP cannot be probed: {}", root_cause(&error)))?;
        Ok(Prober { ebpf, egress, target })
    }

    /// Does a frame get through? The answer says what was seen.
    pub fn transmit(&mut self, ifindex: u32, interface: &str, mac: [u8; 6]) -> Result<String, String> {
        match self.try_transmit(ifindex, mac) {
            Ok(Egress { sent: 1.., .. }) => {
                Ok(format!("native XDP, and a probe frame got through on {interface}"))
            }
            Ok(Egress { refused: 1.., .. }) => Err(format!("{interface} refused an XDP probe frame")),
            Ok(_) => Err(format!("{interface} takes no XDP frames")),
            Err(error) => Err(format!("{interface} could not be probed: {}", root_cause(&error))),
        }
    }

    fn try_transmit(&mut self, ifindex: u32, mac: [u8; 6]) -> Result<Egress, KernelError> {
        // Only for the moment: every XDP transmission of the machine passes this tracepoint.
        let _tracepoint = attach_tracepoint(&mut self.ebpf)?;
        let before = self.counted(ifindex)?;
        self.target.set(0, ifindex, 0).map_err(map("PROBE"))?;
        let mut frame = [0u8; 60];
        frame[..6].copy_from_slice(&mac);
        frame[6..12].copy_from_slice(&mac);
        frame[12..14].copy_from_slice(&EXPERIMENTAL);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.attrs = TestRunAttrs::new().xdp_live_frames(1);
        xdp(&mut self.ebpf, PROBE)?.test_run(options).map_err(of(PROBE))?;
        let after = self.counted(ifindex)?;
        Ok(Egress { sent: after.sent - before.sent, refused: after.refused - before.refused })
    }

    fn counted(&self, ifindex: u32) -> Result<Egress, KernelError> {
        let values = self.egress.get(&(ifindex % CURSORS), 0).map_err(map("EGRESS"))?;
        Ok(values.iter().fold(Egress::default(), |total, cpu| Egress {
            sent: total.sent + cpu.sent,
            refused: total.refused + cpu.refused,
        }))
    }
}

fn load() -> Result<Ebpf, String> {
    let mut loader = EbpfLoader::new();
    // The probe's maps are its own and small where they may be.
    for map in ["STREAMS", "ROUTES", "MEMBERS", "GROUPS"] {
        loader.map_max_entries(map, 1);
    }
    loader.load(OBJECT).map_err(|error| format!("the kernel refuses eBPF maps: {}", root_cause(&error)))
}

fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, KernelError> {
    ebpf.take_map(name).ok_or(MapError::KeyNotFound).and_then(M::try_from).map_err(map(name))
}

/// The innermost cause, which is what a person can act on.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
