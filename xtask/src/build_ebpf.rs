//! `cargo xtask build-ebpf`: the eBPF object from its sources, and the proof that the object in the repository is it.
//!
//! `relay-ctl/bpf/relay.o` is checked in, so that building `relay-ctl` needs neither bpf-linker nor LLVM. It holds what the
//! kernel needs and nothing that differs from checkout to checkout: paths are remapped, debug and line information is cut
//! out ([`crate::strip`]). The same compiler makes the same bytes of the same sources; `relay-ctl/bpf/built-by.txt` says which compiler.
//!
//! Two compilers can make it and the command says which one it took: Debian's `rustc-web`, whose package ships a ready
//! `core` for the BPF target, or a rustup toolchain with the `rust-src` component and `-Z build-std`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, Need};
use crate::{sh, strip};

const TARGET: &str = "bpfel-unknown-none";
/// From the package rust-web-clippy.
const DEBIAN_CLIPPY: &str = "/usr/bin/clippy-driver";
const COMMAND: &str = "cargo xtask build-ebpf";

/// Builds the object and puts it where `relay-ctl` embeds it from.
pub fn run() -> Result<()> {
    build()?;
    let changed = place(&stripped(), &checked_in())?;
    let noted = place_text(&tools()?, &built_by())?;
    let size = fs::metadata(checked_in()).map_or(0, |file| file.len() / 1024);
    let object = relative(&checked_in());
    sh::say(if changed || noted {
        format!("eBPF object: {object} ({size} KiB) is new; commit it with the sources")
    } else {
        format!("eBPF object: {object} ({size} KiB) is what the sources give")
    });
    sh::say(format!("with line information: RELAY_OBJECT={} cargo build -p relay-ctl", full().display()));
    Ok(())
}

/// Fails if the object that is checked in is not what the sources give.
pub fn check() -> Result<()> {
    build()?;
    let object = relative(&checked_in());
    let theirs = fs::read(checked_in()).with_context(|| format!("no {object}; run `{COMMAND}`"))?;
    let ours = fs::read(stripped()).context("the object just built")?;
    let (then, now) = (fs::read_to_string(built_by()).unwrap_or_default(), tools()?);
    let symbols = |object: &Path| strip::symbols(&tool("llvm-nm")?, object);
    let same_symbols = || Ok(symbols(&stripped())? == symbols(&checked_in())?);
    match Proof::of(ours == theirs, then == now, same_symbols)? {
        Proof::Same => sh::say(format!("{object} is what the sources give, byte for byte")),
        Proof::Alike => sh::say(format!(
            "{object} cannot be compared byte by byte: it was built by other tools. Its programs and maps are those of the \
             sources.\n  there: {}\n  here:  {}",
            then.trim().replace('\n', ", "),
            now.trim().replace('\n', ", ")
        )),
        Proof::Stale => bail!("{object} is not what the sources give; run `{COMMAND}` and commit it"),
    }
    Ok(())
}

/// What comparing the object that is checked in with the one just built says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// The bytes are the same.
    Same,
    /// Other tools make other code of the same sources, but what the outside sees is the same.
    Alike,
    /// Other sources.
    Stale,
}

impl Proof {
    fn of(same_bytes: bool, same_tools: bool, same_symbols: impl FnOnce() -> Result<bool>) -> Result<Proof> {
        Ok(match (same_bytes, same_tools) {
            (true, _) => Proof::Same,
            (false, true) => Proof::Stale,
            (false, false) if same_symbols()? => Proof::Alike,
            (false, false) => Proof::Stale,
        })
    }
}

/// What benchmarks and tests need in the kernel; it is read at run time and in no product. Needs [`run`] or [`check`] before.
pub fn place_helpers() -> Result<()> {
    for helper in ["relay-bench", "relay-link"] {
        place(&built(helper), &target().join(helper))?;
    }
    Ok(())
}

/// `clippy -D warnings` for the BPF target.
pub fn clippy() -> Result<()> {
    cargo_bpf(true)
}

/// True when the rustup toolchain in use can build `core` for BPF by itself.
pub fn rustup_can_build() -> bool {
    sysroot().is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir())
}

fn sysroot() -> Option<PathBuf> {
    sh::output_of(Command::new("rustc").args(["--print", "sysroot"])).map(|root| PathBuf::from(root.trim()))
}

fn checked_in() -> PathBuf {
    sh::workspace_root().join("relay-ctl/bpf/relay.o")
}

fn built_by() -> PathBuf {
    checked_in().with_file_name("built-by.txt")
}

fn target() -> PathBuf {
    sh::workspace_root().join("target/bpf")
}

/// As the linker made it, with all debug information.
fn full() -> PathBuf {
    built("relay-ebpf")
}

fn stripped() -> PathBuf {
    target().join("relay.o")
}

fn built(name: &str) -> PathBuf {
    build_folder().join(TARGET).join("release").join(name)
}

fn build_folder() -> PathBuf {
    sh::workspace_root().join("target/bpf-build")
}

fn relative(path: &Path) -> String {
    path.strip_prefix(sh::workspace_root()).unwrap_or(path).display().to_string()
}

fn build() -> Result<()> {
    packages::install(&[Need::Object])?;
    cargo_bpf(false)?;
    fs::create_dir_all(target()).with_context(|| format!("cannot create {}", target().display()))?;
    strip::strip(&tool("llvm-objcopy")?, &full(), &stripped())?;
    place_helpers()
}

/// True if that changed anything. Unchanged content keeps its time stamp, so that nothing is rebuilt for it.
fn place(from: &Path, to: &Path) -> Result<bool> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(&bytes, to)
}

fn place_text(text: &str, to: &Path) -> Result<bool> {
    write(text.as_bytes(), to)
}

fn write(bytes: &[u8], to: &Path) -> Result<bool> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let changed = fs::read(to).ok().as_deref() != Some(bytes);
    if changed {
        fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(changed)
}

/// All that has a say in the bytes, one a line.
fn tools() -> Result<String> {
    let rustc = if debian_core().is_dir() { packages::DEBIAN_RUSTC } else { "rustc" };
    let verbose = sh::output_of(Command::new(rustc).arg("-vV")).context("rustc -vV")?;
    let version = |program: &str| sh::output_of(Command::new(program).arg("--version")).unwrap_or_default();
    let linker = packages::linker().context("bpf-linker is missing; run `cargo xtask setup`")?;
    let llvm = verbose.lines().find(|line| line.starts_with("LLVM")).unwrap_or_default();
    let (first, cargo) = (verbose.lines().next().unwrap_or_default(), version("cargo"));
    let linker = version(&linker.to_string_lossy());
    Ok([first, llvm, cargo.trim(), linker.trim()].join("\n") + "\n")
}

/// LLVM's tools: those of the compiler's version, or whichever is on PATH.
fn tool(name: &str) -> Result<PathBuf> {
    let llvm = packages::llvm_major().map(|major| PathBuf::from(format!("/usr/lib/llvm-{major}/bin")));
    let rustup = sysroot()
        .map(|root| root.join(format!("lib/rustlib/{}-unknown-linux-gnu/bin", std::env::consts::ARCH)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    llvm.ok()
        .into_iter()
        .chain(rustup)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("no {name}; install Debian's llvm or run `rustup component add llvm-tools`"))
}

fn debian_core() -> PathBuf {
    Path::new("/usr/lib/rustlib").join(TARGET)
}

/// What the compiler is told: the same in every checkout but for the paths that are mapped away.
fn flags() -> Vec<String> {
    let mut flags = vec![
        // By PATH, since where it is would be one more thing that differs.
        "-Clinker=bpf-linker".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // 32-bit arithmetic and comparisons, which every kernel since 5.1 takes; the default knows of 64 bits only.
        "-Ctarget-cpu=v3".to_owned(),
        // It decides how registers are read, which no program here does: one object serves every processor.
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
        format!("--remap-path-prefix={}=/media-tree", sh::workspace_root().display()),
    ];
    let registry = packages::cargo_home().map(|home| home.join("registry/src"));
    let sources = registry.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    flags.extend(sources.map(|index| format!("--remap-path-prefix={}=/registry", index.path().display())));
    flags
}

fn cargo_bpf(lint: bool) -> Result<()> {
    let linker = packages::linker().context("bpf-linker is missing; run `cargo xtask setup`")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = linker.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
    let debian_core = debian_core().is_dir();
    let subcommand = match (lint, debian_core) {
        (false, _) => "build",
        (true, true) => "check",
        (true, false) => "clippy",
    };
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(sh::workspace_root())
        .args([subcommand, "--locked", "--release", "--package", "relay-ebpf", "--target", TARGET])
        .arg("--target-dir")
        .arg(if lint { build_folder().join("clippy") } else { build_folder() })
        .env("CARGO_ENCODED_RUSTFLAGS", flags().join("\u{1f}"))
        .env("PATH", std::env::join_paths(path)?)
        // aya-ebpf uses `asm_experimental_arch`; this one build may, the host build may not.
        .env("RUSTC_BOOTSTRAP", "1");
    if debian_core {
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
    crate::progress::cargo(if lint { "clippy for BPF" } else { "eBPF object" }, &mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_of_the_same_tools_are_other_sources() {
        let unasked = || panic!("symbols prove nothing here");
        assert_eq!(Proof::of(true, true, unasked).unwrap(), Proof::Same);
        assert_eq!(Proof::of(true, false, unasked).unwrap(), Proof::Same);
        assert_eq!(Proof::of(false, true, unasked).unwrap(), Proof::Stale);
    }

    #[test]
    fn with_other_tools_programs_and_maps_are_compared() {
        assert_eq!(Proof::of(false, false, || Ok(true)).unwrap(), Proof::Alike);
        assert_eq!(Proof::of(false, false, || Ok(false)).unwrap(), Proof::Stale);
    }

    #[test]
    fn no_path_of_this_checkout_gets_into_the_object() {
        let root = sh::workspace_root().display().to_string();
        assert!(flags().contains(&format!("--remap-path-prefix={root}=/media-tree")));
        let object = fs::read(checked_in()).unwrap();
        for path in [root, packages::cargo_home().unwrap().display().to_string()] {
            assert!(!object.windows(path.len()).any(|window| window == path.as_bytes()), "{path}");
        }
    }
}
