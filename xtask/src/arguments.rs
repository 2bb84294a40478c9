//! What is typed after `cargo xtask`, checked before anything is installed or built: also what is handed on to other programs.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};

/// EX_USAGE of sysexits.h, as all programs of the project have it.
const BAD_ARGUMENTS: u8 = 64;

/// The relay's data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The best that works here.
    Auto,
    /// XDP.
    Xdp,
    /// tc.
    Tc,
    /// Sockets in the daemon.
    Userspace,
}

impl Mode {
    /// As programs are told.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Xdp => "xdp",
            Mode::Tc => "tc",
            Mode::Userspace => "userspace",
        }
    }
}

/// The command line, or with what to end: 0 after `--help`, else one line and 64.
pub fn read<C: Parser>(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<C, ExitCode> {
    C::try_parse_from(arguments).map_err(|error| {
        if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_ARGUMENTS } else { 0 });
        }
        eprintln!("[xtask] {}", one_line(&error.render().to_string()));
        ExitCode::from(BAD_ARGUMENTS)
    })
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("For more"));
    lines.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").to_owned()
}

/// A cell of the benchmark's tables: bytes of a frame, children.
pub fn cell(text: &str) -> Result<String, String> {
    let numbers = text.split_once('x').map(|(length, children)| (length.parse(), children.parse()));
    match numbers {
        Some((Ok(length), Ok(children)))
            if (80..=1514_u32).contains(&length) && length % 2 == 0 && (1..=256_u32).contains(&children) =>
        {
            Ok(text.to_owned())
        }
        _ => {
            Err("want LENGTHxCHILDREN such as 214x8: 80 to 1514 bytes, even, and 1 to 256 children"
                .to_owned())
        }
    }
}
