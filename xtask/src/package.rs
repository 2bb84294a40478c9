//! `cargo xtask package`: what is published for those who do not build: a static `relay-ctl`, as an archive and as a Debian
//! package. The package is tried before it counts: installed into an empty folder, run, and removed again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::packages::{self, Need};
use crate::{progress, sh};

const NAME: &str = "relay-ctl";
const UNIT: &str = "relay-ctl@.service";
const CONFIGURATION: &str = "relay.example.toml";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds both and puts them into a folder, by default `target/package`.
pub fn run(to: Option<PathBuf>) -> Result<()> {
    let to = to.unwrap_or_else(|| sh::workspace_root().join("target/package"));
    let program = build()?;
    let work = Work::new(&to.join("work"))?;
    let root = work.0.join("root");
    lay_out(&root, &program)?;
    let package = pack(&root, &to)?;
    try_out(&package, &work.0.join("machine"))?;
    let archive = archive(&root, &to)?;
    for file in [&package, &archive] {
        let size = fs::metadata(file).map_or(0, |file| file.len() / 1024);
        sh::say(format!("{} ({size} KiB)", file.display()));
    }
    Ok(())
}

/// A folder that goes when this is dropped.
struct Work(PathBuf);

impl Work {
    fn new(path: &Path) -> Result<Work> {
        let _ = fs::remove_dir_all(path);
        fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        Ok(Work(path.to_path_buf()))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program, static: musl has no part that is loaded at run time, so it runs on every Linux of this architecture.
fn build() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut question = Command::new("rustc");
    question.current_dir(sh::workspace_root()).args(["--print", "target-libdir", "--target", &target]);
    let there = sh::output_of(&mut question).is_some_and(|folder| Path::new(folder.trim()).is_dir());
    ensure!(there, "this toolchain does not compile for {target}; run `rustup target add {target}`");
    packages::install(&[Need::Release])?;
    let mut cargo = Command::new("cargo");
    cargo
        .env(format!("CC_{}", target.replace('-', "_")), "musl-gcc")
        .current_dir(sh::workspace_root())
        .args(["build", "--release", "--locked", "--package", NAME, "--bin", NAME, "--target", &target])
        .env("CARGO_PROFILE_RELEASE_STRIP", "true");
    progress::cargo("static relay-ctl", &mut cargo)?;
    Ok(sh::workspace_root().join("target").join(&target).join("release").join(NAME))
}

/// Every file where it is to be on a machine, below `root`.
fn lay_out(root: &Path, program: &Path) -> Result<()> {
    let deploy = sh::workspace_root().join("deploy");
    let own = root.join("usr/share/doc").join(NAME);
    put(
        &fs::read(program).with_context(|| format!("reading {}", program.display()))?,
        &root.join("usr/bin").join(NAME),
        0o755,
    )?;
    let unit = fs::read_to_string(deploy.join(UNIT)).context("the unit")?;
    // What an administrator has put there by hand is below /usr/local.
    let unit = unit.replace("/usr/local/bin/", "/usr/bin/");
    put(unit.as_bytes(), &root.join("lib/systemd/system").join(UNIT), 0o644)?;
    let example = fs::read(deploy.join(CONFIGURATION)).context("the example")?;
    put(&example, &own.join("examples").join(CONFIGURATION), 0o644)?;
    put(copyright()?.as_bytes(), &own.join("copyright"), 0o644)?;
    let completions = Command::new(program).args(["completions", "bash"]).output().context("completions")?;
    if completions.status.success() {
        put(&completions.stdout, &root.join("usr/share/bash-completion/completions").join(NAME), 0o644)?;
    }
    man_pages(root, program)
}

/// As the program writes them.
fn man_pages(root: &Path, program: &Path) -> Result<()> {
    let folder = root.join("documents");
    let written = Command::new(program).arg("--write-man").arg(&folder).output().context("man pages")?;
    if !written.status.success() {
        bail!("man pages: {}", String::from_utf8_lossy(&written.stderr));
    }
    for page in fs::read_dir(&folder).context("man pages")?.flatten() {
        let text = fs::read(page.path()).context("a man page")?;
        put(&text, &root.join("usr/share/man/man1").join(page.file_name()), 0o644)?;
    }
    fs::remove_dir_all(&folder).context("removing it")
}

fn copyright() -> Result<String> {
    let mut text =
        "Media-Tree, under MIT or Apache-2.0, at your choice; its eBPF object is Dual MIT/GPL.\n".to_owned();
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let path = sh::workspace_root().join(licence);
        text += &format!("\n{}", fs::read_to_string(path).with_context(|| licence.to_owned())?);
    }
    Ok(text)
}

fn put(bytes: &[u8], to: &Path, mode: u32) -> Result<()> {
    let at = || format!("writing {}", to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(at)?;
    }
    fs::write(to, bytes).with_context(at)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(at)
}

fn pack(root: &Path, to: &Path) -> Result<PathBuf> {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let control = format!(
        "Package: {NAME}\nVersion: {VERSION}\nArchitecture: {machine}\nSection: net\nPriority: optional\n\
         Maintainer: Media-Tree maintainers <root@localhost>\nInstalled-Size: {}\n\
         Description: relay for RTP media in the kernel\n \
         Copies RTP and RTCP to any number of children by XDP, tc or sockets, and changes them while media flows.\n",
        size(root)? / 1024
    );
    put(control.as_bytes(), &root.join("DEBIAN/control"), 0o644)?;
    let package = to.join(format!("{NAME}_{VERSION}_{machine}.deb"));
    quietly(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(root).arg(&package))?;
    fs::remove_dir_all(root.join("DEBIAN")).context("removing the package's control files")?;
    Ok(package)
}

fn size(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?.flatten();
    entries
        .map(|entry| match entry.metadata()? {
            data if data.is_dir() => size(&entry.path()),
            data => Ok(data.len()),
        })
        .sum()
}

/// Installs the package into an empty folder, runs the program there, and removes it again.
fn try_out(package: &Path, machine: &Path) -> Result<()> {
    for folder in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/dpkg/triggers"] {
        fs::create_dir_all(machine.join(folder)).context("an empty machine")?;
    }
    fs::write(machine.join("var/lib/dpkg/status"), "").context("an empty machine")?;
    let dpkg = || {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", machine.display())).arg("--force-not-root").arg("--force-bad-path");
        command
    };
    quietly(dpkg().arg("--install").arg(package))?;
    let program = machine.join("usr/bin").join(NAME);
    let said = sh::output_of(Command::new(&program).arg("--version"));
    let said = said.with_context(|| format!("{} does not run", program.display()))?;
    ensure!(said.contains(VERSION), "the package's program is another version: {said}");
    let unit = fs::read_to_string(machine.join("lib/systemd/system").join(UNIT))
        .context("no unit in the package")?;
    ensure!(unit.contains(&format!("ExecStart=/usr/bin/{NAME} ")), "the unit starts another program");
    quietly(dpkg().args(["--purge", NAME]))?;
    let left: Vec<_> = ["usr", "lib", "etc"].iter().filter(|folder| machine.join(folder).exists()).collect();
    ensure!(left.is_empty(), "removing the package leaves {left:?}");
    sh::say(format!("{NAME} {VERSION}: installed into an empty folder, run, and removed"));
    Ok(())
}

/// The same files for machines without dpkg.
fn archive(root: &Path, to: &Path) -> Result<PathBuf> {
    let archive = to.join(format!("{NAME}-{VERSION}-{}-linux.tar.gz", std::env::consts::ARCH));
    let owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
    quietly(Command::new("tar").args(owner).arg("-C").arg(root).arg("-czf").arg(&archive).arg("."))?;
    Ok(archive)
}

fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("could not start `{}`", sh::line_of(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", sh::line_of(command), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that says its version and writes a page, as relay-ctl does.
    fn stand_in(version: &str) -> String {
        format!(
            "#!/bin/sh\nif [ \"$1\" = --write-man ]; then mkdir -p \"$2\"; echo page > \"$2/relay-ctl.1\"; exit; fi\n\
             echo relay-ctl {version}\n"
        )
    }

    #[test]
    fn the_package_is_installed_run_and_removed() {
        let work = Work::new(&sh::workspace_root().join("target/xtask/package-test")).unwrap();
        let program = work.0.join("program");
        put(stand_in(VERSION).as_bytes(), &program, 0o755).unwrap();
        let root = work.0.join("root");
        lay_out(&root, &program).unwrap();
        let package = pack(&root, &work.0).unwrap();
        try_out(&package, &work.0.join("machine")).unwrap();
        let archive = archive(&root, &work.0).unwrap();
        let list = sh::output_of(Command::new("tar").arg("-tf").arg(archive)).unwrap();
        let files = [
            "./usr/bin/relay-ctl",
            "./lib/systemd/system/relay-ctl@.service",
            "./usr/share/man/man1/relay-ctl.1",
        ];
        for file in files {
            assert!(list.lines().any(|line| line == file), "{list}");
        }
        assert!(!list.contains("DEBIAN"), "{list}");
    }

    #[test]
    fn a_package_with_another_version_is_refused() {
        let work = Work::new(&sh::workspace_root().join("target/xtask/version-test")).unwrap();
        let program = work.0.join("program");
        put(stand_in("0.0.0").as_bytes(), &program, 0o755).unwrap();
        let root = work.0.join("root");
        lay_out(&root, &program).unwrap();
        let package = pack(&root, &work.0).unwrap();
        assert!(try_out(&package, &work.0.join("machine")).is_err());
    }
}
