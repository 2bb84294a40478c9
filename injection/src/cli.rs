//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use node::config::environment;

use crate::config::{Config, File, Flags};
use crate::daemon;

/// The injection of Media-Tree: takes broadcasts over WHIP and feeds them to the tree as RTP.
#[derive(Parser)]
#[command(name = "injection", version)]
struct Cli {
    /// File with settings (TOML); flags and environment win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Box<Flags>,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| {
        let file = cli.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        daemon::run(Config::new(*cli.flags, environment, file)?)?;
        Ok(ExitCode::SUCCESS)
    })
}
