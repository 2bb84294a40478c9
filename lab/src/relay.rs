//! [`RelayProcess`] and [`RelayCli`]: the relay's daemon and command line, used as people use them, as programs.
//!
//! Nothing here knows the relay's code: what it says on stdout, stderr and in its exit code is all there is.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};

pub use crate::json::Json;
use crate::netns::Lab;
use crate::node;
use crate::process::Process;

/// RTP port for audio, the relay's default and the children's here.
pub const AUDIO: u16 = 5002;
/// RTP port for video, the relay's default and the children's here.
pub const VIDEO: u16 = 5004;
/// Exit code of bad configuration (sysexits.h, EX_USAGE).
pub const BAD_CONFIGURATION: i32 = 64;

const READY_TIMEOUT: Duration = Duration::from_secs(15);
const CHILDREN_TIMEOUT: Duration = Duration::from_secs(10);
/// A command that takes longer is killed: one that should have been refused but was not would run for ever.
const COMMAND_LIMIT: &str = "20";
const POLL: Duration = Duration::from_millis(5);

/// What `--mode` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The best that works.
    Auto,
    /// XDP ingress and devmap program.
    Xdp,
    /// tcx ingress.
    Tc,
    /// Sockets in the daemon.
    Userspace,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Auto => "auto",
            Mode::Xdp => "xdp",
            Mode::Tc => "tc",
            Mode::Userspace => "userspace",
        })
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Mode::Auto, Mode::Xdp, Mode::Tc, Mode::Userspace]
            .into_iter()
            .find(|mode| mode.to_string() == text)
            .with_context(|| format!("no mode {text}; use auto, xdp, tc or userspace"))
    }
}

/// Where the program is: `$RELAY_CTL`, or beside the one that runs.
pub fn relay_ctl() -> PathBuf {
    node::built("relay-ctl")
}

/// A script of the repository.
pub fn script(name: &str) -> PathBuf {
    workspace().join("scripts").join(name)
}

/// The repository.
pub fn workspace() -> &'static Path {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.parent().unwrap_or(lab)
}

/// `NAME=HOST:AUDIO:VIDEO` with the usual ports; the address' own port plays no part.
pub fn child_argument(name: &str, address: SocketAddr) -> String {
    let host = match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    format!("{name}={host}:{AUDIO}:{VIDEO}")
}

/// The command line in one namespace, for one pin directory.
#[derive(Clone)]
pub struct RelayCli<'lab> {
    lab: &'lab Lab,
    ns: String,
    environment: Vec<(String, String)>,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Exit code; `None` after a signal (137 when it was killed because it did not end).
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl<'lab> RelayCli<'lab> {
    /// The command line in a namespace.
    pub fn new(lab: &'lab Lab, ns: &str) -> Self {
        Self { lab, ns: ns.to_owned(), environment: Vec::new() }
    }

    /// The same with a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The pin directory that is given to every command that takes one.
    pub fn pin_root(&self) -> PathBuf {
        self.lab.bpffs().join(format!("{}-media-tree", self.ns))
    }

    /// The program and its arguments, to be spawned.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(relay_ctl());
        command.args(arguments);
        const PINNED: &[&str] = &["attach", "detach", "status", "children", "streams", "doctor", "maps"];
        if arguments.first().is_some_and(|command| PINNED.contains(command)) {
            command.arg("--pin-root").arg(self.pin_root());
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        self.run_command(self.command(arguments))
            .with_context(|| format!("running relay-ctl {}", arguments.join(" ")))
    }

    /// Runs a command to its end without root and without any capability.
    pub fn run_unprivileged(&self, arguments: &[&str]) -> Result<Answer> {
        self.run_command(unprivileged(&self.command(arguments)))
    }

    fn run_command(&self, command: Command) -> Result<Answer> {
        let output = self
            .lab
            .command(&self.ns, "timeout")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(["--signal=KILL", COMMAND_LIMIT])
            .arg(command.get_program())
            .args(command.get_args())
            .output()?;
        Ok(Answer {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that has to succeed; gives its stdout.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.run(arguments)?;
        ensure!(answer.code == Some(0), "relay-ctl {}: {answer:?}", arguments.join(" "));
        Ok(answer.stdout)
    }

    /// Runs `status`, `children` or `streams` with `--json`. A status that is not healthy is one, too.
    pub fn json(&self, what: &str) -> Result<Json> {
        let answer = self.run(&[what, "--json"])?;
        let fine = answer.code == Some(0) || (what == "status" && answer.code == Some(1));
        ensure!(fine, "relay-ctl {what} --json: {answer:?}");
        answer.stdout.parse().with_context(|| format!("{what} --json printed {}", answer.stdout))
    }

    /// The children that are being forwarded to, by name, as far as anybody answers.
    pub fn forwarding(&self) -> Vec<String> {
        let Ok(answer) = self.json("children") else { return Vec::new() };
        let children = answer["children"].list().iter();
        children
            .filter(|child| child["state"].text() == "forwarding")
            .map(|child| child["name"].text().to_owned())
            .collect()
    }

    /// Waits until a daemon answers and no child is being resolved any more.
    pub fn wait_settled(&self) -> Result<()> {
        let deadline = Instant::now() + CHILDREN_TIMEOUT;
        loop {
            let children = self.json("children")?;
            if children["children"].list().iter().all(|child| child["state"].text() != "resolving") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "still resolving after {CHILDREN_TIMEOUT:?}: {children:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits until so many children are forwarded to.
    pub fn wait_forwarding(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + CHILDREN_TIMEOUT;
        while self.forwarding().len() != count {
            if Instant::now() >= deadline {
                bail!(
                    "not {count} children forwarded to after {CHILDREN_TIMEOUT:?}: {:?}",
                    self.run(&["children"])
                );
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Namespace.
    pub ns: String,
    /// Interface in it.
    pub interface: String,
    /// `--mode`.
    pub mode: Mode,
    /// `--child`, each.
    pub children: Vec<String>,
    /// Anything else.
    pub arguments: Vec<String>,
    /// Environment variables, for what may not stand in a process list.
    pub environment: Vec<(String, String)>,
    /// Without root and without any capability.
    pub unprivileged: bool,
    /// With the capabilities of `deploy/relay-ctl@.service` and no others.
    pub as_service: bool,
    /// Files that the daemon sees in place of others, which nobody else does.
    pub files: Vec<(PathBuf, String)>,
}

impl RelayConfig {
    /// A relay on `eth0` of a namespace.
    pub fn new(ns: &str, mode: Mode, children: Vec<String>) -> Self {
        Self {
            ns: ns.to_owned(),
            interface: "eth0".to_owned(),
            mode,
            children,
            arguments: Vec::new(),
            environment: Vec::new(),
            unprivileged: false,
            as_service: false,
            files: Vec::new(),
        }
    }

    /// The same with a file in place of another, `/etc/hosts` for one: names are the daemon's own then. Written to in
    /// place, it changes for the daemon too.
    pub fn seeing(mut self, file: &Path, over: &str) -> Self {
        self.files.push((file.to_owned(), over.to_owned()));
        self
    }

    /// The same without any rights.
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// The same with the rights that the systemd unit gives.
    pub fn as_service(mut self) -> Self {
        self.as_service = true;
        self
    }

    /// The same with a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same following a Redis at `url`, under a name and an address for others to reach it.
    pub fn following(self, url: &str, node_id: &str, host: IpAddr) -> Self {
        let host = host.to_string();
        self.with(&["--redis", url, "--node-id", node_id, "--tree-id", "tree-1", "--node-host", &host])
    }

    /// The same with more arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }
}

/// A running daemon. Dropping the handle leaves it to the lab, which kills it.
pub struct RelayProcess<'lab> {
    lab: &'lab Lab,
    config: RelayConfig,
    process: Process,
}

impl<'lab> RelayProcess<'lab> {
    /// Starts a daemon and waits until it says that it is ready and forwards to all its children.
    pub fn attach(lab: &'lab Lab, config: RelayConfig) -> Result<Self> {
        let process = start(lab, &config)?;
        let relay = Self { lab, config, process };
        // Who follows Redis has whatever children it says.
        if !relay.config.arguments.iter().any(|argument| argument == "--redis") {
            relay.cli().wait_forwarding(relay.config.children.len())?;
        }
        Ok(relay)
    }

    /// The command line that talks to it.
    pub fn cli(&self) -> RelayCli<'lab> {
        RelayCli::new(self.lab, &self.config.ns)
    }

    /// What the line after `ready:` says.
    pub fn ready(&self) -> Option<String> {
        ready(&self.process)
    }

    /// Its process id, log and so on.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills the daemon; the data plane is none of its business.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Asks it to end.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// Starts it again, with the same arguments, after it has ended.
    pub fn restart(&mut self) -> Result<()> {
        self.process = start(self.lab, &self.config)?;
        Ok(())
    }

    /// Starts it again in another mode.
    pub fn restart_in(&mut self, mode: Mode) -> Result<()> {
        self.config.mode = mode;
        self.restart()
    }

    /// Starts it again with other arguments in place of those given with [`RelayConfig::with`].
    pub fn restart_with(&mut self, arguments: &[&str]) -> Result<()> {
        self.config.arguments.clear();
        self.config = self.config.clone().with(arguments);
        self.restart()
    }

    /// Starts it again without naming children: those that the pinned maps hold are all it shall have.
    pub fn restart_on_pins(&mut self) -> Result<()> {
        self.config.children.clear();
        self.restart()
    }
}

fn start(lab: &Lab, config: &RelayConfig) -> Result<Process> {
    let mode = config.mode.to_string();
    let mut arguments = vec!["attach", &config.interface, "--mode", &mode];
    arguments.extend(config.children.iter().flat_map(|child| ["--child", child.as_str()]));
    arguments.extend(config.arguments.iter().map(String::as_str));
    let program = relay_ctl();
    ensure!(
        program.exists(),
        "{} is not there; build it (`cargo xtask build-ebpf && cargo build --release -p relay-ctl`) or name it in RELAY_CTL",
        program.display()
    );
    let command = RelayCli::new(lab, &config.ns).command(&arguments);
    let mut command = match (config.unprivileged, config.files.is_empty()) {
        (true, _) => unprivileged(&command),
        (false, true) if config.as_service => with_rights_of_service(&command),
        (false, true) => command,
        (false, false) => seeing(&command, &config.files),
    };
    command.envs(config.environment.iter().map(|(name, value)| (name, value)));
    let process = lab.spawn(&config.ns, command)?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while ready(&process).is_none() {
        if process.status()?.is_some() || Instant::now() >= deadline {
            process.kill9()?;
            bail!("relay-ctl {} does not get ready:\n{}", arguments.join(" "), process.tail());
        }
        std::thread::sleep(POLL);
    }
    Ok(process)
}

/// The same command in mounts of its own, with files in place of others.
fn seeing(command: &Command, files: &[(PathBuf, String)]) -> Command {
    let mount = |(file, over): &(PathBuf, String)| format!("mount --bind '{}' '{over}' && ", file.display());
    let script = files.iter().map(mount).collect::<String>() + "exec \"$@\"";
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--mount", "sh", "-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    wrapped
}

/// The same command as user nobody.
fn unprivileged(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
        .arg(command.get_program())
        .args(command.get_args());
    wrapped
}

/// The same command with the capabilities that `deploy/relay-ctl@.service` gives.
fn with_rights_of_service(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped
        .args(["--inh-caps=-all", "--bounding-set=-all,+bpf,+net_admin,+perfmon"])
        .arg(command.get_program())
        .args(command.get_args());
    wrapped
}

fn ready(process: &Process) -> Option<String> {
    process.log().lines().find_map(|line| line.strip_prefix("ready:").map(|rest| rest.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_written_as_the_command_line_wants_them() {
        assert_eq!(child_argument("a", "10.0.0.7:1".parse().unwrap()), "a=10.0.0.7:5002:5004");
        assert_eq!(child_argument("b", "[fd00::7]:1".parse().unwrap()), "b=[fd00::7]:5002:5004");
    }
}
