//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::{ArgValueCandidates, Shell};
use node::cli::Failure;
use node::config::environment;

use super::completion::{children, interfaces};
use super::tree::TreeArgs;
use crate::client::Client;
use crate::config::{DEFAULT_API_PORT, Flags, RelaySettings};
use crate::kernel::pins;

/// The kernel relay of Media-Tree: copies RTP to its children in XDP or tc, and lets you change them while media flows.
#[derive(Parser)]
#[command(name = "relay-ctl", version)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Run the relay daemon. Forwarding continues after it stops (but not in userspace mode); `detach` ends it
    Attach(Box<Attach>),
    /// End forwarding on an interface and remove everything that was attached and pinned
    Detach {
        /// Interface
        #[arg(add = ArgValueCandidates::new(interfaces))]
        interface: String,
        /// Where data planes are pinned
        #[arg(long, env = "PIN_ROOT", default_value_os_t = pin_root())]
        pin_root: PathBuf,
    },
    /// Show the relay's state. Exit code 0: healthy; 1: not healthy; 2: nobody answers and nothing is attached
    Status {
        #[command(flatten)]
        query: Query,
        /// Wait until the relay is healthy, or until --timeout [then 60 by default]
        #[arg(long)]
        wait: bool,
    },
    /// Show the children and their counters
    Children(Query),
    /// Show the streams: loss, reordering, duplicates, jitter
    Streams(Query),
    /// Watch rates, loss and jitter live
    Top {
        #[command(flatten)]
        query: Query,
        /// Seconds between two readings
        #[arg(long, default_value = "1", value_parser = interval)]
        interval: Duration,
    },
    /// Add or remove a child
    #[command(subcommand)]
    Child(ChildCommand),
    /// Give a stream a fan-out set of its own, or the set of all children back
    Route(Route),
    /// Write packets and their copies as pcap, also where tcpdump sees nothing
    Capture(Capture),
    /// Show what the pinned maps hold, decoded: all that packets meet. Asks no daemon
    Maps {
        /// Only these maps (CHILDREN, SETS …)
        map: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Interface, when several are attached to
        #[arg(long, add = ArgValueCandidates::new(interfaces))]
        interface: Option<String>,
        /// Where data planes are pinned
        #[arg(long, env = "PIN_ROOT", default_value_os_t = pin_root())]
        pin_root: PathBuf,
    },
    /// Show the whole tree, from any machine that reaches its Redis or one of its nodes; drain a node, move one
    Tree(TreeArgs),
    /// Check what this machine can do and what is missing
    Doctor {
        /// Interface to check
        #[arg(add = ArgValueCandidates::new(interfaces))]
        interface: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Where data planes are pinned
        #[arg(long, env = "PIN_ROOT", default_value_os_t = pin_root())]
        pin_root: PathBuf,
    },
    /// Print a completion script for a shell
    Completions {
        /// Shell
        shell: Shell,
    },
}

#[derive(clap::Args)]
pub(super) struct Attach {
    /// Interface that media comes in on
    #[arg(add = ArgValueCandidates::new(interfaces))]
    pub interface: String,
    #[command(flatten)]
    pub flags: Flags,
    /// Counts neither streams nor children, for the benchmark that says what that costs
    #[arg(long, hide = true)]
    pub without_statistics: bool,
}

#[derive(clap::Args)]
pub(super) struct Query {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub at: At,
    /// Interface whose pinned maps are read when no daemon answers
    #[arg(long, add = ArgValueCandidates::new(interfaces))]
    pub interface: Option<String>,
    /// Where data planes are pinned
    #[arg(long, env = "PIN_ROOT", default_value_os_t = pin_root())]
    pub pin_root: PathBuf,
    /// Seconds to wait for an answer [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub timeout: Option<Duration>,
}

impl Query {
    /// The daemon, and how long it may take.
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(self.at.client()?.patient_for(self.timeout.unwrap_or(ANSWER)))
    }
}

/// A daemon that takes longer does not answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct At {
    /// Address of the daemon's HTTP API [default: 127.0.0.1:7071; API_PORT changes the port] [env: API]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub api: Option<SocketAddr>,
    /// File with the daemon's token [env: API_TOKEN_FILE, or the token itself: API_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<String>,
}

impl At {
    pub fn client(&self) -> Result<Client, Failure> {
        let api = self.api.map(|api| ["--api".to_owned(), api.to_string()]);
        let token = self.api_token_file.clone().map(|file| ["--api-token-file".to_owned(), file]);
        let flags: Vec<String> = api.into_iter().chain(token).flatten().collect();
        let config = node::config::client::<RelaySettings>(&flags, environment, DEFAULT_API_PORT)?;
        for warning in &config.warnings {
            eprintln!("relay-ctl: {warning}");
        }
        Ok(Client::new(config.api, config.token))
    }
}

/// Where data planes are pinned unless told otherwise; the variable's old name is none that clap knows.
fn pin_root() -> PathBuf {
    let old = environment("RELAY_PIN_ROOT").filter(|folder| !folder.is_empty());
    old.unwrap_or_else(|| pins::DEFAULT_ROOT.to_owned()).into()
}

#[derive(Subcommand)]
pub(super) enum ChildCommand {
    /// Add a child; returns when it is forwarded to, or says that it is still resolving
    Add {
        /// NAME=HOST:AUDIO:VIDEO
        child: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Remove a child
    Remove {
        /// Name
        #[arg(add = ArgValueCandidates::new(children))]
        name: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(clap::Args)]
pub(super) struct Route {
    /// SSRC, decimal or 0x…
    #[arg(value_parser = ssrc)]
    pub ssrc: u32,
    /// RTP port that the stream comes in on
    #[arg(long)]
    pub port: u16,
    /// The stream's own children, by name
    #[arg(
        long,
        value_delimiter = ',',
        required_unless_present = "all",
        add = ArgValueCandidates::new(children)
    )]
    pub children: Option<Vec<String>>,
    /// Back to all children
    #[arg(long, conflicts_with = "children")]
    pub all: bool,
    #[command(flatten)]
    pub at: At,
}

#[derive(clap::Args)]
pub(super) struct Capture {
    /// Only this SSRC, decimal or 0x…
    #[arg(long, value_parser = ssrc)]
    pub ssrc: Option<u32>,
    /// Only streams that come in on this RTP port
    #[arg(long)]
    pub port: Option<u16>,
    /// End after so many packets
    #[arg(long)]
    pub count: Option<u64>,
    /// End after so many seconds
    #[arg(long)]
    pub seconds: Option<u64>,
    /// File to write, or - for standard output (`relay-ctl capture -w - | tcpdump -n -r -`)
    #[arg(short, default_value = "-")]
    pub w: PathBuf,
    #[command(flatten)]
    pub at: At,
}

pub(super) fn ssrc(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "an SSRC is a number from 0 to 4294967295, decimal or 0x…".to_owned())
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "write seconds, from 0.1 to 3600".to_owned())
}
