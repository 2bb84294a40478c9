//! The project's own commands: `cargo xtask <command>`. Each says what it installs, shows progress and cleans up.

mod arguments;
mod build_ebpf;
mod compose;
mod dashboards;
#[cfg(test)]
mod documents;
mod field;
mod fuzz;
mod interrupt;
mod judge;
mod man;
mod mounts;
mod npm;
mod package;
mod packages;
mod pip;
mod progress;
mod run;
mod sh;
mod simulate;
mod soak;
mod strip;
mod subjects;
mod suite;
mod test;
mod trials;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use packages::Need;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test, demonstrate and measure the Media-Tree relay")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install all that is missing for building, testing and the demo; each other command installs what it needs by itself
    Setup,
    /// Build the eBPF object from its sources into relay-ctl/bpf/relay.o, which is checked in
    BuildEbpf,
    /// Show a broadcast: WHIP to injection to relay to two egresses to viewers, changes while it runs, what each viewer lost
    Demo {
        /// Scripted: print the table and exit, 0 only if nothing was lost
        #[arg(long)]
        once: bool,
        /// The relay's data plane
        #[arg(long, value_enum, default_value = "auto")]
        mode: arguments::Mode,
    },
    /// Run the tests: all of them, or the parts named
    Test {
        /// lint, unit, kernel, net, media, browser; bench, vm-quick, vm, field, matrix, failures, monitoring and compose only if named
        #[arg(value_enum)]
        parts: Vec<test::Part>,
        /// Only tests whose names hold one of these, as in `net -- loops_are_refused`
        #[arg(last = true, value_name = "NAME")]
        only: Vec<String>,
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
    /// Hours of a modelled tree in seconds: what the scaling controller does when viewers come and nodes fail; see docs/scaling.md
    Simulate(simulate::Simulate),
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
    /// Make Grafana's dashboards (deploy/monitoring/grafana/dashboards) of their descriptions
    Dashboards,
    /// Write the programs' man pages and completions
    Man {
        /// Folder [default: target/documents]
        #[arg(long, value_name = "FOLDER")]
        to: Option<std::path::PathBuf>,
    },
    /// Make what is released: a static relay-ctl as a Debian package and as an archive, and try the package
    Package {
        /// Into this folder [default: target/package]
        #[arg(long)]
        to: Option<std::path::PathBuf>,
    },
    /// Check licences, sources and duplicates of the dependencies (installs cargo-deny, which takes minutes to build)
    Deny,
}

fn main() -> ExitCode {
    sh::as_in_a_shell();
    let cli: Cli = match arguments::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match dispatch(cli.command) {
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
        Command::Setup => packages::install(Need::USUAL),
        Command::BuildEbpf => build_ebpf::run(),
        Command::Demo { once, mode } => run::demo(once, mode),
        Command::Test { parts, only } => test::run(&parts, &only),
        Command::Bench(bench) => run::bench(&bench),
        Command::Soak { changes, outage } => soak::run(changes, outage),
        Command::Simulate(what) => simulate::run(&what),
        Command::Judge { packets, seed } => judge::run(packets, seed),
        Command::Compose { action } => compose::run(action),
        Command::Fuzz { targets, seconds } => fuzz::run(&targets, seconds),
        Command::Dashboards => dashboards::run(),
        Command::Man { to } => man::run(to),
        Command::Package { to } => package::run(to),
        Command::Deny => packages::deny(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, ExitCode> {
        arguments::read(std::iter::once("xtask").chain(line.split(' ')).map(Into::into))
    }

    #[test]
    fn whatever_is_handed_on_is_checked_here() {
        for bad in [
            "demo --mode bogus",
            "demo --twice",
            "test bogus",
            "bench bogus",
            "bench --mode bogus",
            "bench --cells 214",
            "bench --cells 214x0",
            "bench --only bogus",
            "bench viewers --only",
            "bench viewers --viewers 0",
            "soak --changes many",
            "judge --seed x",
            "simulate bogus",
            "simulate --seeds 0",
            "compose bogus",
            "bogus",
        ] {
            assert_eq!(read(bad).err(), Some(ExitCode::from(64)), "{bad}");
        }
    }

    #[test]
    fn what_is_right_is_taken() {
        for good in [
            "demo --once --mode tc",
            "test lint unit vm-quick",
            "bench fanout spread history media --mode xdp --cells 214x8,1514x256 --only xdp,rtpengine",
            "bench viewers --quick --only janus,webrtc-rs --viewers 100,2000",
            "simulate 50000 flash --seed 7 --seeds 3 --hours 10000",
            "setup",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
    }
}
