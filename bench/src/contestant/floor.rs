//! The floors: the same copies by the same means of the kernel, without saying whose they are.

use anyhow::{Context, Result};
use aya::maps::xdp::DevMap;
use aya::programs::{SchedClassifier, TcAttachType, XdpMode};
use aya::{Ebpf, EbpfLoader};

use super::{Contestant, Role, Running};
use crate::stage::Stage;
use crate::tester::{Drops, load, xdp};

/// The bare kernel broadcast, with a devmap program that does nothing.
pub struct Broadcast;

/// A tc program that does nothing but clone.
pub struct Clones;

impl Contestant for Broadcast {
    fn name(&self) -> &'static str {
        "floor of xdp: bare broadcast, empty devmap program"
    }

    fn short(&self) -> &'static str {
        "xdp-floor"
    }

    fn drops(&self) -> Drops {
        Drops::Xdp
    }

    fn addressed(&self) -> bool {
        false
    }

    fn role(&self) -> Role {
        Role::Floor
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let mut programs = load(EbpfLoader::new().map_max_entries("FLOOR", children as u32))?;
        let empty = xdp(&mut programs, "bench_empty")?;
        empty.load().context("loading the empty devmap program")?;
        let empty = empty.fd()?.try_clone()?;
        let mut floor: DevMap<_> = programs.map_mut("FLOOR").context("no map FLOOR")?.try_into()?;
        let mut fill = || {
            (0..children as u32).try_for_each(|slot| floor.set(slot, stage.relay_interface, Some(&empty), 0))
        };
        stage.lab.in_namespace("relay-1", &mut fill)?.context("filling the devmap")?;
        let program = xdp(&mut programs, "bench_floor")?;
        program.load().context("loading the floor")?;
        let attach = || program.attach("eth0", XdpMode::Driver);
        stage.lab.in_namespace("relay-1", attach)?.context("attaching the floor")?;
        Ok(Box::new(Loaded { _programs: programs }))
    }
}

impl Contestant for Clones {
    fn name(&self) -> &'static str {
        "floor of tc: bare loop of bpf_clone_redirect"
    }

    fn short(&self) -> &'static str {
        "tc-floor"
    }

    fn addressed(&self) -> bool {
        false
    }

    fn role(&self) -> Role {
        Role::Floor
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let copies = children as u32;
        let mut loader = EbpfLoader::new();
        loader.override_global("COPIES", &copies, true).override_global("OUT", &stage.relay_interface, true);
        let mut programs = load(&mut loader)?;
        let program: &mut SchedClassifier =
            programs.program_mut("bench_floor_tc").context("no tc floor")?.try_into()?;
        program.load().context("loading the tc floor")?;
        let attach = || program.attach("eth0", TcAttachType::Ingress);
        stage.lab.in_namespace("relay-1", attach)?.context("attaching the tc floor")?;
        Ok(Box::new(Loaded { _programs: programs }))
    }
}

/// Attached for as long as the object is loaded.
struct Loaded {
    _programs: Ebpf,
}

impl Running for Loaded {
    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
