//! [`Turn`]: a real coturn in a namespace, from a folder of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::netns::Lab;
use crate::process::Process;

/// Where it listens, by UDP and TCP.
pub const PORT: u16 = 3478;
const READY_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// How clients log in.
#[derive(Clone, Copy, Debug)]
pub enum TurnLogin<'a> {
    /// By credentials made of this secret, that end.
    Secret(&'a str),
    /// By one name and password.
    User(&'a str, &'a str),
}

/// A running server. Dropping the handle leaves it to the lab, which kills it.
pub struct Turn {
    process: Process,
}

impl Turn {
    /// Starts one at an address of a namespace, and waits until it takes connections.
    pub fn start(lab: &Lab, ns: &str, address: Ipv4Addr, login: TurnLogin<'_>) -> Result<Turn> {
        let folder = lab.directory().join(format!("turn-{ns}"));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let file = folder.join("turnserver.conf");
        let login = match login {
            TurnLogin::Secret(secret) => format!("use-auth-secret\nstatic-auth-secret={secret}"),
            TurnLogin::User(name, password) => format!("lt-cred-mech\nuser={name}:{password}"),
        };
        let folder = folder.display();
        let text = format!(
            "listening-ip={address}
relay-ip={address}
listening-port={PORT}
min-port=49152
max-port=49999
realm=lab
{login}
no-tls
no-dtls
no-cli
verbose
log-file=stdout
simple-log
userdb={folder}/turndb
pidfile={folder}/pid
"
        );
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let mut command = Command::new("turnserver");
        command.arg("-c").arg(&file);
        let process = lab.spawn(ns, command).context("run `apt-get install coturn`")?;
        let deadline = Instant::now() + READY_TIMEOUT;
        let at = SocketAddr::from((address, PORT));
        while lab.in_namespace(ns, || TcpStream::connect(at))?.is_err() {
            if process.status()?.is_some() || Instant::now() >= deadline {
                bail!("coturn does not get ready:\n{}", process.tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(Turn { process })
    }

    /// The names of those that have been given an address to relay by.
    pub fn clients(&self) -> Vec<String> {
        let of = |line: &str| {
            let (before, _) = line.split_once("ALLOCATE processed, success")?;
            let (_, user) = before.split_once("user <")?;
            Some(user.split_once('>')?.0.to_owned())
        };
        self.process.log().lines().filter_map(of).collect()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
