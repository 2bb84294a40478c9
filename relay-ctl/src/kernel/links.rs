//! Links that outlive the daemon: pinned, and exchanged without a moment in which none is there.

use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{Xdp, XdpMode};

use super::KernelError;
use super::pins::{LINK_XDP, Pins, remove_file};
use super::verifier::of;

/// Swaps the program in the pinned XDP link, at once and without a gap. False when there is no such link, or its interface
/// is gone.
pub fn replace_xdp(
    program: &mut Xdp,
    name: &'static str,
    pins: &Pins,
    ifindex: u32,
) -> Result<bool, KernelError> {
    if !pins.is_attached(LINK_XDP, ifindex)? {
        return Ok(false);
    }
    let Some(link) = pinned_link(&pins.file(LINK_XDP))? else { return Ok(false) };
    let id = program.attach_to_link(link.try_into().map_err(link_error(LINK_XDP))?).map_err(of(name))?;
    // The pin holds the link; dropping our handle on it is not detaching.
    drop(program.take_link(id).map_err(of(name))?);
    Ok(true)
}

/// Removes the link of a mode that is no longer the mode.
pub fn remove_link(pins: &Pins, name: &str) -> Result<(), KernelError> {
    remove_file(&pins.file(name))
}

pub fn pinned_link(path: &Path) -> Result<Option<FdLink>, KernelError> {
    if !path.exists() {
        return Ok(None);
    }
    PinnedLink::from_pin(path).map(|link| Some(link.into())).map_err(link_error("pinned link"))
}

pub fn pin(link: FdLink, path: &Path, what: &'static str) -> Result<(), KernelError> {
    link.pin(path).map(drop).map_err(|source| KernelError::Pin { what, source })
}

/// Pins a link in the place of one that it replaces, if any. There is never a moment without either.
pub fn pin_instead(link: FdLink, pins: &Pins, name: &str) -> Result<(), KernelError> {
    let (aside, place) = (pins.file(&format!("{name}-new")), pins.file(name));
    remove_file(&aside)?;
    pin(link, &aside, "a link")?;
    std::fs::rename(&aside, &place).map_err(|source| KernelError::PinFolder { folder: place, source })
}

pub fn attach_new_xdp(
    program: &mut Xdp,
    name: &'static str,
    ifindex: u32,
    pins: &Pins,
    link: &str,
) -> Result<(), KernelError> {
    let id = program.attach_to_if_index(ifindex, XdpMode::Driver).map_err(of(name))?;
    let attached: FdLink =
        program.take_link(id).map_err(of(name))?.try_into().map_err(link_error(LINK_XDP))?;
    pin_instead(attached, pins, link)
}

pub fn link_error(link: &'static str) -> impl Fn(aya::programs::links::LinkError) -> KernelError {
    move |source| KernelError::Link { link, source }
}
