//! `cargo xtask test`: lint, unit and property tests without root, then the eBPF programs in the kernel and real
//! forwarding in network namespaces, then a real broadcast. Every part runs even if an earlier one failed; the last
//! lines say which did. What fails while something else has the machine is tried again ([`trials`]).

use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::mounts::Mounts;
use crate::trials::Priority;
use crate::{build_ebpf, compose, interrupt, packages, run, sh, subjects, trials};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// rustfmt, clippy for the host and for BPF, rustdoc, commit subjects.
    Lint,
    /// Unit and property tests; no root.
    Unit,
    /// The eBPF programs through BPF_PROG_TEST_RUN; root.
    Kernel,
    /// Real forwarding in network namespaces; root.
    Net,
    /// A broadcast from WHIP to WHEP through the relay, with real servers; root.
    Media,
    /// The same in headless Chromium; root.
    Browser,
    /// The relay on one of Debian's kernels with a virtio card, in a virtual machine; root.
    VmQuick,
    /// The same on all kernels and cards. Not one of "all": it takes half an hour.
    Vm,
    /// The tests of docs/contract.md, Compatibility, in containers; root. Not one of "all": it makes images and may start an engine.
    Compose,
}

impl Part {
    /// Runs only if named.
    fn is_apart(self) -> bool {
        matches!(self, Part::Vm | Part::Compose)
    }
}

/// Runs the parts named, or all.
pub fn run(parts: &[Part]) -> Result<()> {
    let started = Instant::now();
    let all = || Part::value_variants().iter().copied().filter(|part| !part.is_apart());
    let parts: Vec<Part> = if parts.is_empty() { all().collect() } else { parts.to_vec() };
    let scope = Scope { media: parts.iter().any(|part| matches!(part, Part::Media | Part::Browser)) };
    let machines = parts.iter().any(|part| matches!(part, Part::Vm | Part::VmQuick));
    packages::install(if machines { packages::Purpose::Machines } else { packages::Purpose::Everything })?;
    build_ebpf::run()?;
    if parts
        .iter()
        .any(|part| !matches!(part, Part::Lint | Part::Unit | Part::Vm | Part::VmQuick | Part::Compose))
    {
        run::build_tests(scope.media)?;
    } else if machines {
        run::build_programs(false)?;
    }
    let _mounts = Mounts::remember();
    let mut failed = Vec::new();
    for part in &parts {
        sh::say(format!("=== {part:?}"));
        let result = match part {
            Part::Lint => lint(),
            Part::Unit => unit(),
            Part::Kernel => scope.lab_tests("kernel tests", |name| name.starts_with("kernel_")),
            Part::Net => scope.lab_tests("namespace tests", |name| {
                !["kernel_", "media_", "browser_"].iter().any(|part| name.starts_with(part))
            }),
            Part::Media => {
                let nodes = scope.tests("injection and egress", ["broadcast", "chain"].map(str::to_owned));
                nodes.and(scope.lab_tests("media tests", |name| name.starts_with("media_")))
            }
            Part::Browser => scope.lab_tests("browser tests", |name| name.starts_with("browser_")),
            Part::VmQuick => run::vm(true),
            Part::Vm => run::vm(false),
            Part::Compose => compose::test(),
        };
        if let Err(error) = result {
            eprintln!("[xtask] {part:?}: {error:#}");
            failed.push(*part);
        }
        if interrupt::seen() {
            break;
        }
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    if !failed.is_empty() {
        bail!("these parts failed: {failed:?} (after {minutes:.1} minutes)");
    }
    sh::say(format!("all parts passed: {parts:?} (in {minutes:.1} minutes)"));
    Ok(())
}

fn lint() -> Result<()> {
    let format = cargo("rustfmt", &["fmt", "--all", "--check"]);
    let arguments = [
        "clippy",
        "--locked",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--features",
        "lab/media",
        "--",
        "-D",
        "warnings",
    ];
    let host = cargo("clippy", &arguments);
    let bpf = build_ebpf::clippy();
    format.and(host).and(bpf).and(documentation()).and(subjects::check())
}

/// What `cargo doc` says of our own crates. Dependencies are only checked for it, which clippy has done already: 10 s on two
/// cores.
fn documentation() -> Result<()> {
    let mut doc = Command::new("cargo");
    doc.current_dir(sh::workspace_root()).env("RUSTDOCFLAGS", "-D warnings");
    doc.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    sh::run("documentation", &mut doc)
}

/// Without root. The lab, injection and egress are no default members: the one because most of it needs root, the others
/// because they need GStreamer to be built.
fn unit() -> Result<()> {
    let common = ["test", "--locked", "--no-fail-fast"];
    let lab = ["--package=lab", "--lib", "--bins"];
    let nodes = [
        "--package=injection",
        "--package=egress",
        "--package=fuzz-checks",
        "--lib",
        "--bins",
        "--test=bad_configuration*",
    ];
    let tests = |what: &str, arguments: &[&str]| trials::run(what, Priority::Ordinary, arguments);
    let others = tests("unit tests", &common);
    let lab = tests("unit tests of the lab", &[&common[..], &lab].concat());
    others.and(lab).and(tests("unit tests of injection and egress", &[&common[..], &nodes].concat()))
}

/// What is built for tests that need root: always the same packages and features, or cargo would compile what they depend
/// on anew for each part.
#[derive(Clone, Copy, Debug)]
struct Scope {
    media: bool,
}

impl Scope {
    /// The lab's test files whose names are wanted.
    fn lab_tests(self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let folder = sh::workspace_root().join("lab/tests");
        let mut names: Vec<String> = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
            .filter(|name| wanted(name))
            .collect();
        names.sort();
        if names.is_empty() {
            bail!("no test files in {}", folder.display());
        }
        self.tests(what, names)
    }

    /// Test files by name. Root, one at a time: they share the machine's two cores, and what they measure is loss.
    fn tests(self, what: &str, names: impl IntoIterator<Item = String>) -> Result<()> {
        let mut arguments: Vec<String> =
            ["test", "--release", "--locked", "--no-fail-fast"].map(str::to_owned).into();
        arguments.extend(run::packages(self.media).iter().map(|&argument| argument.to_owned()));
        arguments.extend(names.into_iter().flat_map(|name| ["--test".to_owned(), name]));
        arguments.extend(["--", "--test-threads=1"].map(str::to_owned));
        trials::run(what, Priority::First, &arguments)
    }
}

fn cargo(what: &str, arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    sh::run(what, Command::new("cargo").current_dir(sh::workspace_root()).args(arguments))
}
