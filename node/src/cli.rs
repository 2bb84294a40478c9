//! The frame of a node's command line: one line says what went wrong, and the exit code what kind of thing it was.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::ConfigError;
use crate::secret::redacted;

/// Exit code for bad configuration (EX_USAGE of sysexits.h).
const EXIT_CONFIG: u8 = 64;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Bad configuration, exit code 64.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Anything else, exit code 1.
    #[error("{0}")]
    Other(String),
}

/// Reads the command line and runs it.
pub fn main<C: Parser>(run: impl FnOnce(C) -> Result<ExitCode, Failure>) -> ExitCode {
    let name = C::command().get_name().to_owned();
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&name, &usage_error(&name, &error), EXIT_CONFIG),
    };
    match run(cli) {
        Ok(code) => code,
        Err(Failure::Config(error)) => fail(&name, &error.0, EXIT_CONFIG),
        Err(Failure::Other(text)) => fail(&name, &text, 1),
    }
}

/// One line, whatever the libraries below put into theirs.
fn fail(name: &str, text: &str, code: u8) -> ExitCode {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("{name}: {}", lines.join("; "));
    ExitCode::from(code)
}

/// What clap says, without its heading and its advertisement for --help, and without a password that it may quote.
fn usage_error(name: &str, error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("no command; `{name} --help` lists them");
    }
    let text = error.render().to_string();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("For more information")).collect();
    redacted(kept.join("\n").trim_start_matches("error: "))
}
