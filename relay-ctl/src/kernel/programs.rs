//! Loading the object onto the pinned maps, and attaching its programs so that they outlive the daemon.

use std::io::ErrorKind;
use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{
    LinkOrder, Program, ProgramError, ProgramFd, RawTracePoint, SchedClassifier, TcAttachType, Xdp, XdpMode,
};
use aya::{Ebpf, EbpfLoader};
use relay_common::layout::PINNED_MAPS;

use super::pins::{LINK_TCX, LINK_XDP, LINK_XMIT, Pins};
use super::{KernelError, Mode};

/// The eBPF object, built by `cargo xtask build-ebpf`.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay-ebpf"));

/// Names of the programs in the object.
pub const XDP: &str = "relay_xdp";
/// The XDP program that lets everything pass.
pub const PASS: &str = "relay_pass";
/// The devmap program.
pub const COPY: &str = "relay_copy";
/// The tcx program.
pub const TC: &str = "relay_tc";
/// The tracepoint program.
pub const XMIT: &str = "relay_xmit";
/// The probe.
pub const PROBE: &str = "relay_probe";

/// The constant that says whether streams and children are counted.
const STATISTICS: &str = "STATISTICS";

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    /// See `aya_log`; 0 is off.
    pub log_level: u8,
    /// Whether streams and children are counted. Drops are in any case.
    pub statistics: bool,
}

impl Default for Constants {
    fn default() -> Self {
        Constants { log_level: 0, statistics: true }
    }
}

/// The loaded object.
pub struct Programs {
    ebpf: Ebpf,
    /// The devmap program, once loaded.
    copy: Option<ProgramFd>,
}

impl Programs {
    /// Loads the object; maps that are pinned are used as they are, the others are created and pinned.
    pub fn load(pins: &Pins, constants: Constants) -> Result<Programs, KernelError> {
        let mut loader = EbpfLoader::new();
        for map in PINNED_MAPS {
            loader.map_pin_path(map, pins.file(map));
        }
        let statistics = u8::from(constants.statistics);
        loader.override_global(aya_log::LEVEL, &constants.log_level, false);
        loader.override_global(STATISTICS, &statistics, true);
        let ebpf = loader.load(OBJECT)?;
        Ok(Programs { ebpf, copy: None })
    }

    /// The loaded object, for the logger and for tests.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
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
        let program = xdp(&mut self.ebpf, XDP)?;
        load_once(program.fd().is_ok(), || program.load())(XDP)?;
        if replace_xdp(program, XDP, pins)? {
            return Ok(());
        }
        let id = program.attach_to_if_index(ifindex, XdpMode::Driver).map_err(of(XDP))?;
        let link: FdLink =
            program.take_link(id).map_err(of(XDP))?.try_into().map_err(link_error(LINK_XDP))?;
        pin(link, &pins.file(LINK_XDP), LINK_XDP)
    }

    /// Lets everything pass XDP, if XDP is attached at all.
    pub fn pass_xdp(&mut self, pins: &Pins) -> Result<(), KernelError> {
        let program = xdp(&mut self.ebpf, PASS)?;
        load_once(program.fd().is_ok(), || program.load())(PASS)?;
        replace_xdp(program, PASS, pins).map(drop)
    }

    /// Puts the tcx program on the interface, like [`Programs::attach_xdp`].
    pub fn attach_tc(&mut self, pins: &Pins) -> Result<(), KernelError> {
        let program = classifier(&mut self.ebpf)?;
        load_once(program.fd().is_ok(), || program.load())(TC)?;
        let path = pins.file(LINK_TCX);
        if let Some(link) = pinned_link(&path)? {
            let link = link.try_into().map_err(link_error(LINK_TCX))?;
            let id = program.attach_to_link(link).map_err(of(TC))?;
            drop(program.take_link(id).map_err(of(TC))?);
            return Ok(());
        }
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id =
            program.attach_with_options(pins.interface(), TcAttachType::Ingress, order).map_err(of(TC))?;
        let link: FdLink = program.take_link(id).map_err(of(TC))?.try_into().map_err(link_error(LINK_TCX))?;
        pin(link, &path, LINK_TCX)
    }

    /// Loads (but does not attach) the program of a mode, so that the verifier's word is known early.
    pub fn verify(&mut self, mode: Mode) -> Result<(), KernelError> {
        match mode {
            Mode::Xdp => {
                self.copy()?;
                let program = xdp(&mut self.ebpf, XDP)?;
                load_once(program.fd().is_ok(), || program.load())(XDP)
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
        if path.exists() {
            let _ = std::fs::remove_file(&path);
        }
        pin(link, &path, LINK_XMIT)
    }
}

/// Attaches the tracepoint program of a loaded object.
pub fn attach_tracepoint(ebpf: &mut Ebpf) -> Result<FdLink, KernelError> {
    let program: &mut RawTracePoint =
        ebpf.program_mut(XMIT).ok_or_else(|| missing(XMIT))?.try_into().map_err(of(XMIT))?;
    load_once(program.fd().is_ok(), || program.load())(XMIT)?;
    let id = program.attach("xdp_devmap_xmit").map_err(of(XMIT))?;
    Ok(program.take_link(id).map_err(of(XMIT))?.into())
}

/// Swaps the program in the pinned XDP link, at once and without a gap. False when there is no such link.
fn replace_xdp(program: &mut Xdp, name: &'static str, pins: &Pins) -> Result<bool, KernelError> {
    let Some(link) = pinned_link(&pins.file(LINK_XDP))? else { return Ok(false) };
    let id = program.attach_to_link(link.try_into().map_err(link_error(LINK_XDP))?).map_err(of(name))?;
    // The pin holds the link; dropping our handle on it is not detaching.
    drop(program.take_link(id).map_err(of(name))?);
    Ok(true)
}

/// Removes the link of a mode that is no longer the mode.
pub fn remove_link(pins: &Pins, name: &str) -> Result<(), KernelError> {
    let path = pins.file(name);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(KernelError::PinFolder { folder: path, source })
        }
        _ => Ok(()),
    }
}

fn pinned_link(path: &Path) -> Result<Option<FdLink>, KernelError> {
    if !path.exists() {
        return Ok(None);
    }
    PinnedLink::from_pin(path).map(|link| Some(link.into())).map_err(link_error("pinned link"))
}

fn pin(link: FdLink, path: &Path, what: &'static str) -> Result<(), KernelError> {
    link.pin(path).map(drop).map_err(|source| KernelError::Pin { what, source })
}

fn load_once<'a>(
    loaded: bool,
    load: impl FnMut() -> Result<(), ProgramError> + 'a,
) -> impl FnOnce(&'static str) -> Result<(), KernelError> + 'a {
    move |name| if loaded { Ok(()) } else { retry(load).map_err(of(name)) }
}

/// Loads a program. The verifier gives up with EAGAIN when the thread is signalled, and libbpf then tries up to five
/// times; aya does not.
pub fn retry(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    for _ in 1..5 {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
    load()
}

/// The XDP program `name` of an object.
pub fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, KernelError> {
    ebpf.program_mut(name).ok_or_else(|| missing(name))?.try_into().map_err(of(name))
}

fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, KernelError> {
    let program: &mut Program = ebpf.program_mut(TC).ok_or_else(|| missing(TC))?;
    program.try_into().map_err(of(TC))
}

/// Gives a program error its program's name.
pub fn of(program: &'static str) -> impl Fn(ProgramError) -> KernelError {
    move |source| KernelError::Program { program, source }
}

fn link_error(link: &'static str) -> impl Fn(aya::programs::links::LinkError) -> KernelError {
    move |source| KernelError::Link { link, source }
}

fn missing(program: &'static str) -> KernelError {
    let source = std::io::Error::new(ErrorKind::NotFound, "not in the eBPF object");
    KernelError::Program { program, source: source.into() }
}
