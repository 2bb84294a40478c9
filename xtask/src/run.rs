//! `demo` and `bench`: install, build, then hand over to the binary of the lab that does it.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::mounts::Mounts;
use crate::{build_ebpf, packages, sh, suite};

/// `cargo xtask demo`.
pub fn demo(once: bool, mode: &str) -> Result<()> {
    prepare(true)?;
    let mut command = program("release", "demo");
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
    /// CPU time per copy and loss-free rate, beside everybody else.
    Fanout,
    /// How long a copy takes.
    Latency,
    /// What a copy costs with more streams.
    Growth,
    /// From SADD to the first packet, from SREM to the last.
    Changes,
    /// How the others change, and what is lost by it.
    Peers,
    /// The daemon's CPU and memory, and many changes at once.
    Daemon,
    /// From WHIP to WHEP: first picture, glass to glass, CPU of each node.
    Media,
    /// All of these but media.
    All,
}

/// How `cargo xtask bench` is run.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// fanout, latency, growth, changes, peers, daemon, media, all [default: fanout, with --write: all]
    #[arg(value_enum)]
    subjects: Vec<Subject>,
    /// Data plane of the relay in `changes`, `daemon` and `media`: xdp, tc or userspace [default: of changes each, else xdp]
    #[arg(long)]
    mode: Option<String>,
    /// In less than two minutes, to see that the harness works
    #[arg(long)]
    quick: bool,
    /// Of fanout and latency only these contestants
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure the fan-out in these cells only, such as 214x8: frames of 214 bytes, 8 children.
    #[arg(long, value_delimiter = ',', value_name = "LENGTHxCHILDREN")]
    cells: Vec<String>,
    /// Of the fan-out, measure CPU time only, no loss-free rates.
    #[arg(long)]
    costs: bool,
    /// Write the raw figures there
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// Write tables, plots and raw figures to docs/benchmarks.md and docs/benchmarks/
    #[arg(long)]
    write: bool,
}

/// `cargo xtask bench`.
pub fn bench(bench: &Bench) -> Result<()> {
    let all = bench.write && bench.subjects.is_empty();
    let needs_clients = |subject: &Subject| [Subject::Media, Subject::Peers, Subject::All].contains(subject);
    prepare(all || bench.subjects.iter().any(needs_clients))?;
    let mut command = program("release", "bench");
    if bench.write {
        command.arg("--write").arg(sh::workspace_root().join("docs"));
    }
    if all {
        command.arg("all");
    }
    command.args(
        bench
            .subjects
            .iter()
            .filter_map(|subject| subject.to_possible_value().map(|value| value.get_name().to_owned())),
    );
    if let Some(mode) = &bench.mode {
        command.args(["--mode", mode]);
    }
    if bench.quick {
        command.arg("--quick");
    }
    if !bench.only.is_empty() {
        command.args(["--only", &bench.only.join(",")]);
    }
    if !bench.cells.is_empty() {
        command.args(["--cells", &bench.cells.join(",")]);
    }
    if bench.costs {
        command.arg("--costs");
    }
    if let Some(path) = &bench.json {
        command.arg("--json").arg(path);
    }
    let _mounts = Mounts::remember();
    sh::run("bench", &mut command)
}

/// `cargo xtask test vm` and `vm-quick`, with all built.
pub fn vm(quick: bool) -> Result<()> {
    let mut command = program(suite::PROFILE, "vm");
    if quick {
        command.arg("--quick");
    }
    sh::run("virtual machines", &mut command)
}

/// Installs what is missing and builds everything that runs outside this process: with `media` the nodes and clients too.
pub fn prepare(media: bool) -> Result<()> {
    packages::install(packages::Purpose::Everything)?;
    build_ebpf::run()?;
    build_programs(media)
}

/// The programs alone.
fn build_programs(media: bool) -> Result<()> {
    build(media, &["build", "--bins"])
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
fn packages(media: bool) -> &'static [&'static str] {
    let all = &[
        "--package=relay-ctl",
        "--package=lab",
        "--package=bench",
        "--package=vm",
        "--package=demo",
        "--package=media-client",
        "--package=injection",
        "--package=egress",
    ];
    if media { all } else { &all[..4] }
}

fn program(profile: &str, name: &str) -> Command {
    let mut command = Command::new(sh::workspace_root().join("target").join(profile).join(name));
    command.current_dir(sh::workspace_root());
    command
}
