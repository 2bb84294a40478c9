//! What can be typed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::{ArgValueCandidates, Shell};
use node::cli::Failure;
use node::config::{NodeFlags, client_token, environment};

use super::completion::{children, interfaces};
use crate::client::Client;
use crate::config::{ConfigError, DEFAULT_API_PORT};
use crate::kernel::{ModeWanted, pins};

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
        #[arg(long, env = "RELAY_PIN_ROOT", default_value = pins::DEFAULT_ROOT)]
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
        /// Seconds between two looks
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
        #[arg(long, env = "RELAY_PIN_ROOT", default_value = pins::DEFAULT_ROOT)]
        pin_root: PathBuf,
    },
    /// Check what this machine can do and what is missing
    Doctor {
        /// Interface to look at
        #[arg(add = ArgValueCandidates::new(interfaces))]
        interface: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Where data planes are pinned
        #[arg(long, env = "RELAY_PIN_ROOT", default_value = pins::DEFAULT_ROOT)]
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
    pub node: NodeFlags,
    /// Which data plane [default: auto]
    #[arg(long, env = "RELAY_MODE", value_enum)]
    pub mode: Option<ModeWanted>,
    /// Child NAME=HOST:AUDIO:VIDEO (IPv6 in brackets), for a relay without Redis; repeatable
    #[arg(long = "child", value_name = "NAME=HOST:AUDIO:VIDEO")]
    pub children: Vec<String>,
    /// Where media comes in, [ADDRESS:]AUDIO:VIDEO; RTCP is the port after each [default: 5002:5004]
    #[arg(long, env = "RELAY_LISTEN", value_name = "[ADDRESS:]AUDIO:VIDEO")]
    pub listen: Option<String>,
    /// Where media is taken from: an address or ADDRESS/BITS, IPv4 or IPv6; repeatable. In a tree besides from the parent
    /// [default: from anybody, in a tree from the parent]
    #[arg(long = "source", env = "RELAY_SOURCES", value_name = "CIDR", value_delimiter = ',')]
    pub sources: Vec<String>,
    /// TOML file with the same settings; flags win
    #[arg(long, env = "RELAY_CONFIG")]
    pub config: Option<PathBuf>,
    /// When the interface is gone, one whose name begins so takes its place: in a container whose network is disconnected
    /// and connected again, eth0 comes back as eth1
    #[arg(long, env = "RELAY_STAND_IN", value_name = "PREFIX")]
    pub stand_in: Option<String>,
    /// In xdp, how many CPUs copy (4) or which (0,2 or 4-7): each stream belongs to one of them, chosen by its SSRC. For cards
    /// that bring all of a relay's media to one CPU [default: the CPU that a packet comes in on]
    #[arg(long, env = "RELAY_CPUS", value_name = "N|LIST")]
    pub cpus: Option<String>,
    /// Counts neither streams nor children, for the benchmark that says what that costs
    #[arg(long, hide = true)]
    pub without_statistics: bool,
    /// Address of the HTTP API [default: 127.0.0.1:7071, with a token 0.0.0.0:7071; API_PORT changes the port]
    #[arg(long, env = "RELAY_API")]
    pub api: Option<SocketAddr>,
    /// Where the data plane is pinned [default: /sys/fs/bpf/media-tree]
    #[arg(long, env = "RELAY_PIN_ROOT")]
    pub pin_root: Option<PathBuf>,
    /// Log level or filter: off, error, warn, info, debug, trace [default: info]
    #[arg(long, env = "RELAY_LOG")]
    pub log: Option<String>,
    /// RTP port for audio, when --listen is not given
    #[arg(long, env = "RTP_AUDIO_PORT", hide = true)]
    pub rtp_audio_port: Option<u16>,
    /// RTP port for video, when --listen is not given
    #[arg(long, env = "RTP_VIDEO_PORT", hide = true)]
    pub rtp_video_port: Option<u16>,
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
    #[arg(long, env = "RELAY_PIN_ROOT", default_value = pins::DEFAULT_ROOT)]
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
    /// Address of the daemon's HTTP API [default: 127.0.0.1:7071; API_PORT changes the port]
    #[arg(long, env = "RELAY_API")]
    pub api: Option<SocketAddr>,
    /// File with the daemon's token [env: API_TOKEN_FILE, or the token itself: API_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,
}

impl At {
    pub fn client(&self) -> Result<Client, Failure> {
        let env = |name: &str| environment(name).filter(|value| !value.is_empty());
        let api = match (self.api, env("API_PORT")) {
            (Some(api), _) => api,
            (None, None) => (Ipv4Addr::LOCALHOST, DEFAULT_API_PORT).into(),
            (None, Some(port)) => match port.parse() {
                Ok(port) if port != 0 => (Ipv4Addr::LOCALHOST, port).into(),
                _ => return Err(ConfigError(format!("API_PORT '{port}' is no port from 1 to 65535")).into()),
            },
        };
        let (token, warnings) = client_token(self.api_token_file.clone(), env)?;
        for warning in warnings {
            eprintln!("relay-ctl: {warning}");
        }
        Ok(Client::new(api, token))
    }
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
