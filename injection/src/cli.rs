//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use node::config::environment;

use crate::config::{Config, Flags};
use crate::{daemon, doctor};

/// The injection of Media-Tree: takes broadcasts over WHIP and feeds them to the tree as RTP.
#[derive(Parser)]
#[command(name = "injection", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Subcommand)]
enum Command {
    /// Say what this node needs, whether it is there, and what mends it; changes nothing
    Doctor {
        /// For programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| {
        if let Some(Command::Doctor { json, flags }) = cli.command {
            let config = Config::load(flags, environment)?;
            return node::doctor::run(json, doctor::examine(&config));
        }
        daemon::run(Config::load(cli.flags, environment)?)?;
        Ok(ExitCode::SUCCESS)
    })
}
