//! Settings of the kernel for the time of a measurement, set back after it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// What operators are told to put into `/etc/sysctl.d`.
const OURS: &str = include_str!("../../deploy/90-media-tree.conf");

/// Values that are in force until this is dropped.
pub struct Sysctls {
    before: Vec<(PathBuf, String)>,
}

impl Sysctls {
    /// As deploy/90-media-tree.conf has them.
    pub fn ours() -> Result<Self> {
        Self::set(assignments(OURS))
    }

    /// As the kernel has them by itself, of all that are in that file: [`DEFAULT`].
    pub fn default_buffers() -> Result<Self> {
        Self::set(assignments(OURS).map(|(key, _)| (key, DEFAULT)))
    }

    fn set<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut set = Self { before: Vec::new() };
        for (key, value) in wanted {
            let file = PathBuf::from(format!("/proc/sys/{}", key.replace('.', "/")));
            let before = fs::read_to_string(&file).with_context(|| format!("reading {key}"))?;
            fs::write(&file, value).with_context(|| format!("setting {key} to {value}"))?;
            set.before.push((file, before));
        }
        Ok(set)
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        for (file, before) in &self.before {
            if let Err(error) = fs::write(file, before) {
                eprintln!("bench: {} was {}, and cannot be set back: {error}", file.display(), before.trim());
            }
        }
    }
}

/// Bytes of a socket's buffer, in either direction, default and most.
const DEFAULT: &str = "212992";

fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_for_operators_is_read() {
        let all: Vec<_> = assignments(OURS).collect();
        assert_eq!(all[0], ("net.core.rmem_default", "1048576"));
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|(key, value)| key.starts_with("net.core.") && value.parse::<u64>().is_ok()));
    }
}
