//! The command line.

use std::process::ExitCode;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use clap::{Args, Parser, Subcommand};
use node::asking::{Asking, Unheard};
use node::cli::{Failure, printable};
use node::config::{ClientConfig, ConfigError, environment};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Approval;
use crate::app::Status;
use crate::config::{Config, DEFAULT_API_PORT, Flags, ScalerSettings};
use crate::journal::Entry;
use crate::keeper::Planned;
use crate::{daemon, show, simulate};

/// How long a scaler may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Exit code of `status` when what was asked about is not well, …
const NOT_HEALTHY: u8 = 1;
/// … and when that cannot be told.
const UNKNOWN: u8 = 2;

/// The scaling controller of Media-Tree: egresses and relays come and go with the audience.
#[derive(Parser)]
#[command(name = "scaler", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look after trees until told to stop
    Run {
        #[command(flatten)]
        flags: Flags,
    },
    /// Say who leads, how the trees are, and what is being done. Exit code 1: not healthy; 2: nobody says
    Status {
        #[command(flatten)]
        at: At,
    },
    /// Say what would be done now; nothing is
    Plan {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        tree: Tree,
    },
    /// Say what was done
    History {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        tree: Tree,
        /// How much of it, the latest
        #[arg(long, default_value = "50")]
        count: usize,
    },
    /// Have something done that waits for approval, or left
    Approve {
        /// Name of the action, as `scaler status` has it
        #[arg(value_name = "ACTION")]
        action: String,
        /// Have it left
        #[arg(long)]
        refuse: bool,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        tree: Tree,
    },
    /// Try what is decided on a modelled tree, hours in seconds. Exit code 1: something happened that must not
    Simulate {
        #[command(flatten)]
        what: simulate::Arguments,
    },
}

/// Which scaler is asked; any of those of a tree will do.
#[derive(Args)]
struct At {
    /// HTTP API of a scaler [default: 127.0.0.1:7078] [env: API, API_PORT]
    #[arg(long, value_name = "ADDRESS:PORT")]
    api: Option<String>,
    /// File with its token [env: API_TOKEN_FILE, or the token itself: API_TOKEN]
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Tree {
    /// Tree; may be left out where there is one
    #[arg(long = "tree", value_name = "NAME")]
    name: Option<String>,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| match cli.command {
        Command::Run { flags } => {
            daemon::run(Config::load(flags, environment)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { at } => {
            let status: Status = match at.ask(Method::GET, "/status", None::<&()>) {
                Err(Failure::Other(why)) => {
                    eprintln!("scaler: {}", printable(&why));
                    return Ok(ExitCode::from(UNKNOWN));
                }
                said => said?,
            };
            at.print(&status, show::status)?;
            Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::from(NOT_HEALTHY) })
        }
        Command::Plan { at, tree } => {
            let plan: Planned = at.ask(Method::GET, &format!("/plan{}", tree.query("?")), None::<&()>)?;
            at.print(&plan, show::plan)
        }
        Command::History { at, tree, count } => {
            let path = format!("/history?count={count}{}", tree.query("&"));
            let entries: Vec<Entry> = at.ask(Method::GET, &path, None::<&()>)?;
            at.print(&entries, |entries| show::history(entries))
        }
        Command::Approve { action, refuse, at, tree } => {
            let approval = Approval { tree_id: tree.name, action, approve: !refuse };
            let done: Approval = at.ask(Method::POST, "/approvals", Some(&approval))?;
            at.print(&done, |done| {
                let word = if done.approve { "is done" } else { "is left" };
                format!("{} {word} from the next look on\n", done.action)
            })
        }
        Command::Simulate { what } => {
            simulate::run(&what).map_err(|error| Failure::Other(format!("{error:#}")))?;
            Ok(ExitCode::SUCCESS)
        }
    })
}

impl Tree {
    /// Behind a path.
    fn query(&self, sign: &str) -> String {
        let escaped = |name: &String| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            name.bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect::<String>()
        };
        self.name.as_ref().map_or_else(String::new, |name| format!("{sign}tree={}", escaped(name)))
    }
}

impl At {
    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let given = [("--api", &self.api), ("--api-token-file", &self.api_token_file)];
        let flags: Vec<String> = given
            .into_iter()
            .filter_map(|(flag, value)| Some([flag.to_owned(), value.clone()?]))
            .flatten()
            .collect();
        let ClientConfig { api, token, warnings } =
            node::config::client::<ScalerSettings>(&flags, environment, DEFAULT_API_PORT)?;
        for warning in warnings {
            eprintln!("scaler: {warning}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Other(format!("no runtime: {error}")))?;
        let asking = Asking::new(token, PATIENCE);
        let answer = runtime.block_on(asking.ask(method, &format!("http://{api}{path}"), body));
        answer.map_err(|error| match &error {
            // There is no such tree or action, or it has to be said which; `/status` asks for neither.
            Unheard::Refused { status: StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND, .. }
                if path != "/status" =>
            {
                ConfigError(error.to_string()).into()
            }
            _ => Failure::Other(error.to_string()),
        })
    }

    fn print<T: Serialize>(&self, value: &T, words: impl FnOnce(&T) -> String) -> Result<ExitCode, Failure> {
        match self.json {
            true => {
                let text = serde_json::to_string_pretty(value);
                println!("{}", text.map_err(|error| Failure::Other(error.to_string()))?);
            }
            // What was read may have been written by anybody.
            false => print!("{}", printable(&words(value))),
        }
        Ok(ExitCode::SUCCESS)
    }
}
