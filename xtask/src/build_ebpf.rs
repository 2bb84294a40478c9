//! `cargo xtask build-ebpf`: the eBPF object, with whichever compiler can make it.
//!
//! Two ways lead there and the command says which one it took: Debian's `rustc-web`, whose package ships a ready
//! `core` for the BPF target, or a rustup toolchain with the `rust-src` component and `-Z build-std`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, sh};

const TARGET: &str = "bpfel-unknown-none";

/// Where the object is for everything that loads it.
pub fn object_path() -> PathBuf {
    sh::workspace_root().join("target/bpf/relay-ebpf")
}

/// Installs what is missing, builds the object and puts it where `relay-ctl` embeds it from.
pub fn run() -> Result<()> {
    packages::install(packages::Purpose::Build)?;
    cargo_bpf("build")?;
    let built = target_dir().join(TARGET).join("release/relay-ebpf");
    let object = object_path();
    if let Some(folder) = object.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let bytes = std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    // Unchanged content keeps its time stamp, so that relay-ctl is not rebuilt for nothing.
    if std::fs::read(&object).ok().as_deref() != Some(&bytes) {
        std::fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
    }
    sh::say(format!("eBPF object: {} ({} KiB)", object.display(), bytes.len() / 1024));
    Ok(())
}

/// `clippy -D warnings` for the BPF target.
pub fn clippy() -> Result<()> {
    cargo_bpf("clippy")
}

/// True when the rustup toolchain in use can build `core` for BPF by itself.
pub fn rustup_can_build() -> bool {
    sh::output_of(Command::new("rustc").args(["--print", "sysroot"]))
        .is_some_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

fn target_dir() -> PathBuf {
    sh::workspace_root().join("target/bpf-build")
}

fn cargo_bpf(subcommand: &str) -> Result<()> {
    let linker = packages::linker().context("bpf-linker is missing; run `cargo xtask setup`")?;
    let mut flags = vec![
        format!("-Clinker={}", linker.display()),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
    ];
    if cfg!(target_arch = "aarch64") {
        flags[3] = "--cfg=bpf_target_arch=\"aarch64\"".to_owned();
    }
    if subcommand == "clippy" {
        flags.push("-Dwarnings".to_owned());
    }
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(sh::workspace_root())
        .args([subcommand, "--quiet", "--locked", "--release", "--package", "relay-ebpf", "--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // aya-ebpf uses `asm_experimental_arch`; this one build may, the host build may not.
        .env("RUSTC_BOOTSTRAP", "1");
    let debian_core = Path::new("/usr/lib/rustlib").join(TARGET);
    if debian_core.is_dir() {
        sh::say(format!("compiler: Debian's {} (it ships core for {TARGET})", packages::DEBIAN_RUSTC));
        cargo.env("RUSTC", packages::DEBIAN_RUSTC).env_remove("RUSTUP_TOOLCHAIN");
        if subcommand == "clippy" {
            // Debian's clippy-driver matches Debian's core; cargo finds it through the workspace wrapper.
            cargo.env("RUSTC_WORKSPACE_WRAPPER", "/usr/bin/clippy-driver").env("CLIPPY_ARGS", "");
            cargo.env_remove("RUSTC_WRAPPER");
        }
    } else if rustup_can_build() {
        sh::say("compiler: the rustup toolchain with rust-src, through -Z build-std=core");
        cargo.args(["-Z", "build-std=core"]);
    } else {
        bail!(
            "no compiler here can build for {TARGET}: install Debian's rustc-web and libstd-rust-web-dev-bpf \
             (`cargo xtask setup` does), or run `rustup component add rust-src`"
        );
    }
    sh::run(if subcommand == "build" { "eBPF object" } else { "clippy for BPF" }, &mut cargo)
}
