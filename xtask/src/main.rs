//! The project's own commands: `cargo xtask <command>`. Each says what it installs, shows progress and cleans up.

mod build_ebpf;
mod packages;
mod sh;

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
    /// Install what is missing for building, testing and the demo (Debian packages, bpf-linker)
    Setup,
    /// Build the eBPF object into target/bpf/relay-ebpf
    BuildEbpf,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[xtask] failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup => packages::install(packages::Purpose::Everything),
        Command::BuildEbpf => build_ebpf::run(),
    }
}
