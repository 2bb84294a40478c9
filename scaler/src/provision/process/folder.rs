//! The folder of records.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Record;
use crate::provision::Trouble;

/// How long another scaler may hold the folder.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// How long the log of a node that is gone is kept.
const LOGS: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder, which whoever changes something holds.
pub struct Folder(PathBuf);

/// The folder, held. What is read and written here is small, and on this machine: it is not worth a thread.
pub struct Held<'a> {
    folder: &'a Path,
    _lock: File,
}

impl Folder {
    pub fn new(path: PathBuf) -> Folder {
        Folder(path)
    }

    /// Once nobody else does.
    pub async fn hold(&self) -> Result<Held<'_>, Trouble> {
        // Logs and records are nobody else's.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(|error| at(&self.0, &error))?;
        self.is_nobody_elses()?;
        // No tree has this name.
        let path = self.0.join(".lock");
        let lock = open(&path)?;
        let began = tokio::time::Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Held { folder: &self.0, _lock: lock }),
                Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Trouble::passing(format!("another scaler holds {}", path.display())));
                }
                Err(TryLockError::Error(error)) => return Err(at(&path, &error)),
            }
        }
    }
}

impl Folder {
    /// A record says which process is told to end: who can write one could have any of this user's killed.
    fn is_nobody_elses(&self) -> Result<(), Trouble> {
        let data = fs::metadata(&self.0).map_err(|error| at(&self.0, &error))?;
        let owner = data.uid();
        let is_ours = owner == nix::unistd::geteuid().as_raw() || owner == 0;
        if is_ours && data.mode() & 0o022 == 0 {
            return Ok(());
        }
        Err(Trouble::lasting(format!(
            "{} can be written by others than the scaler; make it the scaler's own: chown and chmod 700",
            self.0.display()
        )))
    }
}

impl Held<'_> {
    /// `STATE/TREE/NAME.KIND`.
    pub fn path(&self, tree: &str, name: &str, kind: &str) -> PathBuf {
        self.folder.join(tree).join(format!("{name}.{kind}"))
    }

    pub fn read(&self, tree: &str, name: &str) -> Result<Option<Record>, Trouble> {
        let path = self.path(tree, name, "json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                Trouble::lasting(format!(
                    "{} is no record ({error}); see whether the node runs, and remove it",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path, &error)),
        }
    }

    /// Whole or not at all.
    pub fn write(&self, tree: &str, name: &str, record: &Record) -> Result<(), Trouble> {
        let path = self.path(tree, name, "json");
        let unfinished = self.path(tree, name, "part");
        let text = serde_json::to_vec(record).map_err(|error| Trouble::lasting(error.to_string()))?;
        let folder = self.folder.join(tree);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| at(&folder, &error))?;
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_data()
        });
        written.map_err(|error| at(&unfinished, &error))?;
        fs::rename(&unfinished, &path).map_err(|error| at(&path, &error))
    }

    /// The lock that the node's process would hold; `None`: it does.
    pub fn free(&self, tree: &str, name: &str) -> Result<Option<File>, Trouble> {
        let path = self.path(tree, name, "run");
        if let Err(error) = fs::create_dir_all(self.folder.join(tree)) {
            return Err(at(&path, &error));
        }
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(at(&path, &error)),
        }
    }

    /// All but its log; the record last, so that what was not finished is found again.
    pub fn forget(&self, tree: &str, name: &str) -> Result<(), Trouble> {
        for kind in ["part", "run", "json"] {
            let path = self.path(tree, name, kind);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path, &error)),
                _ => {}
            }
        }
        self.remove_old_logs(tree);
        Ok(())
    }

    pub fn names(&self, tree: &str) -> Result<Vec<String>, Trouble> {
        self.files(&self.folder.join(tree), "json")
    }

    /// The first port of every node of every tree.
    pub fn ports(&self) -> Result<BTreeSet<u16>, Trouble> {
        let mut ports = BTreeSet::new();
        let trees = fs::read_dir(self.folder).map_err(|error| at(self.folder, &error))?;
        for tree in trees.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            let folder = self.folder.join(&tree);
            if !folder.is_dir() {
                continue;
            }
            for name in self.files(&folder, "json")? {
                ports.extend(self.read(&tree, &name)?.and_then(|record| record.port));
            }
        }
        Ok(ports)
    }

    /// Names of the files of a kind, without it.
    fn files(&self, folder: &Path, kind: &str) -> Result<Vec<String>, Trouble> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at(folder, &error))?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| Some(name.strip_suffix(kind)?.strip_suffix('.')?.to_owned())).collect())
    }

    fn remove_old_logs(&self, tree: &str) {
        let folder = self.folder.join(tree);
        for name in self.files(&folder, "log").unwrap_or_default() {
            let log = self.path(tree, &name, "log");
            let age =
                fs::metadata(&log).and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > LOGS) && !self.path(tree, &name, "json").exists() {
                let _ = fs::remove_file(&log);
            }
        }
    }
}

fn open(path: &Path) -> Result<File, Trouble> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| at(path, &error))
}

/// What went wrong with a file.
pub fn at(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::passing(format!("{}: {error}", path.display()))
}
