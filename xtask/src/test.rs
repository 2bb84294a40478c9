//! `cargo xtask test`: lint, unit and property tests without root, then the eBPF programs in the kernel and real
//! forwarding in network namespaces, then a real broadcast. Every part runs even if an earlier one failed; the last
//! lines say which did.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::mounts::Mounts;
use crate::{build_ebpf, compose, run, sh};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// rustfmt, and clippy for the host and for BPF.
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
    /// The documents' tests in containers; root. Not one of "all": it makes images and may start an engine.
    Compose,
}

/// Runs the parts named, or all.
pub fn run(parts: &[Part]) -> Result<()> {
    let started = Instant::now();
    let all = || Part::value_variants().iter().copied().filter(|part| *part != Part::Compose);
    let parts: Vec<Part> = if parts.is_empty() { all().collect() } else { parts.to_vec() };
    let media = parts.iter().any(|part| matches!(part, Part::Media | Part::Browser));
    run::prepare(media)?;
    let _mounts = Mounts::remember();
    let mut failed = Vec::new();
    for part in &parts {
        sh::say(format!("=== {part:?}"));
        let result = match part {
            Part::Lint => lint(),
            Part::Unit => cargo("unit tests", &["test", "--locked", "--no-fail-fast"]),
            Part::Kernel => lab_tests("kernel tests", |name| name.starts_with("kernel_")),
            Part::Net => lab_tests("namespace tests", |name| {
                !["kernel_", "media_", "browser_"].iter().any(|part| name.starts_with(part))
            }),
            Part::Media => nodes().and(lab_tests("media tests", |name| name.starts_with("media_"))),
            Part::Browser => lab_tests("browser tests", |name| name.starts_with("browser_")),
            Part::Compose => compose::test(),
        };
        if let Err(error) = result {
            eprintln!("[xtask] {part:?}: {error:#}");
            failed.push(*part);
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
    format.and(host).and(bpf)
}

/// Injection and egress, each by itself with a real Janus; both run even if the first fails.
fn nodes() -> Result<()> {
    let test = |package: &str| {
        let arguments = ["test", "--release", "--locked", "--no-fail-fast", "--package", package];
        cargo(package, &[&arguments[..], &["--", "--test-threads=1"]].concat())
    };
    let injection = test("injection");
    test("egress").and(injection)
}

/// The lab's test files whose names are wanted. Root, one at a time: they share the machine's two cores, and what they
/// measure is loss.
fn lab_tests(what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
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
    let mut arguments = vec!["test", "--release", "--locked", "--no-fail-fast", "--package", "lab"];
    for name in &names {
        arguments.extend(["--test", name]);
    }
    arguments.extend(["--", "--test-threads=1"]);
    cargo(what, &arguments)
}

fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    sh::run(what, Command::new("cargo").current_dir(sh::workspace_root()).args(arguments))
}
