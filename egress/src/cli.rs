//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use node::config::environment;

use crate::config::{Config, File, Flags};
use crate::daemon;

/// The node at the end of the tree: RTP in, viewers over WHEP through Janus' Streaming plugin.
#[derive(Debug, Parser)]
#[command(name = "egress", version)]
struct Cli {
    /// File with settings (TOML); flags and environment win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the program.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| {
        let file = cli.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        daemon::run(Config::new(cli.flags, environment, file)?)?;
        Ok(ExitCode::SUCCESS)
    })
}
