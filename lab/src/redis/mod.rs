//! [`Redis`]: a real redis-server in a namespace, with the command line that operators use, and its mishaps.

mod resp;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::node::contract::field::node as field;
use ::node::contract::key;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::netns::Lab;
use crate::process::Process;

pub use resp::{Connection, Value};

const READY_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Port, on all addresses of the namespace.
    pub port: u16,
    /// `requirepass`.
    pub password: Option<String>,
    /// Keep the data in a file that is written before each answer, so that `kill -9` loses nothing.
    pub keeps_data: bool,
    /// Anything else, as on redis-server's command line.
    pub arguments: Vec<String>,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { port: 6379, password: None, keeps_data: true, arguments: Vec::new() }
    }
}

/// A running server. Dropping the handle leaves it to the lab, which kills it.
pub struct Redis<'lab> {
    lab: &'lab Lab,
    ns: String,
    config: RedisConfig,
    directory: PathBuf,
    process: Process,
    /// What redis-cli authenticates with; it changes when the server's does.
    password: Mutex<Option<String>>,
}

impl<'lab> Redis<'lab> {
    /// Starts a server in a namespace and waits until it answers.
    pub fn start(lab: &'lab Lab, ns: &str, config: RedisConfig) -> Result<Self> {
        let directory = lab.directory().join(format!("redis-{ns}-{}", config.port));
        fs::create_dir(&directory).with_context(|| format!("making {}", directory.display()))?;
        let process = lab.spawn(ns, command(&config, &directory))?;
        let password = Mutex::new(config.password.clone());
        let server = Self { lab, ns: ns.to_owned(), config, directory, process, password };
        server.wait_ready()?;
        Ok(server)
    }

    /// `redis://…` for somebody who reaches the namespace at this address; without the password.
    pub fn url(&self, address: Ipv4Addr) -> String {
        format!("redis://{address}:{}", self.config.port)
    }

    /// Runs redis-cli with these arguments; an error reply is an error.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli_command(arguments).output().context("running redis-cli")?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "redis-cli {}: {text} {}", arguments.join(" "), complaint.trim());
        Ok(text)
    }

    /// Types these lines into one redis-cli, for instance MULTI … EXEC.
    pub fn cli_lines(&self, lines: &[&str]) -> Result<String> {
        let mut command = self.cli_command(&[]);
        // Commands from a file keep what was typed in one process and in order.
        let file = self.directory.join("typed");
        fs::write(&file, lines.join("\n") + "\n").context("writing what is to be typed")?;
        command.stdin(Stdio::from(fs::File::open(&file)?));
        let output = command.output().context("running redis-cli")?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        // From a file it goes on after an error, and ends well: the reply tells, "WRONGTYPE Operation …".
        let is_error = |line: &str| {
            line.split_once(' ')
                .is_some_and(|(code, _)| code.len() > 2 && code.bytes().all(|b| b.is_ascii_uppercase()))
        };
        ensure!(output.status.success() && !text.lines().any(is_error), "redis-cli: {text}");
        Ok(text)
    }

    /// The members of a set, sorted.
    pub fn members(&self, key: &str) -> Result<Vec<String>> {
        let text = self.cli(&["SMEMBERS", key])?;
        let mut members: Vec<String> =
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        members.sort();
        Ok(members)
    }

    /// A connection of one's own, for those who count microseconds.
    pub fn connect(&self) -> Result<Connection> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.config.port));
        let mut connection = self.lab.in_namespace(&self.ns, || Connection::open(server))??;
        if let Some(password) = &*self.password() {
            connection.call(&["AUTH", password])?;
        }
        Ok(connection)
    }

    /// Writes `node:{id}` as an egress would, without an end.
    pub fn egress(&self, id: &str, host: &str, ports: [u16; 2]) -> Result<()> {
        self.cli(&egress_fields(id, host, ports).iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    /// The command line's password from now on; `None` for none.
    pub fn use_password(&self, password: Option<&str>) {
        *self.password() = password.map(str::to_owned);
    }

    /// The server's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `kill -9`.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// SIGTERM; it saves what it is told to save.
    pub fn stop(&self) -> Result<()> {
        self.process.terminate().map(drop)
    }

    /// Stops its process where it is: connections stay, answers do not come.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Starts it again after it has ended, with its data; gives when it answered.
    pub fn restart(&mut self) -> Result<Instant> {
        ensure!(self.process.status()?.is_some(), "the server still runs");
        self.process = self.lab.spawn(&self.ns, command(&self.config, &self.directory))?;
        self.password = Mutex::new(self.config.password.clone());
        self.wait_ready()
    }

    /// Starts it again after it has ended, without its data; gives when it answered.
    pub fn restart_empty(&mut self) -> Result<Instant> {
        fs::remove_dir_all(&self.directory).context("removing the data")?;
        fs::create_dir(&self.directory).context("making the data directory")?;
        self.restart()
    }

    fn wait_ready(&self) -> Result<Instant> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            // While it loads its data it says so instead of PONG.
            if self.connect().and_then(|mut connection| connection.call(&["PING"])).is_ok() {
                return Ok(Instant::now());
            }
            if self.process.status()?.is_some() || Instant::now() >= deadline {
                bail!("redis-server does not answer: {}", self.process.tail());
            }
            std::thread::sleep(POLL);
        }
    }

    fn cli_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.command(&self.ns, "redis-cli");
        // -e: an error reply gives an exit code. By loopback: in its own namespace it needs no route.
        command.args(["-e", "-h", "127.0.0.1", "-p", &self.config.port.to_string()]).args(arguments);
        command.stdin(Stdio::null());
        match &*self.password() {
            Some(password) => command.env("REDISCLI_AUTH", password),
            None => command.env_remove("REDISCLI_AUTH"),
        };
        command
    }

    fn password(&self) -> MutexGuard<'_, Option<String>> {
        self.password.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HSET of a whole registration.
pub fn egress_fields(id: &str, host: &str, [audio, video]: [u16; 2]) -> Vec<String> {
    let (audio, video) = (audio.to_string(), video.to_string());
    let fields = [
        (field::ID, id),
        (field::NODE_ID, id),
        (field::TYPE, "egress"),
        (field::TREE_ID, "tree-1"),
        (field::HOST, host),
        (field::PORT, "7073"),
        (field::AUDIO_PORT, &audio),
        (field::VIDEO_PORT, &video),
        (field::STATUS, "active"),
        (field::CREATED, "1700000000000"),
    ];
    let mut words = vec!["HSET".to_owned(), key::node(id)];
    words.extend(fields.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]));
    words
}

fn command(config: &RedisConfig, directory: &std::path::Path) -> Command {
    let mut command = Command::new("redis-server");
    // No configuration file: what a package put into /etc plays no part.
    command.args(["--port", &config.port.to_string(), "--bind", "0.0.0.0", "--protected-mode", "no"]);
    command.args(["--daemonize", "no", "--save", "", "--dir"]).arg(directory);
    command.args(["--appendonly", if config.keeps_data { "yes" } else { "no" }]);
    if let Some(password) = &config.password {
        command.args(["--requirepass", password]);
    }
    command.args(&config.arguments);
    command
}
