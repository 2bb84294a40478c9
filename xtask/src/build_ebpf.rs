//! `cargo xtask build-ebpf`: the eBPF object, with whichever compiler can make it.
//!
//! Two ways lead there and the command says which one it took: Debian's `rustc-web`, whose package ships a ready
//! `core` for the BPF target, or a rustup toolchain with the `rust-src` component and `-Z build-std`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, sh};

const TARGET: &str = "bpfel-unknown-none";
/// From the package rust-web-clippy.
const DEBIAN_CLIPPY: &str = "/usr/bin/clippy-driver";

/// Where the object is for everything that loads it.
pub fn object_path() -> PathBuf {
    sh::workspace_root().join("target/bpf/relay-ebpf")
}

/// Installs what is missing, builds the object and puts it where `relay-ctl` embeds it from.
pub fn run() -> Result<()> {
    packages::install(packages::Purpose::Build)?;
    cargo_bpf(false)?;
    let object = object_path();
    place("relay-ebpf", &object)?;
    // What the bench needs in the kernel; it is read at run time and in no product.
    place("relay-bench", &object.with_file_name("relay-bench"))
}

fn place(name: &str, object: &Path) -> Result<()> {
    let built = target_dir().join(TARGET).join("release").join(name);
    if let Some(folder) = object.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let bytes = std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    // Unchanged content keeps its time stamp, so that relay-ctl is not rebuilt for nothing.
    if std::fs::read(object).ok().as_deref() != Some(&bytes) {
        std::fs::write(object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
    }
    sh::say(format!("eBPF object: {} ({} KiB)", object.display(), bytes.len() / 1024));
    Ok(())
}

/// `clippy -D warnings` for the BPF target.
pub fn clippy() -> Result<()> {
    cargo_bpf(true)
}

/// True when the rustup toolchain in use can build `core` for BPF by itself.
pub fn rustup_can_build() -> bool {
    sh::output_of(Command::new("rustc").args(["--print", "sysroot"]))
        .is_some_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

fn target_dir() -> PathBuf {
    sh::workspace_root().join("target/bpf-build")
}

fn cargo_bpf(lint: bool) -> Result<()> {
    let linker = packages::linker().context("bpf-linker is missing; run `cargo xtask setup`")?;
    let architecture = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    let flags = [
        format!("-Clinker={}", linker.display()),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // 32-bit arithmetic and comparisons, which every kernel since 5.1 takes; the default knows of 64 bits only.
        "-Ctarget-cpu=v3".to_owned(),
        format!("--cfg=bpf_target_arch=\"{architecture}\""),
    ];
    let debian_core = Path::new("/usr/lib/rustlib").join(TARGET);
    let subcommand = match (lint, debian_core.is_dir()) {
        (false, _) => "build",
        (true, true) => "check",
        (true, false) => "clippy",
    };
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(sh::workspace_root())
        .args([subcommand, "--quiet", "--locked", "--release", "--package", "relay-ebpf", "--target", TARGET])
        .arg("--target-dir")
        .arg(if lint { target_dir().join("clippy") } else { target_dir() })
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // aya-ebpf uses `asm_experimental_arch`; this one build may, the host build may not.
        .env("RUSTC_BOOTSTRAP", "1");
    if debian_core.is_dir() {
        sh::say(format!("compiler: Debian's {} (it ships core for {TARGET})", packages::DEBIAN_RUSTC));
        cargo.env("RUSTC", packages::DEBIAN_RUSTC).env_remove("RUSTUP_TOOLCHAIN");
        if lint {
            // `cargo clippy` would call rustup's driver, which does not match Debian's core: call Debian's ourselves.
            cargo
                .env("RUSTC_WORKSPACE_WRAPPER", DEBIAN_CLIPPY)
                .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
        }
    } else if rustup_can_build() {
        sh::say("compiler: the rustup toolchain with rust-src, through -Z build-std=core");
        cargo.args(["-Z", "build-std=core"]);
        if lint {
            cargo.args(["--", "-D", "warnings"]);
        }
    } else {
        bail!(
            "no compiler here can build for {TARGET}: install Debian's rustc-web and libstd-rust-web-dev-bpf \
             (`cargo xtask setup` does), or run `rustup component add rust-src`"
        );
    }
    sh::run(if lint { "clippy for BPF" } else { "eBPF object" }, &mut cargo)
}
