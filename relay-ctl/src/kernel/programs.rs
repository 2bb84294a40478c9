//! Loading the object onto the pinned maps, and attaching its programs so that they outlive the daemon.

use std::io::ErrorKind;

use aya::maps::xdp::CpuMap;
use aya::maps::{Array, Map, MapError, RingBuf};
use aya::programs::links::FdLink;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{
    LinkOrder, Program, ProgramError, ProgramFd, RawTracePoint, SchedClassifier, TcAttachType, Xdp,
};
use aya::{Ebpf, EbpfLoader};
use relay_common::layout::{PINNED_MAPS, Spread};

pub use super::known::{BUSY, COPY, PASS, PROBE, SPREAD, TC, XDP, XDP_CPU, XMIT};
use super::known::{before_ours, name_of};
use super::links::{attach_new_xdp, link_error, pin, pin_instead, pinned_link, remove_link, replace_xdp};
use super::pins::{LINK_BUSY, LINK_TCX, LINK_XDP, LINK_XMIT, Pins, remove_file};
use super::verifier::{VERIFIER_LOG, of, retry};
use super::{GapRing, History, KernelError, Mode, map};

/// The eBPF object; `cargo xtask build-ebpf` makes it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay.o"));

/// Packets that wait for a CPU at most. Enough for what a card delivers in one poll of several queues, and gone in some
/// milliseconds.
const QUEUE: u32 = 2048;

/// The constant that says whether streams and children are counted.
const STATISTICS: &str = "STATISTICS";

/// The constant that says how many packets the history has room for.
pub const HISTORY_SIZE: &str = "HISTORY_SIZE";

/// The constant that says whether somebody is told of gaps.
pub const GAPS_TOLD: &str = "GAPS_TOLD";

/// The constant that says whether processors keep loads in order, and stores, as x86 does; others need atomic operations for it.
pub const IN_ORDER: &str = "IN_ORDER";

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    /// See `aya_log`; 0 is off.
    pub log_level: u8,
    /// Whether streams and children are counted. Drops are in any case.
    pub statistics: bool,
    /// Packets that the history has room for: a power of two, or 0 for none.
    pub history: u32,
    /// Whether somebody is told of gaps.
    pub gaps: bool,
    /// Whether this machine's processors keep loads in order, and stores. Where they do, false is right, too, and slower.
    pub in_order: bool,
}

impl Default for Constants {
    fn default() -> Self {
        Constants {
            log_level: 0,
            statistics: true,
            history: node::repair::HISTORY as u32,
            gaps: true,
            in_order: cfg!(any(target_arch = "x86", target_arch = "x86_64")),
        }
    }
}

/// The loaded object.
pub struct Programs {
    ebpf: Ebpf,
    /// The devmap program, once loaded.
    copy: Option<ProgramFd>,
    /// The CPUs that streams are spread over, if they are.
    cpus: Vec<u32>,
    /// Their queues are there.
    queued: bool,
    /// Packets that the history has room for; 0: there is none.
    history: u32,
    /// Whether gaps are told.
    gaps: bool,
}

impl Programs {
    /// Loads the object; maps that are pinned are used as they are, the others are created and pinned.
    pub fn load(pins: &Pins, constants: Constants) -> Result<Programs, KernelError> {
        let mut loader = EbpfLoader::new();
        loader.verifier_log_level(VERIFIER_LOG);
        for map in PINNED_MAPS {
            loader.map_pin_path(map, pins.file(map));
        }
        let statistics = u8::from(constants.statistics);
        loader.override_global(aya_log::LEVEL, &constants.log_level, false);
        loader.override_global(STATISTICS, &statistics, true);
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| map("CPUS")(MapError::IoError(error)))?;
        loader.map_max_entries("CPUS", cpus as u32);
        loader.override_global(HISTORY_SIZE, &constants.history, true);
        let gaps_told = u8::from(constants.gaps);
        loader.override_global(GAPS_TOLD, &gaps_told, true);
        loader.map_max_entries("HISTORY", constants.history.max(1));
        let in_order = u8::from(constants.in_order);
        loader.override_global(IN_ORDER, &in_order, true);
        let ebpf = loader.load(OBJECT)?;
        let Constants { history, gaps, .. } = constants;
        Ok(Programs { ebpf, copy: None, cpus: Vec::new(), queued: false, history, gaps })
    }

    /// The loaded object, for the logger and for tests.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The last packets that these programs gave to children, and how many gaps nobody was told of; none: they keep no packets and
    /// tell of no gaps.
    pub fn history(&self) -> Result<Option<History>, KernelError> {
        if self.history == 0 && !self.gaps {
            return Ok(None);
        }
        let of = |name: &'static str| match self.ebpf.map(name) {
            Some(Map::Array(data)) => Ok(data.fd()),
            _ => Err(map(name)(MapError::KeyNotFound)),
        };
        let opened = History::open(of("HISTORY_HEAD")?, of("HISTORY")?, self.history);
        opened.map(Some).map_err(|error| map("HISTORY")(MapError::IoError(error)))
    }

    /// What these programs tell of gaps, to whoever asks first; none: they tell nothing.
    pub fn gaps(&mut self) -> Result<Option<GapRing>, KernelError> {
        if !self.gaps {
            return Ok(None);
        }
        let taken = self.ebpf.take_map("GAPS").ok_or(MapError::KeyNotFound).and_then(RingBuf::try_from);
        taken.map(|ring| Some(GapRing::new(ring))).map_err(map("GAPS"))
    }

    /// Spreads streams over these CPUs from the next [`Programs::attach_xdp`] on; none: does not spread.
    pub fn spread_over(&mut self, cpus: Vec<u32>) {
        self.queued &= self.cpus == cpus;
        self.cpus = cpus;
    }

    /// Gives every CPU its queue and its program. Both maps are this load's own, so that nothing that a predecessor attached
    /// meets them before the program in the link is exchanged.
    fn make_queues(&mut self) -> Result<(), KernelError> {
        if self.queued {
            return Ok(());
        }
        let program = xdp(&mut self.ebpf, XDP_CPU)?;
        load_once(program.fd().is_ok(), || program.load())(XDP_CPU)?;
        let program = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into)).map_err(of(XDP_CPU))?;
        let queues = self.ebpf.map_mut("CPUS").ok_or(MapError::KeyNotFound).map_err(map("CPUS"))?;
        let number = match &*queues {
            Map::CpuMap(data) => data.info().map_err(map("CPUS"))?.id(),
            _ => return Err(map("CPUS")(MapError::KeyNotFound)),
        };
        let mut queues = CpuMap::try_from(queues).map_err(map("CPUS"))?;
        for cpu in &self.cpus {
            queues
                .set(*cpu, QUEUE, Some(&program), 0)
                .map_err(|source| KernelError::Queue { cpu: *cpu, source })?;
        }
        let spread = self.ebpf.map_mut("SPREAD").ok_or(MapError::KeyNotFound).and_then(Array::try_from);
        let spread = spread.and_then(|mut spread| spread.set(0, Spread::over(&self.cpus, number), 0));
        spread.map_err(map("SPREAD"))?;
        self.queued = true;
        Ok(())
    }

    /// The devmap program, loaded on first use.
    pub fn copy(&mut self) -> Result<ProgramFd, KernelError> {
        if self.copy.is_none() {
            let program = xdp(&mut self.ebpf, COPY)?;
            retry(|| program.load()).map_err(of(COPY))?;
            let fd = program.fd().map_err(of(COPY))?;
            self.copy = Some(fd.try_clone().map_err(|error| of(COPY)(error.into()))?);
        }
        let copy = self.copy.as_ref().map(ProgramFd::try_clone);
        match copy {
            Some(Ok(fd)) => Ok(fd),
            Some(Err(error)) => Err(of(COPY)(error.into())),
            None => Err(missing(COPY)),
        }
    }

    /// Puts the XDP program on the interface: into the pinned link if there is one, at once and without a gap.
    pub fn attach_xdp(&mut self, pins: &Pins, ifindex: u32) -> Result<(), KernelError> {
        self.attach_xmit(pins);
        let name = if self.cpus.is_empty() {
            XDP
        } else {
            self.make_queues()?;
            SPREAD
        };
        // Counts from the first packet on; the predecessor's goes on until its queues get no more.
        let busy = if self.cpus.is_empty() { None } else { self.begin_busy() };
        let program = xdp(&mut self.ebpf, name)?;
        load_once(program.fd().is_ok(), || program.load())(name)?;
        if !replace_xdp(program, name, pins, ifindex)? {
            attach_new_xdp(program, name, ifindex, pins, LINK_XDP)?;
        }
        match busy {
            Some(link) => pin_instead(link, pins, LINK_BUSY),
            None => remove_link(pins, LINK_BUSY),
        }
    }

    /// Counting what finds a queue full is worth having but nothing to fail for.
    fn begin_busy(&mut self) -> Option<FdLink> {
        let link = attach_raw(&mut self.ebpf, BUSY, "xdp_cpumap_enqueue");
        link.inspect_err(|error| {
            tracing::warn!("packets that find a CPU's queue full will not be counted: {error}")
        })
        .ok()
    }

    /// Holds an interface: attaches the program that lets everything pass, in a pinned link of that name, unless the link
    /// is there already. Most drivers transmit XDP frames only while a program is attached. True when it was attached now.
    pub fn hold(&mut self, pins: &Pins, ifindex: u32, link: &str) -> Result<bool, KernelError> {
        if pins.is_attached(link, ifindex)? {
            return Ok(false);
        }
        let program = xdp(&mut self.ebpf, PASS)?;
        load_once(program.fd().is_ok(), || program.load())(PASS)?;
        attach_new_xdp(program, PASS, ifindex, pins, link).map(|()| true)
    }

    /// Lets everything pass XDP, if XDP is attached at all.
    pub fn pass_xdp(&mut self, pins: &Pins, ifindex: u32) -> Result<(), KernelError> {
        let program = xdp(&mut self.ebpf, PASS)?;
        load_once(program.fd().is_ok(), || program.load())(PASS)?;
        replace_xdp(program, PASS, pins, ifindex).map(drop)
    }

    /// Puts the tcx program on the interface, like [`Programs::attach_xdp`]. First in the chain: what another program ends
    /// there, those after it never see.
    pub fn attach_tc(&mut self, pins: &Pins, ifindex: u32) -> Result<(), KernelError> {
        let program = classifier(&mut self.ebpf)?;
        load_once(program.fd().is_ok(), || program.load())(TC)?;
        // Without CAP_SYS_ADMIN the kernel does not tell who else is there; then ours is taken to be the first.
        let first = || before_ours(pins, ifindex).unwrap_or_default().is_empty();
        if pins.is_attached(LINK_TCX, ifindex)? && first() {
            let Some(link) = pinned_link(&pins.file(LINK_TCX))? else { return Ok(()) };
            let link = link.try_into().map_err(link_error(LINK_TCX))?;
            let id = program.attach_to_link(link).map_err(of(TC))?;
            drop(program.take_link(id).map_err(of(TC))?);
            return Ok(());
        }
        // The one that comes in front takes the packets before the old link goes.
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id =
            program.attach_with_options(&name_of(ifindex)?, TcAttachType::Ingress, order).map_err(of(TC))?;
        let link: FdLink = program.take_link(id).map_err(of(TC))?.try_into().map_err(link_error(LINK_TCX))?;
        pin_instead(link, pins, LINK_TCX)
    }

    /// Loads (but does not attach) the program of a mode, so that the verifier's word is known early.
    pub fn verify(&mut self, mode: Mode) -> Result<(), KernelError> {
        match mode {
            Mode::Xdp => {
                self.copy()?;
                let names: &[&'static str] = if self.cpus.is_empty() { &[XDP] } else { &[SPREAD, XDP_CPU] };
                for name in names {
                    let program = xdp(&mut self.ebpf, name)?;
                    load_once(program.fd().is_ok(), || program.load())(name)?;
                }
                Ok(())
            }
            Mode::Tc => {
                let program = classifier(&mut self.ebpf)?;
                load_once(program.fd().is_ok(), || program.load())(TC)
            }
            Mode::Userspace => Ok(()),
        }
    }

    /// Counting what drivers refuse is worth having but nothing to fail for.
    fn attach_xmit(&mut self, pins: &Pins) {
        if let Err(error) = self.try_attach_xmit(pins) {
            tracing::warn!("copies refused by drivers will not be counted: {error}");
        }
    }

    fn try_attach_xmit(&mut self, pins: &Pins) -> Result<(), KernelError> {
        let path = pins.file(LINK_XMIT);
        let link = attach_tracepoint(&mut self.ebpf)?;
        // A tracepoint link cannot be updated; for a moment two count, which is better than none.
        remove_file(&path)?;
        pin(link, &path, LINK_XMIT)
    }
}

/// Attaches the tracepoint program of a loaded object.
pub fn attach_tracepoint(ebpf: &mut Ebpf) -> Result<FdLink, KernelError> {
    attach_raw(ebpf, XMIT, "xdp_devmap_xmit")
}

fn attach_raw(ebpf: &mut Ebpf, name: &'static str, place: &str) -> Result<FdLink, KernelError> {
    let program: &mut RawTracePoint = program_mut(ebpf, name)?.try_into().map_err(of(name))?;
    load_once(program.fd().is_ok(), || program.load())(name)?;
    let id = program.attach(place).map_err(of(name))?;
    Ok(program.take_link(id).map_err(of(name))?.into())
}

fn load_once<'a>(
    loaded: bool,
    load: impl FnMut() -> Result<(), ProgramError> + 'a,
) -> impl FnOnce(&'static str) -> Result<(), KernelError> + 'a {
    move |name| if loaded { Ok(()) } else { retry(load).map_err(of(name)) }
}

/// The program `name` of an object.
pub fn program_mut<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, KernelError> {
    ebpf.program_mut(name).ok_or_else(|| missing(name))
}

/// The XDP program `name` of an object.
pub fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, KernelError> {
    program_mut(ebpf, name)?.try_into().map_err(of(name))
}

fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, KernelError> {
    let program: &mut Program = ebpf.program_mut(TC).ok_or_else(|| missing(TC))?;
    program.try_into().map_err(of(TC))
}

fn missing(program: &'static str) -> KernelError {
    let source = std::io::Error::new(ErrorKind::NotFound, "not in the eBPF object");
    KernelError::Program { program, source: source.into() }
}
