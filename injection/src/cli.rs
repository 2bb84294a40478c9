//! The command line.

use std::process::ExitCode;

use clap::Parser;
use node::config::environment;

use crate::config::{Config, Flags};
use crate::daemon;

/// The injection of Media-Tree: takes broadcasts over WHIP and feeds them to the tree as RTP.
#[derive(Parser)]
#[command(name = "injection", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| {
        daemon::run(Config::load(cli.flags, environment)?)?;
        Ok(ExitCode::SUCCESS)
    })
}
