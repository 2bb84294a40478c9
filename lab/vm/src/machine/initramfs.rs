//! What a guest has instead of a disk: a few programs with their libraries, modules, and `init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::kernel::Kernel;
use lab::netns::output;

const INIT: &str = include_str!("init.sh");
/// Programs and where they go. busybox would take its own `ip` for ours, so the shell is another.
const PROGRAMS: [(&str, &str); 6] = [
    ("/bin/dash", "bin/sh"),
    ("/bin/busybox", "bin/busybox"),
    ("/bin/ip", "usr/local/bin/ip"),
    ("/usr/sbin/ethtool", "usr/local/bin/ethtool"),
    ("/usr/bin/tcpdump", "usr/local/bin/tcpdump"),
    ("/usr/sbin/bpftool", "usr/local/bin/bpftool"),
];

/// Makes the archive in `folder`, with `relay_ctl` in it. Not compressed: unpacking it is what takes time in a guest.
pub fn build(kernel: &Kernel, relay_ctl: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("initramfs");
    for (from, to) in PROGRAMS {
        place(Path::new(from), &root.join(to))?;
    }
    let relay = root.join("usr/local/bin/relay-ctl");
    place(relay_ctl, &relay)?;
    output(Command::new("strip").arg(&relay))?;
    for program in PROGRAMS.iter().map(|(from, _)| Path::new(from)).chain([relay_ctl]) {
        // It fails for what needs no libraries.
        for library in libraries(&output(Command::new("ldd").arg(program)).unwrap_or_default()) {
            place(&library, &root.join(library.strip_prefix("/").unwrap_or(&library)))?;
        }
    }
    for (position, module) in kernel.modules()?.iter().enumerate() {
        let placed = root.join("modules").join(module_file(position, module));
        place(module, &placed)?;
        // As Debian has them since 6.12; older ones are not compressed.
        if placed.extension().is_some_and(|extension| extension == "xz") {
            output(Command::new("xz").arg("-d").arg(&placed))?;
        }
    }
    fs::write(root.join("init"), INIT).context("writing init")?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    let archive = folder.join("initramfs.cpio");
    let pack = format!("find . -print0 | cpio --null --quiet -o -H newc > {}", archive.display());
    output(Command::new("sh").current_dir(&root).args(["-c", &pack]))?;
    Ok(archive)
}

fn place(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("copying {} into the initramfs", from.display()))?;
    Ok(())
}

/// A module's name with its place in the order in front, so that `init` loads them as it lists them.
fn module_file(position: usize, module: &Path) -> String {
    format!("{position:02}-{}", module.file_name().unwrap_or_default().to_string_lossy())
}

/// The files in what `ldd` says: `NAME => FILE (address)` and, for the loader, `FILE (address)`.
fn libraries(said: &str) -> Vec<PathBuf> {
    said.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_that_are_files() {
        let said = "\tlinux-vdso.so.1 (0x00007f777eb99000)\n\
                    \tlibelf.so.1 => /lib/x86_64-linux-gnu/libelf.so.1 (0x00007f777eadb000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f777eb9b000)\n";
        let files = ["/lib/x86_64-linux-gnu/libelf.so.1", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(libraries(said), files.map(PathBuf::from));
        assert_eq!(libraries("\tnot a dynamic executable\n"), Vec::<PathBuf>::new());
    }

    #[test]
    fn module_files_sort_in_their_order() {
        assert_eq!(module_file(3, Path::new("/k/virtio_net.ko.xz")), "03-virtio_net.ko.xz");
    }
}
