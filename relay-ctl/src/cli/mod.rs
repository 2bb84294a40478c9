//! The command line: what it does with the API or, when no daemon answers, the pinned maps.

mod arguments;
mod completion;
mod maps;
mod show;
mod tree;

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use node::cli::Failure;
use node::config::environment;

use self::arguments::{At, Attach, Capture, ChildCommand, Cli, Command, Query};
use crate::client::ClientError;
use crate::config::{ChildSpec, Config, ConfigError};
use crate::kernel::{KernelError, Maps, Pins};
use crate::top::Source;
use crate::{doctor, report, view};

pub(crate) use show::printable;

fn top(query: Query, interval: Duration) -> Result<ExitCode, Failure> {
    let client = query.client()?;
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
    completion::answer();
    node::cli::main(|cli: Cli| {
        if !matches!(cli.command, Command::Attach(_)) {
            end_with_the_reader();
        }
        run(cli.command)
    })
}

/// In a pipe whose reader has enough (`relay-ctl maps | head`) a command ends in silence, as others do.
fn end_with_the_reader() {
    // SAFETY: the default action is no handler; nothing else in this process has one for it.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Attach(attach) => crate::daemon::run(configuration(*attach)?).map(|()| ExitCode::SUCCESS),
        Command::Detach { interface, pin_root } => detach(&interface, &pin_root),
        Command::Status { query, wait } => Ok(status(&query, wait)?),
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
        Command::Maps { map, json, interface, pin_root } => {
            let (_, maps) = report::pinned(&pin_root, interface.as_deref())
                .map_err(|why| Failure::Other(why.trim_start_matches("and ").to_owned()))?;
            let contents = maps::contents(&maps, &map).map_err(ConfigError)?;
            show::print(json, &contents, |contents| show::maps(contents))
        }
        Command::Doctor { interface, json, pin_root } => {
            let findings = doctor::examine(interface.as_deref(), &pin_root);
            show::print(json, &findings, |findings| node::doctor::text(findings))?;
            Ok(node::doctor::verdict(&findings))
        }
        Command::Tree(arguments) => tree::run(arguments),
        Command::Completions { shell } => completion::script(shell).map(|()| ExitCode::SUCCESS),
    }
}

fn configuration(attach: Attach) -> Result<Config, Failure> {
    let mut config = Config::load(&attach.interface, attach.flags, environment)?;
    config.constants.statistics = !attach.without_statistics;
    Ok(config)
}

fn detach(interface: &str, pin_root: &Path) -> Result<ExitCode, Failure> {
    let pins = Pins::new(pin_root, interface);
    end_daemon(&pins)?;
    if pins.remove()? {
        println!("{interface}: detached; no longer forwarding");
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Other(format!(
        "nothing is attached to {interface} ({}); `relay-ctl status` lists what is; a relay in userspace mode ends with its daemon: stop that",
        pins.folder().display()
    )))
}

/// Ends the daemon that manages the interface: without it in force, whoever attaches next finds port and lock free, and
/// nobody adds children to what is gone. One that cannot be seen from here notices within seconds and ends by itself.
fn end_daemon(pins: &Pins) -> Result<(), Failure> {
    let Some(pid) = pins.keeper() else { return Ok(()) };
    let process = i32::try_from(pid).map(Pid::from_raw).map_err(|error| Failure::Other(error.to_string()))?;
    kill(process, Signal::SIGTERM).map_err(|error| {
        Failure::Other(format!("cannot stop relay-ctl (PID {pid}): {error}; run this as root"))
    })?;
    let deadline = Instant::now() + DAEMON_ENDS;
    while pins.keeper() == Some(pid) {
        if Instant::now() > deadline {
            return Err(Failure::Other(format!(
                "relay-ctl (PID {pid}) does not stop; end it with `kill -9 {pid}`, then try again"
            )));
        }
        std::thread::sleep(POLL / 10);
    }
    println!("{}: stopped relay-ctl (PID {pid})", pins.interface());
    Ok(())
}

/// From the daemon, or from the pinned maps when it is down.
fn fetch<T: serde::de::DeserializeOwned>(
    query: &Query,
    path: &str,
    from_maps: impl Fn(&Maps, &Pins) -> T,
) -> Result<T, Failure> {
    let client = query.client()?;
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

/// `status`: not healthy has a code of its own, and so has knowing nothing.
const NOT_HEALTHY: u8 = 1;
const UNKNOWN: u8 = 2;

/// How long `status --wait` waits unless told otherwise, and how often it asks.
const WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// How long a daemon has to end; it leaves its tree first.
const DAEMON_ENDS: Duration = Duration::from_secs(10);

fn status(query: &Query, wait: bool) -> Result<ExitCode, Failure> {
    let deadline = Instant::now() + query.timeout.unwrap_or(WAIT);
    loop {
        let fetched = status_now(query);
        let healthy = fetched.as_ref().is_ok_and(|status| status.healthy);
        if wait && !healthy && Instant::now() < deadline && !matches!(fetched, Err(Failure::Config(_))) {
            std::thread::sleep(POLL);
            continue;
        }
        let status = match fetched {
            Ok(status) => status,
            Err(Failure::Other(why)) => {
                eprintln!("relay-ctl: {}", printable(&why));
                return Ok(ExitCode::from(UNKNOWN));
            }
            Err(error) => return Err(error),
        };
        show::print(query.json, &status, show::status)?;
        return Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::from(NOT_HEALTHY) });
    }
}

/// From the daemon, or from the pinned maps when it is down or says nothing: what is attached forwards either way.
fn status_now(query: &Query) -> Result<view::Status, Failure> {
    match query.client()?.get("/status") {
        Err(silent @ ClientError::Silent { .. }) => {
            let (pins, maps) = report::pinned(&query.pin_root, query.interface.as_deref())
                .map_err(|_| Failure::from(silent.clone()))?;
            let mut status = report::status(&maps, &pins);
            status.healthy = false;
            status.problems.push(silent.to_string());
            Ok(status)
        }
        Err(ClientError::NotRunning { .. }) => fetch(query, "/status", report::status),
        answer => Ok(answer?),
    }
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
    let to_stdout = capture.w == Path::new("-");
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(ConfigError(
            "a capture is binary and would garble the terminal; write it to a file (-w FILE), or read it with \
             `relay-ctl capture -w - | tcpdump -n -r -`"
                .to_owned(),
        )
        .into());
    }
    let mut query: Vec<String> = Vec::new();
    let mut push = |key: &str, value: Option<u64>| query.extend(value.map(|value| format!("{key}={value}")));
    push("ssrc", capture.ssrc.map(u64::from));
    push("port", capture.port.map(u64::from));
    push("count", capture.count);
    push("seconds", capture.seconds);
    let mut from = capture.at.client()?.stream(&format!("/capture?{}", query.join("&")))?;
    let mut to: Box<dyn Write> = if to_stdout {
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
