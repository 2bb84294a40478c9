//! Which daemon manages an interface: a lock on the interface's pin directory.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::KernelError;
use super::pins::Pins;

impl Pins {
    /// Takes the lock, which is held until the file is dropped, also by kill -9, and makes the versioned directory: not
    /// before, or a daemon of another version that holds the lock would not start again beside it.
    pub fn lock(&self) -> Result<File, KernelError> {
        let make = |folder: &Path| {
            std::fs::create_dir_all(folder)
                .map_err(|source| KernelError::PinFolder { folder: folder.to_owned(), source })
        };
        make(self.folder())?;
        let file = File::open(self.folder())
            .map_err(|source| KernelError::PinFolder { folder: self.folder().to_owned(), source })?;
        match file.try_lock() {
            Ok(()) => make(&self.versioned()).map(|()| file),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(KernelError::AnotherDaemon { interface: self.interface().to_owned(), pid: self.keeper() })
            }
            Err(std::fs::TryLockError::Error(source)) => {
                Err(KernelError::PinFolder { folder: self.folder().to_owned(), source })
            }
        }
    }

    /// True while a daemon manages the interface.
    pub fn is_locked(&self) -> bool {
        File::open(self.folder())
            .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// The daemon that manages the interface; `None` when none does, or none that can be seen from here (it may be in
    /// another container).
    pub fn keeper(&self) -> Option<u32> {
        let folder = std::fs::metadata(self.folder()).ok()?;
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        keeper_in(&locks, folder.dev(), folder.ino())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
