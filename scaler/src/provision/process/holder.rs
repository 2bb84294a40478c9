//! The process that holds a node's lock.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid, getpgrp};
use serde::{Deserialize, Serialize};

/// A process, and when it was started, in ticks since the machine's: two that have both in common are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pid: i32,
    start: u64,
}

impl Holder {
    /// The one of this id, if there is one.
    pub fn of(pid: u32) -> Option<Holder> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses, which may have any of them itself.
        let start = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        Some(Holder { pid: pid.try_into().ok()?, start })
    }

    fn is_there(self) -> bool {
        u32::try_from(self.pid).ok().and_then(Holder::of) == Some(self)
    }

    /// Tells it to end.
    pub fn terminate(self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
    }

    /// Ends it, and what it has started.
    pub fn kill(self) {
        let pid = Pid::from_raw(self.pid);
        match getpgid(Some(pid)) {
            Ok(group) if group != getpgrp() => drop(killpg(group, Signal::SIGKILL)),
            _ => drop(kill(pid, Signal::SIGKILL)),
        }
    }
}

/// Who holds that lock, which somebody does: who is in the record, or whoever has the file for its standard input, if the scaler
/// ended before it wrote the record, or a program in front of the node has ended.
pub fn of(recorded: Option<Holder>, run: &Path) -> Vec<Holder> {
    if let Some(holder) = recorded.filter(|holder| holder.is_there()) {
        return vec![holder];
    }
    let Ok(file) = fs::metadata(run) else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/fd/0"))
                .is_ok_and(|input| (input.dev(), input.ino()) == (file.dev(), file.ino()))
        })
        .filter_map(Holder::of)
        .collect()
}
