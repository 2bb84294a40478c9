//! The command line.

use std::process::ExitCode;

use clap::Parser;
use node::config::environment;

use crate::config::{Config, Flags};
use crate::daemon;

/// The node at the end of the tree: RTP in, viewers over WHEP through Janus' Streaming plugin.
#[derive(Debug, Parser)]
#[command(name = "egress", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

/// Runs the program.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| {
        daemon::run(Config::load(cli.flags, environment)?)?;
        Ok(ExitCode::SUCCESS)
    })
}
