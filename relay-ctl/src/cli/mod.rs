//! The command line: what can be typed, and what it does with the API or, when no daemon answers, the pinned maps.

mod show;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
pub use node::cli::Failure;
use node::config::{NodeFlags, client_token, environment};

use crate::client::{Client, ClientError};
use crate::config::{ChildSpec, Config, ConfigError, DEFAULT_API_PORT, File, Flags};
use crate::kernel::{KernelError, Maps, ModeWanted, Pins, pins};
use crate::top::Source;
use crate::{doctor, report, view};

/// The kernel relay of Media-Tree: copies RTP to its children in XDP or tc, and lets you change them while media flows.
#[derive(Parser)]
#[command(name = "relay-ctl", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attach to an interface and look after the relay until stopped; what is attached goes on forwarding after that
    Attach(Box<Attach>),
    /// End forwarding on an interface and remove everything that was attached and pinned
    Detach {
        /// Interface
        interface: String,
        /// Where data planes are pinned
        #[arg(long, env = "RELAY_PIN_ROOT", default_value = pins::DEFAULT_ROOT)]
        pin_root: PathBuf,
    },
    /// Show the relay's state
    Status(Query),
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
    /// Check what this machine can do and what is missing
    Doctor {
        /// Interface to look at
        interface: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// Shell
        shell: Shell,
    },
}

#[derive(clap::Args)]
struct Attach {
    /// Interface that media comes in on
    interface: String,
    #[command(flatten)]
    node: NodeFlags,
    /// Which data plane [default: auto]
    #[arg(long, env = "RELAY_MODE", value_enum)]
    mode: Option<ModeWanted>,
    /// Child NAME=HOST:AUDIO:VIDEO (IPv6 in brackets), for a relay without Redis; repeatable
    #[arg(long = "child", value_name = "NAME=HOST:AUDIO:VIDEO")]
    children: Vec<String>,
    /// Where media comes in, [ADDRESS:]AUDIO:VIDEO; RTCP is the port after each [default: 5002:5004]
    #[arg(long, env = "RELAY_LISTEN", value_name = "[ADDRESS:]AUDIO:VIDEO")]
    listen: Option<String>,
    /// TOML file with the same settings; flags win
    #[arg(long, env = "RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// When the interface is gone, one whose name begins so takes its place: in a container whose network is disconnected
    /// and connected again, eth0 comes back as eth1
    #[arg(long, env = "RELAY_STAND_IN", value_name = "PREFIX")]
    stand_in: Option<String>,
    /// Counts neither streams nor children, for the benchmark that says what that costs
    #[arg(long, hide = true)]
    without_statistics: bool,
    /// Address of the HTTP API [default: 127.0.0.1:7071, with a token 0.0.0.0:7071; API_PORT changes the port]
    #[arg(long, env = "RELAY_API")]
    api: Option<SocketAddr>,
    /// Where the data plane is pinned [default: /sys/fs/bpf/media-tree]
    #[arg(long, env = "RELAY_PIN_ROOT")]
    pin_root: Option<PathBuf>,
    /// Log level or filter: off, error, warn, info, debug, trace [default: info]
    #[arg(long, env = "RELAY_LOG")]
    log: Option<String>,
    /// RTP port for audio, when --listen is not given
    #[arg(long, env = "RTP_AUDIO_PORT", hide = true)]
    rtp_audio_port: Option<u16>,
    /// RTP port for video, when --listen is not given
    #[arg(long, env = "RTP_VIDEO_PORT", hide = true)]
    rtp_video_port: Option<u16>,
}

#[derive(clap::Args)]
struct Query {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
    /// Interface whose pinned maps are read when no daemon answers
    #[arg(long)]
    interface: Option<String>,
    /// Where data planes are pinned
    #[arg(long, env = "RELAY_PIN_ROOT", default_value = pins::DEFAULT_ROOT)]
    pin_root: PathBuf,
}

#[derive(clap::Args)]
struct At {
    /// Address of the daemon's HTTP API [default: 127.0.0.1:7071; API_PORT changes the port]
    #[arg(long, env = "RELAY_API")]
    api: Option<SocketAddr>,
    /// File with the daemon's token [env: API_TOKEN_FILE, or the token itself: API_TOKEN]
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<PathBuf>,
}

impl At {
    fn client(&self) -> Result<Client, Failure> {
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
enum ChildCommand {
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
        name: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(clap::Args)]
struct Route {
    /// SSRC, decimal or 0x…
    #[arg(value_parser = ssrc)]
    ssrc: u32,
    /// RTP port that the stream comes in on
    #[arg(long)]
    port: u16,
    /// The stream's own children, by name
    #[arg(long, value_delimiter = ',', required_unless_present = "all")]
    children: Option<Vec<String>>,
    /// Back to all children
    #[arg(long, conflicts_with = "children")]
    all: bool,
    #[command(flatten)]
    at: At,
}

#[derive(clap::Args)]
struct Capture {
    /// Only this SSRC, decimal or 0x…
    #[arg(long, value_parser = ssrc)]
    ssrc: Option<u32>,
    /// Only streams that come in on this RTP port
    #[arg(long)]
    port: Option<u16>,
    /// End after so many packets
    #[arg(long)]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// File to write, or - for standard output (`relay-ctl capture -w - | tcpdump -n -r -`)
    #[arg(short, default_value = "-")]
    w: PathBuf,
    #[command(flatten)]
    at: At,
}

fn ssrc(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "an SSRC is a number from 0 to 4294967295, decimal or 0x…".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "write seconds, from 0.1 to 3600".to_owned())
}

fn top(query: Query, interval: Duration) -> Result<ExitCode, Failure> {
    let client = query.at.client()?;
    let source = Source { client, interface: query.interface, pin_root: query.pin_root };
    match query.json {
        true => crate::top::once(&source, interval)?,
        false => crate::top::live(source, interval)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        Failure::Other(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Other(error.to_string())
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    node::cli::main(|cli: Cli| run(cli.command))
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Attach(attach) => crate::daemon::run(configuration(*attach)?).map(|()| ExitCode::SUCCESS),
        Command::Detach { interface, pin_root } => detach(&interface, &pin_root),
        Command::Status(query) => {
            let status = fetch(&query, "/status", report::status)?;
            show::print(query.json, &status, show::status)
        }
        Command::Children(query) => {
            let children =
                fetch(&query, "/children", |maps, _| view::Children { children: report::children(maps) })?;
            show::print(query.json, &children, show::children)
        }
        Command::Streams(query) => {
            let streams =
                fetch(&query, "/streams", |maps, _| view::Streams { streams: report::streams(maps) })?;
            show::print(query.json, &streams, show::streams)
        }
        Command::Top { query, interval } => top(query, interval),
        Command::Child(ChildCommand::Add { child, json, at }) => add_child(&child, json, &at),
        Command::Child(ChildCommand::Remove { name, at }) => {
            at.client()?.delete(&format!("/children/{}", encoded(&name)))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Route(route) => {
            let children = if route.all { None } else { route.children };
            let body = view::Route { ssrc: route.ssrc, port: route.port, children };
            route.at.client()?.post("/routes", &body)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Capture(capture) => self::capture(&capture),
        Command::Doctor { interface, json } => {
            let findings = doctor::examine(interface.as_deref());
            let sound = findings.iter().all(|finding| finding.ok || finding.optional);
            show::print(json, &findings, |findings| show::findings(findings))?;
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "relay-ctl", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn configuration(attach: Attach) -> Result<Config, Failure> {
    let file = match &attach.config {
        Some(path) => File::read(path)?,
        None => File::default(),
    };
    let [audio, video] = crate::config::DEFAULT_PORTS;
    let ports = (attach.rtp_audio_port.is_some() || attach.rtp_video_port.is_some()).then(|| {
        format!("{}:{}", attach.rtp_audio_port.unwrap_or(audio), attach.rtp_video_port.unwrap_or(video))
    });
    let flags = Flags {
        node: attach.node,
        mode: attach.mode,
        listen: attach.listen.or(ports),
        api: attach.api,
        pin_root: attach.pin_root,
        log: attach.log,
        stand_in: attach.stand_in,
        without_statistics: attach.without_statistics,
        children: attach.children,
    };
    Ok(Config::new(&attach.interface, flags, environment, file)?)
}

fn detach(interface: &str, pin_root: &Path) -> Result<ExitCode, Failure> {
    if Pins::new(pin_root, interface).remove()? {
        println!("{interface}: detached; no longer forwarding");
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Other(format!(
        "nothing is attached to {interface} ({}); `relay-ctl status` lists what is",
        pin_root.join(interface).display()
    )))
}

/// From the daemon, or from the pinned maps when it is down.
fn fetch<T: serde::de::DeserializeOwned>(
    query: &Query,
    path: &str,
    from_maps: impl Fn(&Maps, &Pins) -> T,
) -> Result<T, Failure> {
    let client = query.at.client()?;
    let down = match client.get(path) {
        Ok(answer) => return Ok(answer),
        Err(error @ ClientError::NotRunning { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    let (pins, maps) = report::pinned(&query.pin_root, query.interface.as_deref())
        .map_err(|error| Failure::Other(format!("{down}; {error}")))?;
    eprintln!("relay-ctl: no daemon answers on {}; read from {}", client.api(), pins.versioned().display());
    Ok(from_maps(&maps, &pins))
}

fn add_child(text: &str, json: bool, at: &At) -> Result<ExitCode, Failure> {
    let spec: ChildSpec = text.parse()?;
    let [audio_port, video_port] = spec.ports;
    let body = view::NewChild { name: spec.name, host: spec.host, audio_port, video_port };
    let client = at.client()?;
    let answer = client.post("/children", &body)?.unwrap_or_default();
    let child: view::Child = serde_json::from_value(answer)
        .map_err(|error| Failure::Other(format!("unexpected answer from {}: {error}", client.api())))?;
    show::print(json, &child, show::added)
}

fn capture(capture: &Capture) -> Result<ExitCode, Failure> {
    let mut query: Vec<String> = Vec::new();
    let mut push = |key: &str, value: Option<u64>| query.extend(value.map(|value| format!("{key}={value}")));
    push("ssrc", capture.ssrc.map(u64::from));
    push("port", capture.port.map(u64::from));
    push("count", capture.count);
    push("seconds", capture.seconds);
    let mut from = capture.at.client()?.stream(&format!("/capture?{}", query.join("&")))?;
    let mut to: Box<dyn Write> = if capture.w == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        let create = std::fs::File::create(&capture.w);
        Box::new(
            create
                .map_err(|error| Failure::Other(format!("cannot write {}: {error}", capture.w.display())))?,
        )
    };
    let mut buffer = [0; 65536];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(ExitCode::SUCCESS),
            Ok(length) => length,
            Err(error) => return Err(Failure::Other(format!("the capture broke off: {error}"))),
        };
        // tcpdump at the other end of a pipe may leave when it has seen enough.
        if to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// A name as part of a path.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
