//! [`Janus`]: a real Janus in a namespace, configured by the files that operators are given (`deploy/janus`), in a folder of its
//! own: nothing in /etc plays a part, unless it is what is tried.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::netns::Lab;
use crate::process::Process;

/// WebSocket port of each; they are in namespaces of their own.
pub const WEBSOCKET: u16 = 8188;
/// Of its admin API.
pub const ADMIN: u16 = 7188;
/// Name and text of the files that operators are given.
const FILES: [(&str, &str); 4] = [
    ("janus.jcfg", include_str!("../../deploy/janus/janus.jcfg")),
    ("janus.transport.websockets.jcfg", include_str!("../../deploy/janus/janus.transport.websockets.jcfg")),
    ("janus.plugin.videoroom.jcfg", include_str!("../../deploy/janus/janus.plugin.videoroom.jcfg")),
    ("janus.plugin.streaming.jcfg", include_str!("../../deploy/janus/janus.plugin.streaming.jcfg")),
];
/// As Debian's unit of Janus has it.
const OPEN_FILES: u64 = 65_536;
const READY_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes publications, for an injection.
    VideoRoom,
    /// Serves viewers, for an egress.
    Streaming,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::VideoRoom => "videoroom",
            Role::Streaming => "streaming",
        }
    }
}

/// How one is started.
#[derive(Clone, Debug)]
pub struct JanusConfig {
    /// Namespace.
    pub ns: String,
    /// The namespace's address for ICE. Janus gathers nothing on loopback.
    pub address: Ipv4Addr,
    /// Which plugin.
    pub role: Role,
    /// What every request must hold.
    pub api_secret: String,
    /// What `create` must hold.
    pub admin_key: String,
    /// The address that stands for it behind 1:1 NAT.
    pub mapped: Option<Ipv4Addr>,
}

/// A running server. Dropping the handle leaves it to the lab, which kills it.
pub struct Janus<'lab> {
    lab: &'lab Lab,
    config: JanusConfig,
    folder: PathBuf,
    process: Process,
}

impl<'lab> Janus<'lab> {
    /// Writes its configuration, starts it, and waits until its WebSocket answers.
    pub fn start(lab: &'lab Lab, config: JanusConfig) -> Result<Self> {
        Self::start_otherwise(lab, config, "", &[])
    }

    /// The same with other texts in its configuration, `changes`; `name` makes its folder one of its own.
    pub fn start_otherwise(
        lab: &'lab Lab,
        config: JanusConfig,
        name: &str,
        changes: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = lab.directory().join(format!("janus-{}-{}{name}", config.ns, config.role.name()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        for (name, text) in FILES {
            let text = filled_in(text, &config);
            let text = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
            fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        raise_open_files()?;
        let process = lab.spawn(&config.ns, command(&folder))?;
        let janus = Self { lab, config, folder, process };
        janus.wait_ready()?;
        Ok(janus)
    }

    /// Where a node in the same namespace finds it.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{WEBSOCKET}")
    }

    /// Where such a node finds its admin API.
    pub fn admin_url(&self) -> String {
        format!("ws://127.0.0.1:{ADMIN}")
    }

    /// How it was started.
    pub fn config(&self) -> &JanusConfig {
        &self.config
    }

    /// The server's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `kill -9`.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Starts it again after it has ended; gives when it answered. It remembers nothing.
    pub fn restart(&mut self) -> Result<Instant> {
        ensure!(self.process.status()?.is_some(), "the server still runs");
        self.process = self.lab.spawn(&self.config.ns, command(&self.folder))?;
        self.wait_ready()
    }

    fn wait_ready(&self) -> Result<Instant> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let answered = self.lab.in_namespace(&self.config.ns, || handshake(WEBSOCKET))?;
            match answered {
                Ok(()) => return Ok(Instant::now()),
                Err(error) if self.process.status()?.is_some() || Instant::now() >= deadline => {
                    bail!("janus does not get ready: {error:#}\n{}", self.process.tail());
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }
}

/// What this process starts may open as many files as it may itself; a shell gives 1,024 at first, and a viewer takes three.
fn raise_open_files() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(OPEN_FILES);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("raising the limit of open files")?;
    }
    Ok(())
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("janus");
    command.arg("-F").arg(folder).args(["--disable-colors", "--log-stdout"]);
    command
}

/// Opens a WebSocket as far as `101 Switching Protocols`: then the transport is up, and with it the plugins.
fn handshake(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGFiLXdhaXRzLWZvci1pdA==\r\n\
         Sec-WebSocket-Protocol: janus-protocol\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    ensure!(answer.ends_with(b"101"), "no WebSocket: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// As operators are told to do it, docs/operations.md, *Janus*.
fn filled_in(text: &str, config: &JanusConfig) -> String {
    let text = text
        .replace("@API_SECRET@", &config.api_secret)
        .replace("@ADMIN_KEY@", &config.admin_key)
        .replace("@ADDRESS@", &config.address.to_string());
    match config.mapped {
        Some(public) => text.replace("#: ", "").replace("198.51.100.7", &public.to_string()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        let config = JanusConfig {
            ns: "a".to_owned(),
            address: Ipv4Addr::new(10, 0, 0, 5),
            role: Role::Streaming,
            api_secret: "hunter2".to_owned(),
            admin_key: "hunter3".to_owned(),
            mapped: Some(Ipv4Addr::new(203, 0, 113, 5)),
        };
        let texts: String = FILES.iter().map(|(_, text)| filled_in(text, &config)).collect();
        let settings = texts.lines().filter(|line| !line.trim_start().starts_with('#'));
        let settings: String = settings.map(|line| format!("{line}\n")).collect();
        for wanted in
            [r#"api_secret = "hunter2""#, r#"admin_key = "hunter3""#, r#"nat_1_1_mapping = "203.0.113.5""#]
        {
            assert!(settings.contains(wanted), "{wanted}: {settings}");
        }
        assert!(!settings.contains('@'), "{settings}");
    }
}
