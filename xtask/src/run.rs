//! `demo` and `bench`: install, build, then hand over to the binary of the lab that does it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::mounts::Mounts;
use crate::{build_ebpf, packages, sh};

/// `cargo xtask demo`.
pub fn demo(once: bool, mode: &str) -> Result<()> {
    prepare(true)?;
    let mut command = lab("demo");
    command.args(["--mode", mode]);
    if once {
        command.arg("--once");
    }
    let _mounts = Mounts::remember();
    sh::run("demo", &mut command)
}

/// What `cargo xtask bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// Copies one CPU makes by each path.
    Fanout,
    /// From SADD to the first packet, from SREM to the last.
    Changes,
    /// The daemon's CPU and memory, and many changes at once.
    Daemon,
    /// From WHIP to WHEP: first picture, glass to glass, CPU of each node.
    Media,
}

/// `cargo xtask bench`.
pub fn bench(subjects: &[Subject], mode: &str, quick: bool, json: Option<&Path>) -> Result<()> {
    prepare(subjects.contains(&Subject::Media))?;
    let mut command = lab("bench");
    command.args(subjects.iter().map(|subject| match subject {
        Subject::Fanout => "fanout",
        Subject::Changes => "changes",
        Subject::Daemon => "daemon",
        Subject::Media => "media",
    }));
    command.args(["--mode", mode]);
    if quick {
        command.arg("--quick");
    }
    if let Some(path) = json {
        command.arg("--json").arg(path);
    }
    let _mounts = Mounts::remember();
    sh::run("bench", &mut command)
}

/// Installs what is missing and builds everything that runs outside this process: with `media` the nodes and clients too.
pub fn prepare(media: bool) -> Result<()> {
    packages::install(packages::Purpose::Everything)?;
    build_ebpf::run()?;
    build(media, &["build", "--bins"])
}

/// The same programs, and the tests that need root. Built together, because what tests depend on turns on features of what
/// programs depend on: one after the other, much would be compiled twice.
pub fn build_tests(media: bool) -> Result<()> {
    build(media, &["test", "--no-run", "--test=*"])
}

fn build(media: bool, what: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(sh::workspace_root())
        .args(what)
        .args(["--release", "--locked", "--quiet"])
        .args(packages(media));
    sh::run(if media { "the nodes and lab" } else { "relay-ctl and lab" }, &mut cargo)
}

/// The packages that run outside this process, as cargo is told: with `media` the nodes and clients too.
pub fn packages(media: bool) -> &'static [&'static str] {
    let all = &[
        "--package=relay-ctl",
        "--package=lab",
        "--package=injection",
        "--package=egress",
        "--features=lab/media",
    ];
    if media { all } else { &all[..2] }
}

fn lab(name: &str) -> Command {
    let mut command = Command::new(sh::workspace_root().join("target/release").join(name));
    command.current_dir(sh::workspace_root());
    command
}
