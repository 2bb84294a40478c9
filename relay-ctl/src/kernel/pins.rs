//! Where the data plane lives while no daemon does: `ROOT/INTERFACE/v<layout version>/`, one file a map or link, and a
//! lock that says which daemon looks after it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use relay_common::layout::{LATER_MAPS, PINNED_MAPS, VERSION};

use super::KernelError;

/// Default of `--pin-root`, as operators know it.
pub const DEFAULT_ROOT: &str = "/sys/fs/bpf/media-tree";

/// Names of the link files.
pub const LINK_XDP: &str = "link-xdp";
/// See [`LINK_XDP`].
pub const LINK_TCX: &str = "link-tcx";
/// See [`LINK_XDP`].
pub const LINK_XMIT: &str = "link-xmit";

/// The pin directory of one interface.
#[derive(Clone, Debug)]
pub struct Pins {
    interface: String,
    folder: PathBuf,
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
}

impl Pins {
    /// The directory of `interface` below `root`.
    pub fn new(root: &Path, interface: &str) -> Pins {
        Pins { interface: interface.to_owned(), folder: root.join(escaped(interface)) }
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
        self.folder.join(format!("v{VERSION}"))
    }

    /// The file of a map or link.
    pub fn file(&self, name: &str) -> PathBuf {
        self.versioned().join(name)
    }

    /// Interfaces with a pin directory below `root`.
    pub fn interfaces(root: &Path) -> Vec<String> {
        let mut names: Vec<String> = names_in(root).iter().map(|name| unescaped(name)).collect();
        names.sort();
        names
    }

    /// Looks at what is there. Another layout version or half a data plane is an error: touching it could interrupt
    /// what still forwards.
    pub fn inspect(&self) -> Result<Found, KernelError> {
        let versions = names_in(&self.folder);
        let ours = format!("v{VERSION}");
        if let Some(other) = versions.iter().find(|name| **name != ours) {
            return Err(KernelError::OtherLayout {
                folder: self.folder.clone(),
                found: other.clone(),
                interface: self.interface.clone(),
            });
        }
        let present = names_in(&self.versioned());
        if present.is_empty() {
            return Ok(Found::Nothing);
        }
        let linked = present.iter().any(|name| name == LINK_XDP || name == LINK_TCX);
        let missing: Vec<&str> = PINNED_MAPS
            .iter()
            .copied()
            .filter(|map| !LATER_MAPS.contains(map) && !present.iter().any(|name| name == map))
            .collect();
        if linked && missing.is_empty() {
            return Ok(Found::DataPlane);
        }
        if !linked {
            return Ok(Found::Leftovers);
        }
        Err(KernelError::CorruptPins {
            folder: self.versioned(),
            what: format!("{} missing", missing.join(", ")),
            interface: self.interface.clone(),
        })
    }

    /// Makes the versioned directory and takes the lock; it is held until the file is dropped, also by kill -9.
    pub fn lock(&self) -> Result<File, KernelError> {
        let folder = self.versioned();
        std::fs::create_dir_all(&folder)
            .map_err(|source| KernelError::PinFolder { folder: folder.clone(), source })?;
        let file = File::open(&self.folder)
            .map_err(|source| KernelError::PinFolder { folder: self.folder.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(KernelError::AnotherDaemon { interface: self.interface.clone(), pid: self.keeper() })
            }
            Err(std::fs::TryLockError::Error(source)) => {
                Err(KernelError::PinFolder { folder: self.folder.clone(), source })
            }
        }
    }

    /// True while a daemon looks after the interface.
    pub fn is_locked(&self) -> bool {
        File::open(&self.folder)
            .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// The daemon that looks after the interface; `None` when none does, or none that can be seen from here (it may be in
    /// another container).
    pub fn keeper(&self) -> Option<u32> {
        let folder = std::fs::metadata(&self.folder).ok()?;
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        keeper_in(&locks, folder.dev(), folder.ino())
    }

    /// True while a program is attached through a pinned link.
    pub fn is_linked(&self) -> bool {
        self.file(LINK_XDP).exists() || self.file(LINK_TCX).exists()
    }

    /// Removes the files of the versioned directory, but not the directory, which carries the lock.
    pub fn clear(&self) -> Result<(), KernelError> {
        let folder = self.versioned();
        names_in(&folder).iter().try_for_each(|name| remove_file(&folder.join(name)))
    }

    /// Removes everything, links first, so that no packet meets half a data plane. True when there was something.
    pub fn remove(&self) -> Result<bool, KernelError> {
        let mut found = false;
        for version in names_in(&self.folder) {
            let folder = self.folder.join(version);
            let mut names = names_in(&folder);
            names.sort_by_key(|name| !name.starts_with("link-"));
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

/// Who holds the lock on a file, from the text of `/proc/locks`:
/// `2: FLOCK  ADVISORY  WRITE 1234 00:1f:5678 0 EOF` is a lock of process 1234 on inode 5678 of device 0:31. One that waits
/// for it has an arrow behind the number.
fn keeper_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, pid, file) = (words.next()?, words.nth(2)?, words.next()?);
        (kind == "FLOCK" && file == place).then(|| pid.parse().ok().filter(|pid| *pid != 0))?
    })
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn remove_file(path: &Path) -> Result<(), KernelError> {
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

/// Sees to it that `root` is on a BPF filesystem, mounting one at `/sys/fs/bpf` where that is what is missing.
pub fn ensure_bpffs(root: &Path) -> Result<(), KernelError> {
    if is_bpffs(root) {
        return Ok(());
    }
    let mount_point = Path::new("/sys/fs/bpf");
    if root.starts_with(mount_point) && mount_point.is_dir() {
        tracing::info!("mounting the BPF filesystem at {}", mount_point.display());
        let mounted = nix::mount::mount(
            Some("bpf"),
            mount_point,
            Some("bpf"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        );
        if mounted.is_ok() && is_bpffs(root) {
            return Ok(());
        }
    }
    Err(KernelError::NoBpffs { root: root.to_owned() })
}

/// True when `path`, or its nearest ancestor that exists, is on a BPF filesystem.
pub fn is_bpffs(path: &Path) -> bool {
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.exists()) else { return false };
    nix::sys::statfs::statfs(existing)
        .is_ok_and(|filesystem| filesystem.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
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
    fn the_holder_of_a_lock_is_found() {
        let locks = "1: POSIX  ADVISORY  WRITE 77 00:1f:5678 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 1234 00:1f:5678 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 99 00:1f:5678 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 fe:01:9 0 EOF\n";
        let device = |major, minor| nix::sys::stat::makedev(major, minor);
        assert_eq!(keeper_in(locks, device(0, 0x1f), 5678), Some(1234));
        assert_eq!(keeper_in(locks, device(0, 0x1f), 5679), None);
        assert_eq!(keeper_in(locks, device(0xfe, 1), 9), None, "a process that cannot be seen from here");
    }

    #[test]
    fn a_lock_names_its_process() {
        let root = tempfile::tempdir().unwrap();
        let pins = Pins::new(root.path(), "eth0");
        assert_eq!(pins.keeper(), None);
        let lock = pins.lock().unwrap();
        assert_eq!(pins.keeper(), Some(std::process::id()));
        assert!(pins.is_locked());
        let error = pins.lock().unwrap_err().to_string();
        let wanted = format!("another relay-ctl (PID {}) already manages eth0", std::process::id());
        assert!(error.contains(&wanted), "{error}");
        drop(lock);
        assert_eq!(pins.keeper(), None);
    }

    #[test]
    fn interfaces_are_listed_by_their_own_names() {
        let root = tempfile::tempdir().unwrap();
        for interface in ["eth0.100", "eth0"] {
            std::fs::create_dir(Pins::new(root.path(), interface).folder()).unwrap();
        }
        assert_eq!(Pins::interfaces(root.path()), ["eth0", "eth0.100"]);
    }
}
