//! Ctrl-C, where something has to be taken away afterwards. The terminal sends it to all programs of the process group, so
//! whatever runs at that moment ends by itself; `xtask` goes on to clean up instead of ending with it.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::sh;

static SEEN: AtomicBool = AtomicBool::new(false);
/// Process id of what is told, too; 0 if nothing runs that has to be.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// From here on SIGINT and SIGTERM do not end this process; [`seen`] says that there was one.
pub fn outlive() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("watching for Ctrl-C")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            SEEN.store(true, Ordering::SeqCst);
            // Whoever sends a signal by `kill` sends it to this process alone. Twice does no harm.
            let child = CHILD.load(Ordering::SeqCst);
            if child != 0 {
                let _ = sh::output_of(Command::new("kill").arg(child.to_string()));
            }
        }
    });
    Ok(())
}

/// Was there one?
pub fn seen() -> bool {
    SEEN.load(Ordering::SeqCst)
}

/// An error if there was one: between steps that do not notice.
pub fn check() -> Result<()> {
    if seen() {
        bail!("interrupted");
    }
    Ok(())
}

/// While it lives, signals are passed on to this child.
pub struct Told;

impl Told {
    /// Until this is dropped.
    pub fn child(id: u32) -> Told {
        CHILD.store(id.try_into().unwrap_or(0), Ordering::SeqCst);
        Told
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        CHILD.store(0, Ordering::SeqCst);
    }
}
