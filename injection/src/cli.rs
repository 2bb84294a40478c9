//! The command line.

use std::process::ExitCode;

use clap::Parser;
use node::config::environment;
use node::secret::redacted;

use crate::config::{Config, Flags};
use crate::daemon::{self, Failure};

/// Exit code for bad configuration (EX_USAGE of sysexits.h).
const EXIT_CONFIG: u8 = 64;

/// The injection of Media-Tree: takes broadcasts over WHIP and feeds them to the tree as RTP.
#[derive(Parser)]
#[command(name = "injection", version)]
struct Cli {
    #[command(flatten)]
    flags: Box<Flags>,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&usage_error(&error), EXIT_CONFIG),
    };
    let result = Config::new(*cli.flags, environment).map_err(Failure::from).and_then(daemon::run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => fail(&error.0, EXIT_CONFIG),
        Err(Failure::Other(text)) => fail(&text, 1),
    }
}

/// One line, whatever the libraries below put into theirs.
fn fail(text: &str, code: u8) -> ExitCode {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("injection: {}", lines.join("; "));
    ExitCode::from(code)
}

/// What clap says, without its heading and its advertisement for --help, and without a password that it may quote.
fn usage_error(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("For more information")).collect();
    redacted(kept.join("\n").trim_start_matches("error: "))
}
