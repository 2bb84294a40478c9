//! The frame of a node's command line: one line says what went wrong, and the exit code what kind of thing it was.

mod documents;
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::ConfigError;
use crate::log;
use crate::secret::redacted;
pub use token::Token;

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
    let command = documents::with_completions(C::command());
    let name = command.get_name().to_owned();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(folder) = documents::man_folder(&arguments) {
        return match documents::write_man(command, folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(&name, &why, 1),
        };
    }
    let parsed = command.clone().try_get_matches_from(arguments).and_then(|matches| {
        match documents::shell(&matches) {
            Some(shell) => Ok(Err(shell)),
            None => C::from_arg_matches(&matches).map(Ok),
        }
    });
    let cli = match parsed {
        Ok(Err(shell)) => return documents::print_completions(shell, command),
        Ok(Ok(cli)) => cli,
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

/// One line, in the form that the log has, if it has begun.
fn fail(name: &str, text: &str, code: u8) -> ExitCode {
    let text = one_line(text);
    match log::last_line(name, &text) {
        Some(line) => eprint!("{line}"),
        None => eprintln!("{name}: {text}"),
    }
    ExitCode::from(code)
}

/// Whatever the libraries below put into theirs; and nothing that steers the terminal, for a node's words may be in it.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ").replace(char::is_control, "\u{fffd}")
}

/// Nothing that others have written, be it in lines, steers the terminal.
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_does_not_steer_the_terminal() {
        assert_eq!(one_line("\n a: \n\n  b\r\n"), "a:; b");
        assert_eq!(one_line("http://e1: no\u{1b}[2J\u{9b}\u{7}"), "http://e1: no\u{fffd}[2J\u{fffd}\u{fffd}");
    }
}
