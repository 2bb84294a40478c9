//! What a bare Debian 12 machine lacks, and how it gets it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh;

/// bpf-linker's version is pinned: it links against rustc's LLVM, and a silent upgrade could change the object.
const BPF_LINKER_VERSION: &str = "0.13.0";

/// Debian's own compiler, the one whose package ships a ready `core` for the BPF target.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// What the packages are wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Building the eBPF object only.
    Build,
    /// Building, tests, demo and benchmarks.
    Everything,
    /// Everything, and virtual machines.
    Machines,
    /// Everything, and the tree in containers. Apart, since on a systemd machine it starts an engine.
    Containers,
}

/// (package, a file that proves it is there)
const FOR_BUILD: &[(&str, &str)] = &[
    ("rustc-web", "/usr/share/doc/rustc-web/copyright"),
    ("libstd-rust-web-dev-bpf", "/usr/share/doc/libstd-rust-web-dev-bpf/copyright"),
    ("rust-web-clippy", "/usr/share/doc/rust-web-clippy/copyright"),
    ("g++", "/usr/bin/g++"),
];

const FOR_EVERYTHING: &[(&str, &str)] = &[
    ("bpftool", "/usr/sbin/bpftool"),
    ("iproute2", "/usr/share/doc/iproute2/copyright"),
    ("iputils-ping", "/usr/share/doc/iputils-ping/copyright"),
    ("ethtool", "/usr/sbin/ethtool"),
    ("tcpdump", "/usr/bin/tcpdump"),
    // Contestants of the benchmarks. The second starts a service on a systemd machine, too.
    ("nftables", "/usr/sbin/nft"),
    ("rtpengine-daemon", "/usr/bin/rtpengine"),
    ("openssl", "/usr/bin/openssl"),
    // On a systemd machine these two start a service. Ours run in network namespaces with directories of their own, and
    // never meet it.
    ("redis-server", "/usr/bin/redis-server"),
    ("prometheus", "/usr/bin/promtool"),
    ("gstreamer1.0-tools", "/usr/bin/gst-launch-1.0"),
    ("gstreamer1.0-plugins-base", "/usr/share/doc/gstreamer1.0-plugins-base/copyright"),
    ("gstreamer1.0-plugins-good", "/usr/share/doc/gstreamer1.0-plugins-good/copyright"),
    // From here on: the nodes with media, their tests and the demo.
    ("gstreamer1.0-plugins-bad", "/usr/share/doc/gstreamer1.0-plugins-bad/copyright"),
    ("gstreamer1.0-plugins-ugly", "/usr/share/doc/gstreamer1.0-plugins-ugly/copyright"),
    ("gstreamer1.0-libav", "/usr/share/doc/gstreamer1.0-libav/copyright"),
    ("gstreamer1.0-nice", "/usr/share/doc/gstreamer1.0-nice/copyright"),
    ("libgstreamer1.0-dev", "/usr/share/doc/libgstreamer1.0-dev/copyright"),
    ("libgstreamer-plugins-base1.0-dev", "/usr/share/doc/libgstreamer-plugins-base1.0-dev/copyright"),
    ("libgstreamer-plugins-bad1.0-dev", "/usr/share/doc/libgstreamer-plugins-bad1.0-dev/copyright"),
    ("libssl-dev", "/usr/share/doc/libssl-dev/copyright"),
    ("pkg-config", "/usr/bin/pkg-config"),
    // Its service, like those above, is none of ours.
    ("janus", "/usr/bin/janus"),
    ("ffmpeg", "/usr/bin/ffmpeg"),
    ("chromium", "/usr/bin/chromium"),
    ("chromium-driver", "/usr/bin/chromedriver"),
];

/// QEMU, what unpacks Debian's kernels, and what goes into a guest besides.
const FOR_MACHINES: &[(&str, &str)] = &[
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("busybox-static", "/usr/share/doc/busybox-static/copyright"),
    ("kmod", "/sbin/depmod"),
    ("xz-utils", "/usr/bin/xz"),
    ("cpio", "/bin/cpio"),
    ("binutils", "/usr/bin/strip"),
];

/// An engine only where none answers: whoever has one from elsewhere keeps it.
const FOR_AN_ENGINE: &[(&str, &str)] =
    &[("docker.io", "/usr/sbin/dockerd"), ("iptables", "/usr/sbin/iptables")];

const FOR_CONTAINERS: &[(&str, &str)] = &[
    ("debootstrap", "/usr/sbin/debootstrap"),
    ("binutils", "/usr/bin/strip"),
    ("curl", "/usr/bin/curl"),
    ("jq", "/usr/bin/jq"),
];

/// Installs what is missing for `purpose` and says what it was.
pub fn install(purpose: Purpose) -> Result<()> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if !crate::build_ebpf::rustup_can_build() || purpose != Purpose::Build {
        wanted.extend_from_slice(FOR_BUILD);
    }
    if purpose != Purpose::Build {
        wanted.extend_from_slice(FOR_EVERYTHING);
    }
    if purpose == Purpose::Machines {
        wanted.extend_from_slice(FOR_MACHINES);
    }
    if purpose == Purpose::Containers {
        wanted.extend_from_slice(FOR_CONTAINERS);
        let found = |arguments: &[&str]| sh::output_of(Command::new("docker").args(arguments)).is_some();
        if !found(&["info"]) {
            wanted.extend_from_slice(FOR_AN_ENGINE);
        }
        if !found(&["compose", "version"]) {
            wanted.push(("docker-compose", "/usr/bin/docker-compose"));
        }
    }
    let missing = missing_of(&wanted);
    apt_install(&missing)?;

    let llvm = llvm_major()?;
    let llvm_headers = format!("/usr/lib/llvm-{llvm}/include/llvm-c/Core.h");
    if linker().is_none() {
        if !Path::new(&llvm_headers).exists() {
            apt_install(&[&format!("llvm-{llvm}-dev")])?;
        }
        install_bpf_linker(llvm)?;
    }
    if missing.is_empty() {
        sh::say("everything needed is installed");
    }
    Ok(())
}

/// The bpf-linker to use: the one on PATH or in cargo's bin folder.
pub fn linker() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(cargo_bin())
        .map(|folder| folder.join("bpf-linker"))
        .find(|file| file.is_file())
}

fn cargo_bin() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    Some(home.join("bin"))
}

fn missing_of<'a>(wanted: &[(&'a str, &str)]) -> Vec<&'a str> {
    wanted.iter().filter(|(_, proof)| !Path::new(proof).exists()).map(|(package, _)| *package).collect()
}

fn apt_install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    sh::say(format!("installing Debian packages: {}", packages.join(" ")));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "these packages are missing and this is no Debian system; install their equivalents by hand: {}",
            packages.join(" ")
        );
    }
    if !nix_is_root() {
        bail!("not root: run `sudo apt-get install --no-install-recommends {}`", packages.join(" "));
    }
    sh::run("package lists", Command::new("apt-get").args(["update", "-qq"]))?;
    sh::run(
        "packages",
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn nix_is_root() -> bool {
    sh::output_of(Command::new("id").arg("-u")).is_some_and(|uid| uid.trim() == "0")
}

/// The LLVM major version of the compiler that will build the object; bpf-linker must match it.
fn llvm_major() -> Result<u32> {
    let version = sh::output_of(Command::new(DEBIAN_RUSTC).arg("-vV"))
        .with_context(|| format!("{DEBIAN_RUSTC} does not run; install Debian's rustc-web"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()?.parse().ok())
        .context("`rustc -vV` names no LLVM version")
}

/// `cargo xtask deny`. The advisory database is a download of its own and left to whoever can make it.
pub fn deny() -> Result<()> {
    if sh::output_of(Command::new("cargo").args(["deny", "--version"])).is_none() {
        sh::run(
            "cargo-deny",
            Command::new("cargo").args([
                "install",
                "cargo-deny",
                "--quiet",
                "--locked",
                "--version",
                "^0.18",
            ]),
        )?;
    }
    let mut check = Command::new("cargo");
    check.current_dir(sh::workspace_root()).args(["deny", "check", "licenses", "bans", "sources"]);
    sh::run("cargo deny", &mut check)
}

fn install_bpf_linker(llvm: u32) -> Result<()> {
    sh::run(
        "bpf-linker",
        Command::new("cargo")
            .args(["install", "bpf-linker", "--quiet", "--locked", "--version", BPF_LINKER_VERSION])
            .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("RUSTC"),
    )
}
