//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use node::auth::Role;
use node::cli::Token;
use node::config::environment;

use crate::config::{Config, Flags};
use crate::{daemon, doctor};

/// The node at the end of the tree: RTP in, viewers over WHEP, through Janus' Streaming plugin or by itself.
#[derive(Debug, Parser)]
#[command(name = "egress", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what this node needs, whether it is there, and what mends it; changes nothing
    Doctor {
        /// For programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Print a token that opens one session for somebody, signed by a key whose other half is in jwt-keys
    Token(Token),
}

/// Runs the program.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| match cli.command {
        Some(Command::Doctor { json, flags }) => {
            let config = Config::load(flags, environment)?;
            node::doctor::run(json, doctor::examine(&config))
        }
        Some(Command::Token(token)) => token.print(Role::Watch),
        None => {
            daemon::run(Config::load(cli.flags, environment)?)?;
            Ok(ExitCode::SUCCESS)
        }
    })
}
