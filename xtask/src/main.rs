//! The project's own commands: `cargo xtask <command>`. Each says what it installs, shows progress and cleans up.

mod build_ebpf;
mod compose;
mod fuzz;
mod interrupt;
mod judge;
mod man;
mod mounts;
mod packages;
mod run;
mod sh;
mod soak;
mod subjects;
mod test;
mod trials;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test, demonstrate and measure the Media-Tree relay")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing for building, testing and the demo (Debian packages, bpf-linker); the others call it
    Setup,
    /// Build the eBPF object into target/bpf/relay-ebpf
    BuildEbpf,
    /// Show a broadcast: WHIP to injection to relay to two egresses to viewers, changes while it runs, what each viewer lost
    Demo {
        /// Scripted: print the table and exit, 0 only if nothing was lost
        #[arg(long)]
        once: bool,
        /// auto, xdp, tc or userspace
        #[arg(long, default_value = "auto")]
        mode: String,
    },
    /// Run the tests: all of them, or the parts named
    Test {
        /// lint, unit, kernel, net, media, browser, vm-quick; vm and compose only if named
        #[arg(value_enum)]
        parts: Vec<test::Part>,
    },
    /// Measure: the relay beside what a user would choose instead, how fast changes are, what the daemon takes
    Bench(run::Bench),
    /// The long runs that are not part of the tests: random changes under load, Redis away for a minute; prints a table
    Soak {
        /// Random changes by redis-cli
        #[arg(long, default_value_t = 10_000)]
        changes: u64,
        /// Seconds for which Redis is away
        #[arg(long, default_value_t = 60)]
        outage: u64,
    },
    /// Hostile packets through the kernel data planes, judged byte by byte, and every mix of children
    Judge {
        /// Packets in each mode; a million takes a quarter of a minute
        #[arg(long, default_value_t = 1_000_000_000)]
        packets: u64,
        /// Which packets
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The tests of docs/contract.md, Compatibility, in containers; starts an engine where none runs
    Compose {
        #[command(subcommand)]
        action: compose::Action,
    },
    /// Feed every reader of what comes from a network with hostile bytes (installs cargo-fuzz); see fuzz/README.md
    Fuzz {
        /// Which targets [default: all]
        targets: Vec<String>,
        /// Seconds for each
        #[arg(long, default_value_t = 120)]
        seconds: u64,
    },
    /// Write the programs' man pages and completions
    Man {
        /// Folder [default: target/documents]
        #[arg(long, value_name = "FOLDER")]
        to: Option<std::path::PathBuf>,
    },
    /// Check licences, sources and duplicates of the dependencies (installs cargo-deny, which takes minutes to build)
    Deny,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[xtask] failed: {error:#}");
            // As a shell says of a program that SIGINT has ended.
            if interrupt::seen() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Setup => packages::install(packages::Purpose::Everything),
        Command::BuildEbpf => build_ebpf::run(),
        Command::Demo { once, mode } => run::demo(once, &mode),
        Command::Test { parts } => test::run(&parts),
        Command::Bench(bench) => run::bench(&bench),
        Command::Soak { changes, outage } => soak::run(changes, outage),
        Command::Judge { packets, seed } => judge::run(packets, seed),
        Command::Compose { action } => compose::run(action),
        Command::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
        Command::Man { to } => man::run(to),
        Command::Deny => packages::deny(),
    }
}
