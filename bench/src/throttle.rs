//! Real-time throttling. The kernel takes real-time threads off their CPU for 50 ms of each second, so that a mistake does
//! not lock people out. The generator and the thread that polls the relay's interface are such threads, and 50 ms without
//! them would be taken for the host's doing.

use std::fs;

use anyhow::{Context, Result};

const FILE: &str = "/proc/sys/kernel/sched_rt_runtime_us";
/// As much as they like.
const UNLIMITED: &str = "-1";

/// No throttling until this is dropped.
pub struct Unthrottled {
    before: String,
}

/// Lets real-time threads run as long as they like.
pub fn lift() -> Result<Unthrottled> {
    let before = fs::read_to_string(FILE).with_context(|| format!("reading {FILE}"))?;
    // Where it is not allowed, the tails are longer; everything else is as it is.
    if let Err(error) = fs::write(FILE, UNLIMITED) {
        eprintln!("bench: real-time throttling stays on ({FILE}: {error}): expect gaps of 50 ms");
    }
    Ok(Unthrottled { before })
}

impl Drop for Unthrottled {
    fn drop(&mut self) {
        if let Err(error) = fs::write(FILE, &self.before) {
            eprintln!("bench: {FILE} was {}, and cannot be set back: {error}", self.before.trim());
        }
    }
}
