//! What a bare Debian 12 machine lacks, and how it gets it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{npm, pip, progress, sh};

/// bpf-linker's version is pinned: it links against rustc's LLVM, and a silent upgrade could change the object.
const BPF_LINKER_VERSION: &str = "0.13.0";

/// Debian's own compiler, the one whose package ships a ready `core` for the BPF target.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// What packages are wanted for. Each command names what it does, and nothing else is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Making the eBPF object of its sources: compiler, LLVM and bpf-linker.
    Object,
    /// clippy for BPF.
    Lint,
    /// Compiling injection, egress and the lab's WHIP and WHEP client.
    Nodes,
    /// Nodes in network namespaces, looked at by the usual tools, following Redis.
    Namespaces,
    /// A broadcast by real servers: Janus, and the parts of GStreamer that nodes and clients use.
    Broadcast,
    /// What only tests of the broadcast use: RTMP and its encoders.
    Encoders,
    /// Firewalls, address translation and a TURN server between players and servers.
    Nat,
    /// Metrics, rules and what is told of alerts, read by the checkers of Prometheus and Alertmanager.
    Metrics,
    /// Grafana's types, which dashboards are checked against.
    Dashboards,
    /// Helm, and the schemas that its chart's objects are checked against.
    Kubernetes,
    /// What says how busy a machine is.
    Exporter,
    /// Headless browsers, and clients of others for their pages.
    Browser,
    /// Proxies in front of nodes.
    Proxies,
    /// What benchmarks compare the relay with.
    Contestants,
    /// Virtual machines.
    Machines,
    /// What is released: a C compiler for musl, since a part of TLS is C.
    Release,
    /// The tree in containers. Apart, since on a systemd machine it starts an engine.
    Containers,
}

impl Need {
    /// What `cargo xtask demo` takes.
    pub const DEMO: &[Need] = &[Need::Nodes, Need::Namespaces, Need::Broadcast];
    /// All but virtual machines and containers.
    pub const USUAL: &[Need] = &[
        Need::Object,
        Need::Lint,
        Need::Nodes,
        Need::Namespaces,
        Need::Broadcast,
        Need::Encoders,
        Need::Nat,
        Need::Metrics,
        Need::Dashboards,
        Need::Kubernetes,
        Need::Browser,
        Need::Proxies,
        Need::Contestants,
    ];

    fn packages(self) -> &'static [Package] {
        match self {
            Need::Object => OBJECT,
            Need::Lint => &[("rust-web-clippy", "/usr/share/doc/rust-web-clippy/copyright")],
            Need::Nodes => NODES,
            Need::Namespaces => NAMESPACES,
            Need::Broadcast => BROADCAST,
            Need::Encoders => ENCODERS,
            Need::Nat => NAT,
            Need::Dashboards => NPM,
            Need::Kubernetes => KUBERNETES,
            Need::Metrics => METRICS,
            Need::Exporter => &[("prometheus-node-exporter", "/usr/bin/prometheus-node-exporter")],
            Need::Browser => BROWSER,
            Need::Proxies => PROXIES,
            Need::Contestants => CONTESTANTS,
            Need::Machines => MACHINES,
            Need::Release => &[("musl-tools", "/usr/bin/musl-gcc")],
            Need::Containers => CONTAINERS,
        }
    }
}

/// Name, and a file that proves it is there.
type Package = (&'static str, &'static str);

const OBJECT: &[Package] = &[
    ("rustc-web", "/usr/share/doc/rustc-web/copyright"),
    ("libstd-rust-web-dev-bpf", "/usr/share/doc/libstd-rust-web-dev-bpf/copyright"),
    ("g++", "/usr/bin/g++"),
];

const NODES: &[Package] = &[
    ("libgstreamer1.0-dev", "/usr/share/doc/libgstreamer1.0-dev/copyright"),
    ("libgstreamer-plugins-base1.0-dev", "/usr/share/doc/libgstreamer-plugins-base1.0-dev/copyright"),
    ("libgstreamer-plugins-bad1.0-dev", "/usr/share/doc/libgstreamer-plugins-bad1.0-dev/copyright"),
    ("libssl-dev", "/usr/share/doc/libssl-dev/copyright"),
    ("pkg-config", "/usr/bin/pkg-config"),
];

const NAMESPACES: &[Package] = &[
    ("bpftool", "/usr/sbin/bpftool"),
    ("iproute2", "/usr/share/doc/iproute2/copyright"),
    ("iputils-ping", "/usr/share/doc/iputils-ping/copyright"),
    ("ethtool", "/usr/sbin/ethtool"),
    ("tcpdump", "/usr/bin/tcpdump"),
    // On a systemd machine it starts a service. Ours run in network namespaces with directories of their own, and never
    // meet it. So do some of those below.
    ("redis-server", "/usr/bin/redis-server"),
    // Certificates of a Redis with TLS.
    ("openssl", "/usr/bin/openssl"),
];

const BROADCAST: &[Package] = &[
    ("gstreamer1.0-plugins-base", "/usr/share/doc/gstreamer1.0-plugins-base/copyright"),
    ("gstreamer1.0-plugins-good", "/usr/share/doc/gstreamer1.0-plugins-good/copyright"),
    ("gstreamer1.0-plugins-bad", "/usr/share/doc/gstreamer1.0-plugins-bad/copyright"),
    ("gstreamer1.0-nice", "/usr/share/doc/gstreamer1.0-nice/copyright"),
    ("janus", "/usr/bin/janus"),
    // A network that is away.
    ("nftables", "/usr/sbin/nft"),
];

const ENCODERS: &[Package] = &[
    ("gstreamer1.0-tools", "/usr/bin/gst-launch-1.0"),
    ("gstreamer1.0-plugins-ugly", "/usr/share/doc/gstreamer1.0-plugins-ugly/copyright"),
    ("gstreamer1.0-libav", "/usr/share/doc/gstreamer1.0-libav/copyright"),
    ("ffmpeg", "/usr/bin/ffmpeg"),
];

/// What stands between players and servers.
const NAT: &[Package] = &[("coturn", "/usr/bin/turnserver"), ("nftables", "/usr/sbin/nft")];

const KUBERNETES: &[Package] = &[
    ("python3", "/usr/bin/python3"),
    ("python3-venv", "/usr/share/doc/python3-venv/copyright"),
    ("nodejs", "/usr/bin/node"),
    ("npm", "/usr/bin/npm"),
];

const NPM: &[Package] = &[("nodejs", "/usr/bin/node"), ("npm", "/usr/bin/npm")];
/// On a systemd machine they start services; ours run in network namespaces and never meet them.
const METRICS: &[Package] =
    &[("prometheus", "/usr/bin/promtool"), ("prometheus-alertmanager", "/usr/bin/amtool")];

/// npm fetches the clients, and makes a script of them.
const BROWSER: &[Package] = &[
    ("chromium", "/usr/bin/chromium"),
    ("chromium-driver", "/usr/bin/chromedriver"),
    ("firefox-esr", "/usr/bin/firefox-esr"),
    ("nodejs", "/usr/bin/node"),
    ("npm", "/usr/bin/npm"),
];

/// On a systemd machine they start services, which ours have nothing to do with.
const PROXIES: &[Package] =
    &[("haproxy", "/usr/sbin/haproxy"), ("nginx-light", "/usr/sbin/nginx"), ("caddy", "/usr/bin/caddy")];

const CONTESTANTS: &[Package] = &[
    ("nftables", "/usr/sbin/nft"),
    ("rtpengine-daemon", "/usr/bin/rtpengine"),
    // What a server's time goes into.
    ("linux-perf", "/usr/bin/perf"),
    ("gstreamer1.0-tools", "/usr/bin/gst-launch-1.0"),
    ("gstreamer1.0-plugins-good", "/usr/share/doc/gstreamer1.0-plugins-good/copyright"),
];

/// QEMU, what unpacks Debian's kernels, and what goes into a guest besides.
const MACHINES: &[Package] = &[
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("busybox-static", "/usr/share/doc/busybox-static/copyright"),
    ("kmod", "/sbin/depmod"),
    ("xz-utils", "/usr/bin/xz"),
    ("cpio", "/bin/cpio"),
    ("binutils", "/usr/bin/strip"),
];

/// An engine only where none answers: whoever has one from elsewhere keeps it.
const ENGINE: &[Package] = &[("docker.io", "/usr/sbin/dockerd"), ("iptables", "/usr/sbin/iptables")];

const CONTAINERS: &[Package] = &[
    ("debootstrap", "/usr/sbin/debootstrap"),
    ("binutils", "/usr/bin/strip"),
    ("curl", "/usr/bin/curl"),
    ("jq", "/usr/bin/jq"),
];

/// Installs what is missing for that.
pub fn install(needs: &[Need]) -> Result<()> {
    apt_install(&missing(needs))?;
    if needs.contains(&Need::Object) && linker().is_none() {
        let llvm = llvm_major()?;
        if !Path::new(&format!("/usr/lib/llvm-{llvm}/include/llvm-c/Core.h")).exists() {
            apt_install(&[&format!("llvm-{llvm}-dev")])?;
        }
        install_bpf_linker(llvm)?;
    }
    if needs.contains(&Need::Browser) {
        npm::players()?;
    }
    if needs.contains(&Need::Dashboards) {
        npm::grafana()?;
    }
    if needs.contains(&Need::Kubernetes) {
        npm::kubernetes()?;
        pip::kubernetes()?;
    }
    Ok(())
}

/// The packages that are not there yet.
pub fn missing(needs: &[Need]) -> Vec<&'static str> {
    let mut wanted: Vec<Package> = Vec::new();
    for need in needs {
        // Debian's compiler is not needed beside a toolchain that can do the same.
        if *need != Need::Object || !crate::build_ebpf::rustup_can_build() {
            wanted.extend_from_slice(need.packages());
        }
    }
    if needs.contains(&Need::Containers) {
        let found = |arguments: &[&str]| sh::output_of(Command::new("docker").args(arguments)).is_some();
        if !found(&["info"]) {
            wanted.extend_from_slice(ENGINE);
        }
        if !found(&["compose", "version"]) {
            wanted.push(("docker-compose", "/usr/bin/docker-compose"));
        }
    }
    let mut missing: Vec<&str> =
        wanted.iter().filter(|(_, proof)| !Path::new(proof).exists()).map(|(package, _)| *package).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
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
    Some(cargo_home()?.join("bin"))
}

/// Where cargo keeps what it has fetched and installed.
pub fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
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
    progress::apt("package lists", Command::new("apt-get").arg("update"))?;
    progress::apt(
        "packages",
        Command::new("apt-get")
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn nix_is_root() -> bool {
    sh::output_of(Command::new("id").arg("-u")).is_some_and(|uid| uid.trim() == "0")
}

/// The LLVM major version of the compiler that will build the object; bpf-linker must match it.
pub fn llvm_major() -> Result<u32> {
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
        progress::cargo(
            "cargo-deny",
            Command::new("cargo").args(["install", "cargo-deny", "--locked", "--version", "^0.18"]),
        )?;
    }
    let mut check = Command::new("cargo");
    check.current_dir(sh::workspace_root()).args(["deny", "check", "licenses", "bans", "sources"]);
    sh::run("cargo deny", &mut check)
}

fn install_bpf_linker(llvm: u32) -> Result<()> {
    progress::cargo(
        "bpf-linker",
        Command::new("cargo")
            .args(["install", "bpf-linker", "--locked", "--version", BPF_LINKER_VERSION])
            .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("RUSTC"),
    )
}
