//! `demo` and `bench`: install, build, then hand over to the binary of the lab that does it.

use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use crate::arguments::{Mode, cell};
use crate::mounts::Mounts;
use crate::packages::{self, Need};
use crate::{build_ebpf, progress, sh, suite};

/// What the benchmark calls those that it compares.
const CONTESTANTS: [&str; 14] = [
    "xdp-floor",
    "xdp",
    "tc-floor",
    "tc",
    "nftables",
    "userspace",
    "gso",
    "sendmmsg",
    "io_uring",
    "sendto",
    "rtpengine",
    "multiudpsink",
    "xdp history off",
    "tc history off",
];

/// And the servers that `viewers` compares. One is built of bench/peer.
const SERVERS: [&str; 4] = ["janus-as-it-comes", "janus", PEER, "native"];
const PEER: &str = "webrtc-rs";

/// In Cargo.toml.
const DEMO_PROFILE: &str = "demo";

/// The programs of the demo.
const DEMO: &[&str] = &[
    "--package=relay-ctl",
    "--package=injection",
    "--package=egress",
    "--package=media-client",
    "--package=demo",
    "--bin=relay-ctl",
    "--bin=injection",
    "--bin=egress",
    "--bin=media-client",
    "--bin=demo",
];

/// `cargo xtask demo`.
pub fn demo(once: bool, mode: Mode) -> Result<()> {
    let missing = packages::missing(Need::DEMO);
    if !missing.is_empty() {
        // Most of what is compiled needs none of the packages: it is compiled while they are fetched. What fails for want of
        // them is compiled below; waiting for the rest costs nothing, since that is needed in any case.
        let mut early = demo_build();
        early.arg("--keep-going");
        let early = progress::cargo_started("compiling what needs no packages", &mut early)?;
        packages::install(Need::DEMO)?;
        early.settle();
    }
    progress::cargo("compiling the demo", &mut demo_build())?;
    let mut command = program(DEMO_PROFILE, "demo");
    command.args(["--mode", mode.name()]);
    if once {
        command.arg("--once");
    }
    let _mounts = Mounts::remember();
    sh::run("demo", &mut command)
}

fn demo_build() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sh::workspace_root()).args(["build", "--profile", DEMO_PROFILE, "--locked"]).args(DEMO);
    cargo
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
    /// What `--cpus` brings.
    Spread,
    /// What it costs to keep packets that may have to be sent again.
    History,
    /// From SADD to the first packet, from SREM to the last.
    Changes,
    /// How the others change, and what is lost by it.
    Peers,
    /// The daemon's CPU and memory, and many changes at once.
    Daemon,
    /// From WHIP to WHEP: first picture, glass to glass, CPU of each node.
    Media,
    /// What a viewer costs at an egress, beside other servers; with --write into docs/capacity.md.
    Viewers,
    /// Pictures of Grafana's dashboards, of a real tree; with --write into docs/monitoring/.
    Dashboards,
    /// All of these but media, viewers and dashboards.
    All,
}

/// How `cargo xtask bench` is run.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// fanout, latency, growth, spread, history, changes, peers, daemon, media, viewers, dashboards, all [default: fanout, with --write: all]
    #[arg(value_enum)]
    subjects: Vec<Subject>,
    /// Data plane of the relay in `changes`, `daemon` and `media`: xdp, tc or userspace [default: of changes each, else xdp]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// In some two minutes, to see that the harness works
    #[arg(long)]
    quick: bool,
    /// Of fanout, latency and viewers only these contestants
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(CONTESTANTS.into_iter().chain(SERVERS)))]
    only: Vec<String>,
    /// Measure the fan-out in these cells only, such as 214x8: frames of 214 bytes, 8 children.
    #[arg(long, value_delimiter = ',', value_name = "LENGTHxCHILDREN", value_parser = cell)]
    cells: Vec<String>,
    /// Of viewers so many [default: 100,300,1000]
    #[arg(long, value_delimiter = ',', value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    viewers: Vec<u32>,
    /// Of the fan-out, measure CPU time only, no loss-free rates.
    #[arg(long)]
    costs: bool,
    /// Write the raw figures there
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// Write tables, plots and raw figures to docs/benchmarks.md (of viewers docs/capacity.md) and docs/benchmarks/
    #[arg(long)]
    write: bool,
}

/// `cargo xtask bench`.
pub fn bench(bench: &Bench) -> Result<()> {
    let all = bench.write && bench.subjects.is_empty();
    let with_clients = [Subject::Media, Subject::Peers, Subject::Viewers, Subject::Dashboards, Subject::All];
    let needs_clients = |subject: &Subject| with_clients.contains(subject);
    packages::install(Need::USUAL)?;
    build_ebpf::check()?;
    build_programs(all || bench.subjects.iter().any(needs_clients))?;
    let is_asked = bench.only.is_empty() || bench.only.iter().any(|name| name == PEER);
    if bench.subjects.contains(&Subject::Viewers) && is_asked {
        build_peer().context("`--only janus-as-it-comes,janus,native` does without webrtc-rs")?;
    }
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
    if let Some(mode) = bench.mode {
        command.args(["--mode", mode.name()]);
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
    if !bench.viewers.is_empty() {
        let numbers: Vec<String> = bench.viewers.iter().map(u32::to_string).collect();
        command.args(["--viewers", &numbers.join(",")]);
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

/// The programs that run outside this process: with `media` the nodes and clients too.
pub fn build_programs(media: bool) -> Result<()> {
    build(media, &["build", "--bins"])
}

/// Programs that are called as their packages are, and nothing else.
pub fn build_these(programs: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sh::workspace_root()).args(["build", "--bins", "--release", "--locked"]);
    for name in programs {
        cargo.args(["--package", name]);
    }
    progress::cargo("the nodes", &mut cargo)
}

/// A server of another making, which is in no workspace of ours.
fn build_peer() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sh::workspace_root().join("bench/peer"));
    progress::cargo(PEER, cargo.args(["build", "--release", "--locked", "--target-dir", "../../target/peer"]))
}

fn build(media: bool, what: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sh::workspace_root()).args(what).args(["--release", "--locked"]).args(packages(media));
    progress::cargo(if media { "the nodes and lab" } else { "relay-ctl and lab" }, &mut cargo)
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
