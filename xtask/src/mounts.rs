//! The relay mounts the BPF filesystem at its usual place where it is missing. On an operator's machine that is right; a
//! demo or a test leaves the machine as it was.

use std::process::Command;

use crate::sh;

const PLACES: [&str; 1] = ["/sys/fs/bpf"];

/// Unmounts on drop what was not mounted before.
pub struct Mounts {
    absent: Vec<&'static str>,
}

impl Mounts {
    /// Looks at what is mounted now.
    pub fn remember() -> Mounts {
        Mounts { absent: PLACES.into_iter().filter(|place| !mounted(place)).collect() }
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for place in &self.absent {
            if mounted(place) {
                let _ = sh::output_of(Command::new("umount").arg(place));
            }
        }
    }
}

fn mounted(place: &str) -> bool {
    std::fs::read_to_string("/proc/mounts")
        .is_ok_and(|mounts| mounts.lines().any(|line| line.split(' ').nth(1) == Some(place)))
}
