//! [`Kernel`]: Debian's kernels, unpacked and not installed, the newest of each series that apt has.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use lab::netns::output;

/// What a guest loads; drivers of all cards, the bus they sit on, and the port it is controlled by. Some are built in.
const WANTED_MODULES: [&str; 5] = ["virtio_pci", "virtio_console", "virtio_net", "vmxnet3", "e1000e"];

/// A series of kernels, as Debian packages it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// 6.12, long term.
    V6_12,
    /// The same with PREEMPT_RT.
    V6_12Rt,
    /// 6.1, Debian 12's own.
    V6_1,
}

impl Series {
    /// All of them.
    pub const ALL: [Series; 3] = [Series::V6_12, Series::V6_12Rt, Series::V6_1];

    /// How the releases begin, and end.
    fn pattern(self) -> (&'static str, &'static str) {
        match self {
            Series::V6_12 => ("6.12.", "-amd64"),
            Series::V6_12Rt => ("6.12.", "-rt-amd64"),
            Series::V6_1 => ("6.1.", "-amd64"),
        }
    }

    /// The newest release among the packages that `apt-cache search` lists, such as `6.12.117+deb12-rt-amd64`.
    fn newest(self, listed: &str) -> Option<&str> {
        let (begin, end) = self.pattern();
        listed
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.strip_prefix("linux-image-"))
            .filter_map(|release| Some((release.strip_suffix(end)?, release)))
            // `-cloud` and `-rt` are other flavours; versions end in a number.
            .filter(|(version, _)| {
                version.starts_with(begin) && version.ends_with(|c: char| c.is_ascii_digit())
            })
            .max_by_key(|(version, _)| numbers(version))
            .map(|(_, release)| release)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Series::V6_12 => "6.12",
            Series::V6_12Rt => "6.12-rt",
            Series::V6_1 => "6.1",
        })
    }
}

/// The numbers in a version: 6.1.0-57 is newer than 6.1.0-9.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its series.
    pub series: Series,
    /// What `uname -r` says in it.
    pub release: String,
    root: PathBuf,
}

impl Kernel {
    /// The newest of a series, from `store` if it is there from an earlier run, otherwise downloaded.
    pub fn newest(series: Series, store: &Path) -> Result<Self> {
        let (begin, _) = series.pattern();
        let pattern = format!("^linux-image-{}", begin.replace('.', r"\."));
        let search = || output(Command::new("apt-cache").args(["search", "--names-only", &pattern]));
        let mut listed = search()?;
        if series.newest(&listed).is_none() {
            update()?;
            listed = search()?;
        }
        let release =
            series.newest(&listed).with_context(|| format!("apt has no kernel {series} for amd64"))?;
        let kernel = Self { series, release: release.to_owned(), root: store.join(release) };
        if !kernel.root.exists() {
            kernel.fetch(store)?;
        }
        Ok(kernel)
    }

    /// Downloads and unpacks aside; the rename makes it whole or absent.
    fn fetch(&self, store: &Path) -> Result<()> {
        fs::create_dir_all(store).with_context(|| format!("making {}", store.display()))?;
        let aside =
            tempfile::Builder::new().prefix("unpacking-").tempdir_in(store).context("making a temp dir")?;
        let package = format!("linux-image-{}", self.release);
        let download = || {
            // As root: its own user may not write here.
            let arguments = ["-qq", "-o", "APT::Sandbox::User=root", "download", &package];
            output(Command::new("apt-get").current_dir(aside.path()).args(arguments))
        };
        // Lists that are a few days old name packages that are gone.
        download().or_else(|_| update().and_then(|()| download()))?;
        let deb = fs::read_dir(aside.path())?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get download {package} left no file"))?;
        let root = aside.path().join("root");
        output(Command::new("dpkg").arg("-x").arg(&deb).arg(&root))?;
        output(Command::new("depmod").arg("-b").arg(&root).arg(&self.release))?;
        fs::rename(&root, &self.root).with_context(|| format!("making {}", self.root.display()))
    }

    /// What QEMU boots.
    pub fn image(&self) -> PathBuf {
        self.root.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// The files of all modules that a guest needs, in the order in which to load them.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let mut said = String::new();
        for module in WANTED_MODULES {
            let mut modprobe = Command::new("modprobe");
            modprobe.arg("-d").arg(&self.root).args(["-S", &self.release, "--show-depends", module]);
            said += &output(&mut modprobe)?;
        }
        let order = load_order(&said);
        ensure!(!order.is_empty(), "modprobe names no modules in {}", self.root.display());
        Ok(order)
    }
}

fn update() -> Result<()> {
    output(Command::new("apt-get").args(["update", "-qq"])).map(drop)
}

/// From what `modprobe --show-depends` says: `insmod FILE` lines in order, each file once; `builtin` ones need nothing.
fn load_order(said: &str) -> Vec<PathBuf> {
    let mut order = Vec::new();
    for file in said.lines().filter_map(|line| line.strip_prefix("insmod ")) {
        let file = PathBuf::from(file.trim());
        if !order.contains(&file) {
            order.push(file);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_series_and_flavour_is_found() {
        let listed = "\
linux-image-6.1.0-9-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.1.0-57-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.1.0-58-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-59-amd64-dbg - Debug symbols
linux-image-6.1.0-59-amd64-unsigned - Linux 6.1 for 64-bit PCs
linux-image-6.12.99+deb12-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.117+deb12-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.118+deb12-rt-amd64 - Linux 6.12 for 64-bit PCs (signed), PREEMPT_RT
";
        assert_eq!(Series::V6_12.newest(listed), Some("6.12.117+deb12-amd64"));
        assert_eq!(Series::V6_12Rt.newest(listed), Some("6.12.118+deb12-rt-amd64"));
        assert_eq!(Series::V6_1.newest(listed), Some("6.1.0-57-amd64"));
        assert_eq!(Series::V6_1.newest(""), None);
    }

    #[test]
    fn modules_are_loaded_once_and_after_what_they_need() {
        let said = "builtin virtio_pci\ninsmod /k/failover.ko.xz \ninsmod /k/net_failover.ko.xz \n\
                    insmod /k/virtio_net.ko.xz \ninsmod /k/failover.ko.xz \ninsmod /k/vmxnet3.ko.xz \n";
        let order = ["failover", "net_failover", "virtio_net", "vmxnet3"];
        assert_eq!(load_order(said), order.map(|name| PathBuf::from(format!("/k/{name}.ko.xz"))));
    }
}
