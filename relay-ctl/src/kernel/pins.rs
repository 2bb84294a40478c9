//! Where the data plane lives while no daemon does: `ROOT/INTERFACE/v<layout version>/`, one file a map or link, and a
//! lock that says which daemon manages it.

use std::path::{Path, PathBuf};

use relay_common::layout::{LATER_MAPS, PINNED_MAPS, VERSION};

use super::KernelError;
use super::link::{self, Attached};

/// Default of `--pin-root`, as operators know it.
pub const DEFAULT_ROOT: &str = "/sys/fs/bpf/media-tree";

/// What the names of link files begin with.
const PREFIX: &str = "link-";
/// Names of the link files.
pub const LINK_XDP: &str = "link-xdp";
/// See [`LINK_XDP`].
pub const LINK_TCX: &str = "link-tcx";
/// See [`LINK_XDP`].
pub const LINK_XMIT: &str = "link-xmit";
/// See [`LINK_XDP`].
pub const LINK_BUSY: &str = "link-busy";
/// Begin of the names of the links that hold `relay_pass` on egress interfaces; the interface's index follows.
const LINK_PASS: &str = "link-pass-";

/// For tests only: the layout version that this daemon poses as, so that another can take over from an older one.
const POSE: &str = "MEDIA_TREE_POSE_AS_LAYOUT";

/// The pin directory of one interface.
#[derive(Clone, Debug)]
pub struct Pins {
    interface: String,
    folder: PathBuf,
    version: u32,
}

/// What is in a pin directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the interface is not attached.
    Nothing,
    /// Files, but no link: a start that was cut short. They forward nothing.
    Leftovers,
    /// A whole data plane of this layout version.
    DataPlane,
    /// A data plane of an older layout version, and at most leftovers of this one.
    Older(u32),
}

impl Pins {
    /// The directory of `interface` below `root`.
    pub fn new(root: &Path, interface: &str) -> Pins {
        let version = std::env::var(POSE).ok().and_then(|version| version.parse().ok()).unwrap_or(VERSION);
        Pins { interface: interface.to_owned(), folder: root.join(escaped(interface)), version }
    }

    /// The same of another layout version.
    pub fn of_version(self, version: u32) -> Pins {
        Pins { version, ..self }
    }

    /// The layout version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The directory, of whatever layout version.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The versioned directory.
    pub fn versioned(&self) -> PathBuf {
        self.folder.join(format!("v{}", self.version))
    }

    /// The file of a map or link.
    pub fn file(&self, name: &str) -> PathBuf {
        self.versioned().join(name)
    }

    /// Interfaces with a pin directory below `root`.
    pub fn interfaces(root: &Path) -> Vec<String> {
        // At the root of a BPF filesystem the kernel has files of its own.
        let names = names_in(root).into_iter().filter(|name| root.join(name).is_dir());
        let mut names: Vec<String> = names.map(|name| unescaped(&name)).collect();
        names.sort();
        names
    }

    /// Finds out what is there. A newer layout version or half a data plane is an error: touching it could interrupt what
    /// still forwards.
    pub fn inspect(&self) -> Result<Found, KernelError> {
        let versions = names_in(&self.folder);
        let newer = |name: &&String| number(name).is_none_or(|number| number > self.version);
        if let Some(other) = versions.iter().find(newer) {
            return Err(KernelError::OtherLayout {
                folder: self.folder.clone(),
                found: other.clone(),
                interface: self.interface.clone(),
            });
        }
        let found = self.inspect_version()?;
        if found == Found::DataPlane {
            return Ok(found);
        }
        Ok(self.inspect_older().unwrap_or(found))
    }

    /// The newest data plane of an older version, if there is one.
    pub fn inspect_older(&self) -> Option<Found> {
        self.older().into_iter().find(Pins::has_link).map(|older| Found::Older(older.version))
    }

    /// The directories of older layout versions that are there, the newest first.
    pub fn older(&self) -> Vec<Pins> {
        let mut numbers: Vec<u32> = names_in(&self.folder)
            .iter()
            .filter_map(|name| number(name))
            .filter(|number| *number < self.version)
            .collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(*number));
        numbers.into_iter().map(|version| self.clone().of_version(version)).collect()
    }

    fn inspect_version(&self) -> Result<Found, KernelError> {
        let present = names_in(&self.versioned());
        if present.is_empty() {
            return Ok(Found::Nothing);
        }
        if !self.has_link() {
            return Ok(Found::Leftovers);
        }
        let missing: Vec<&str> = PINNED_MAPS
            .iter()
            .copied()
            .filter(|map| !LATER_MAPS.contains(map) && !present.iter().any(|name| name == map))
            .collect();
        if missing.is_empty() {
            return Ok(Found::DataPlane);
        }
        Err(KernelError::CorruptPins {
            folder: self.versioned(),
            what: format!("{} missing", missing.join(", ")),
            interface: self.interface.clone(),
        })
    }

    /// True while a program is attached through a pinned link: the files of links outlive the interface.
    pub fn is_linked(&self) -> bool {
        [LINK_XDP, LINK_TCX].iter().any(|name| match self.attached(name) {
            Ok(attached) => attached.is_some_and(|attached| attached.ifindex != 0),
            // Without rights to ask, the file is all there is to go by.
            Err(_) => true,
        })
    }

    /// True until somebody removes the data plane.
    pub fn is_there(&self) -> bool {
        self.file("RELAY").exists()
    }

    /// What the pinned link of that name is attached to. `None`: there is no such file.
    pub fn attached(&self, name: &str) -> Result<Option<Attached>, KernelError> {
        let file = self.file(name);
        if !file.exists() {
            return Ok(None);
        }
        let damaged = |error: std::io::Error| KernelError::CorruptPins {
            folder: self.versioned(),
            what: format!("{name}: {error}"),
            interface: self.interface.clone(),
        };
        link::attached(&file).map(Some).map_err(damaged)
    }

    /// True when the link of that name is attached to this interface.
    pub fn is_attached(&self, name: &str, ifindex: u32) -> Result<bool, KernelError> {
        Ok(self.attached(name)?.is_some_and(|attached| attached.ifindex == ifindex))
    }

    /// True when there is the file of a link.
    pub fn has_link(&self) -> bool {
        self.file(LINK_XDP).exists() || self.file(LINK_TCX).exists()
    }

    /// The name of the link that holds `relay_pass` on an egress interface.
    pub fn holder(ifindex: u32) -> String {
        format!("{LINK_PASS}{ifindex}")
    }

    /// Egress interfaces that such a link was made for, whether or not they are still there.
    pub fn holders(&self) -> Vec<u32> {
        let names = names_in(&self.versioned());
        names.iter().filter_map(|name| name.strip_prefix(LINK_PASS)?.parse().ok()).collect()
    }

    /// Moves the links of an older version here. The programs in them are still the older ones.
    pub fn adopt_links(&self, older: &Pins) -> Result<(), KernelError> {
        let holders = older.holders().into_iter().map(Pins::holder);
        for name in [LINK_XDP, LINK_TCX].map(str::to_owned).into_iter().chain(holders) {
            let (from, to) = (older.file(&name), self.file(&name));
            if from.exists() {
                std::fs::rename(&from, &to)
                    .map_err(|source| KernelError::PinFolder { folder: to, source })?;
            }
        }
        Ok(())
    }

    /// Removes the versioned directory, and with it what is attached through it.
    pub fn remove_version(&self) -> Result<(), KernelError> {
        self.clear()?;
        remove_folder(&self.versioned())
    }

    /// Removes the files of the versioned directory, but not the directory. Links first.
    pub fn clear(&self) -> Result<(), KernelError> {
        let folder = self.versioned();
        let mut names = names_in(&folder);
        names.sort_by_key(|name| !name.starts_with(PREFIX));
        names.iter().try_for_each(|name| remove_file(&folder.join(name)))
    }

    /// Removes what a start that came to nothing has made, if nothing is attached through it.
    pub fn abandon(&self) {
        let folder = self.versioned();
        if !names_in(&folder).iter().any(|name| name.starts_with(PREFIX)) {
            // What stays is cleared by the next start.
            let _ = self.clear().and_then(|()| remove_folder(&folder));
        }
    }

    /// Removes everything, links first, so that no packet meets half a data plane. True when there was something.
    pub fn remove(&self) -> Result<bool, KernelError> {
        let mut found = false;
        for version in names_in(&self.folder) {
            let folder = self.folder.join(version);
            let mut names = names_in(&folder);
            names.sort_by_key(|name| !name.starts_with(PREFIX));
            for name in names {
                remove_file(&folder.join(name))?;
                found = true;
            }
            remove_folder(&folder)?;
        }
        if self.folder.exists() {
            found = true;
            remove_folder(&self.folder)?;
        }
        Ok(found)
    }
}

/// The name of an interface's directory. bpffs takes no name with a dot in it, which VLAN interfaces have (`eth0.100`).
fn escaped(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The interface that a directory is named after.
fn unescaped(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

/// The layout version that a directory's name says.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix('v')?.parse().ok()
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Removes the file of a map or a link; the program of a link is taken off first.
pub(super) fn remove_file(path: &Path) -> Result<(), KernelError> {
    if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
        // Where the kernel takes none off so (a link of another kind than an interface's, or one whose interface is gone),
        // it goes with its file.
        let _ = link::detach(path);
    }
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(KernelError::PinFolder { folder: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> Result<(), KernelError> {
    match std::fs::remove_dir(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(KernelError::PinFolder { folder: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_a_directory_that_bpffs_takes() {
        for (interface, name) in
            [("eth0", "eth0"), ("eth0.100", "eth0%2e100"), ("a%2eb.c", "a%252eb%2ec"), ("%", "%25")]
        {
            let pins = Pins::new(Path::new("/pins"), interface);
            assert_eq!(pins.folder(), Path::new("/pins").join(name));
            assert_eq!(unescaped(name), interface);
        }
    }

    #[test]
    fn interfaces_are_listed_by_their_own_names() {
        let root = tempfile::tempdir().unwrap();
        for interface in ["eth0.100", "eth0"] {
            std::fs::create_dir(Pins::new(root.path(), interface).folder()).unwrap();
        }
        std::fs::write(root.path().join("maps.debug"), "the kernel's").unwrap();
        assert_eq!(Pins::interfaces(root.path()), ["eth0", "eth0.100"]);
    }
}
