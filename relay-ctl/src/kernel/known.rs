//! Programs as people know them, ours and other people's.

use aya::programs::{SchedClassifier, TcAttachType};

use super::KernelError;
use super::pins::{LINK_TCX, Pins};
use super::verifier::of;

/// The XDP program. These are the names in the object.
pub const XDP: &str = "relay_xdp";
/// The XDP program that spreads streams over CPUs.
pub const SPREAD: &str = "relay_spread";
/// What runs there.
pub const XDP_CPU: &str = "relay_xdp_cpu";
/// The XDP program that lets everything pass.
pub const PASS: &str = "relay_pass";
/// The devmap program.
pub const COPY: &str = "relay_copy";
/// The tcx program.
pub const TC: &str = "relay_tc";
/// The tracepoint program.
pub const XMIT: &str = "relay_xmit";
/// The tracepoint program of the CPUs' queues.
pub const BUSY: &str = "relay_busy";
/// The probe.
pub const PROBE: &str = "relay_probe";

/// A program as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The kernel's number, as `bpftool prog show id` takes it.
    pub id: u32,
    /// Its name, at most 15 characters of it; may be empty.
    pub name: String,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.is_empty() {
            true => write!(f, "program {}", self.id),
            false => write!(f, "program {} ({})", self.id, self.name),
        }
    }
}

/// The loaded program of that number. The name is empty when the kernel does not tell.
pub fn program(id: u32) -> Known {
    let found = aya::programs::loaded_programs().flatten().find(|program| program.id() == id);
    let name = found.and_then(|program| program.name_as_str().map(str::to_owned));
    Known { id, name: name.unwrap_or_default() }
}

/// The programs that see a packet before ours in the interface's tcx chain.
pub fn before_ours(pins: &Pins, ifindex: u32) -> Result<Vec<Known>, KernelError> {
    let Some(ours) = pins.attached(LINK_TCX)? else { return Ok(Vec::new()) };
    let (_, chain) = SchedClassifier::query_tcx(&name_of(ifindex)?, TcAttachType::Ingress).map_err(of(TC))?;
    let known = |program: &aya::programs::ProgramInfo| Known {
        id: program.id(),
        name: program.name_as_str().unwrap_or_default().to_owned(),
    };
    Ok(chain.iter().map(known).take_while(|program| program.id != ours.program).collect())
}

/// The interface's present name; aya wants to know it by that.
pub fn name_of(ifindex: u32) -> Result<String, KernelError> {
    let name = nix::net::if_::if_indextoname(ifindex)
        .map_err(|errno| KernelError::Gone { ifindex, source: errno.into() })?;
    Ok(name.to_string_lossy().into_owned())
}
