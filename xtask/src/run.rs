//! `demo` and `bench`: install, build, then hand over to the binary of the lab that does it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::mounts::Mounts;
use crate::{build_ebpf, packages, sh};

/// `cargo xtask demo`.
pub fn demo(once: bool, mode: &str) -> Result<()> {
    prepare()?;
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
}

/// `cargo xtask bench`.
pub fn bench(subjects: &[Subject], mode: &str, quick: bool, json: Option<&Path>) -> Result<()> {
    prepare()?;
    let mut command = lab("bench");
    command.args(subjects.iter().map(|subject| match subject {
        Subject::Fanout => "fanout",
        Subject::Changes => "changes",
        Subject::Daemon => "daemon",
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

/// Installs what is missing and builds everything that runs outside this process.
pub fn prepare() -> Result<()> {
    packages::install(packages::Purpose::Everything)?;
    build_ebpf::run()?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sh::workspace_root()).args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--package",
        "relay-ctl",
        "--package",
        "lab",
        "--bins",
    ]);
    sh::run("relay-ctl and lab", &mut cargo)
}

fn lab(name: &str) -> Command {
    let mut command = Command::new(sh::workspace_root().join("target/release").join(name));
    command.current_dir(sh::workspace_root());
    command
}
