//! The command line: one line says what went wrong, and the exit code what kind of thing it was.

use std::process::ExitCode;

use clap::Parser;
use node::config::{ConfigError, environment};
use node::secret::redacted;

use crate::config::{Config, Flags};

/// Exit code for bad configuration (`EX_USAGE`).
const EXIT_CONFIG: u8 = 64;

/// The node at the end of the tree: RTP in, viewers over WHEP through Janus' Streaming plugin.
#[derive(Debug, Parser)]
#[command(name = "egress", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

/// Why the program ended.
#[derive(Debug)]
pub enum Failure {
    /// Bad configuration, exit code 64.
    Config(ConfigError),
    /// Anything else, exit code 1.
    Other(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Config(error)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&usage(&error), EXIT_CONFIG),
    };
    let result = Config::new(cli.flags, environment).map_err(Failure::from).and_then(crate::daemon::run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => fail(&error.0, EXIT_CONFIG),
        Err(Failure::Other(text)) => fail(&text, 1),
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("egress: {}", lines.join("; "));
    ExitCode::from(code)
}

/// What clap says, without its heading and its advertisement for --help, and without a password that it may quote.
fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let kept = text.lines().filter(|line| !line.starts_with("For more information"));
    redacted(kept.collect::<Vec<_>>().join("\n").trim_start_matches("error: "))
}
