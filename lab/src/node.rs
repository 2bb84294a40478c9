//! [`NodeProcess`]: an injection or an egress as a program in a namespace: its environment, `ready:`, its HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::http::{self, Response};
use crate::netns::Lab;
use crate::process::Process;
use crate::relay::{Json, workspace};

const READY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// How one is started.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name of the program.
    pub program: &'static str,
    /// Namespace.
    pub ns: String,
    /// `API_PORT`.
    pub port: u16,
    /// `API_TOKEN`, without which a node listens on loopback alone.
    pub token: String,
    /// All other variables: everything else that it is configured with, tokens too.
    pub environment: Vec<(String, String)>,
}

/// A running node. Dropping the handle leaves it to the lab, which kills it.
pub struct NodeProcess<'lab> {
    lab: &'lab Lab,
    config: NodeConfig,
    process: Process,
}

impl<'lab> NodeProcess<'lab> {
    /// Starts a node and waits until it says that it is ready.
    pub fn start(lab: &'lab Lab, config: NodeConfig) -> Result<Self> {
        let process = start(lab, &config)?;
        Ok(Self { lab, config, process })
    }

    /// Its process id, log and so on.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `kill -9`.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Asks it to end.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// Starts it again in the same way after it has ended; gives when it was ready.
    pub fn restart(&mut self) -> Result<Instant> {
        ensure!(self.process.status()?.is_some(), "{} still runs", self.config.program);
        self.process = start(self.lab, &self.config)?;
        Ok(Instant::now())
    }

    /// `GET`, from its own namespace.
    pub fn get(&self, path: &str) -> Result<Response> {
        http::get(self.lab, &self.config.ns, self.api(), path)
    }

    /// `GET` of something that is JSON.
    pub fn json(&self, path: &str) -> Result<Json> {
        let response = self.get(path)?;
        response.body.parse().with_context(|| format!("{path} answered {response:?}"))
    }

    /// A request with a JSON body, from its own namespace.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Result<Response> {
        let token = format!("Bearer {}", self.config.token);
        let headers = [("Content-Type", "application/json"), ("Authorization", &token)];
        http::request(self.lab, &self.config.ns, self.api(), method, path, &headers, body)
    }

    fn api(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.config.port).into()
    }
}

/// Where a program of this workspace is ([`built`]); an error that says what to do when it is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = built(name);
    ensure!(
        path.exists(),
        "{} is not there; build it in the same profile (`cargo build -p {name}`) or name it in {}",
        path.display(),
        variable(name)
    );
    Ok(path)
}

/// Where a program of this workspace is: where the variable named like it says, or beside the one that runs, which cargo
/// has built in the same profile.
pub(crate) fn built(name: &str) -> PathBuf {
    std::env::var_os(variable(name)).map_or_else(|| beside(&running(), name), PathBuf::from)
}

fn variable(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

/// The program that runs. What cannot be known is where `cargo build --release` would put it.
fn running() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| workspace().join("target/release/lab"))
}

/// Programs are in a profile's folder, tests and examples in folders of that.
fn beside(running: &Path, name: &str) -> PathBuf {
    let folder = running.parent().unwrap_or(Path::new("."));
    let within = folder.ends_with("deps") || folder.ends_with("examples");
    let profile = if within { folder.parent().unwrap_or(folder) } else { folder };
    profile.join(name)
}

fn start(lab: &Lab, config: &NodeConfig) -> Result<Process> {
    let mut command = Command::new(program(config.program)?);
    command.env("API_PORT", config.port.to_string()).env("API_TOKEN", &config.token);
    command.envs(config.environment.iter().map(|(name, value)| (name, value)));
    let process = lab.spawn(&config.ns, command)?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while !process.log().lines().any(|line| line.starts_with("ready:")) {
        if process.status()?.is_some() || Instant::now() >= deadline {
            process.kill9()?;
            bail!("{} in {} does not get ready:\n{}", config.program, config.ns, process.tail());
        }
        std::thread::sleep(POLL);
    }
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_beside_the_one_that_runs() {
        for running in ["/w/target/tests/demo", "/w/target/tests/deps/net-0123", "/w/target/tests/examples/x"]
        {
            assert_eq!(beside(Path::new(running), "relay-ctl"), Path::new("/w/target/tests/relay-ctl"));
        }
    }
}
