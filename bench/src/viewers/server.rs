//! [`Server`]: those that are compared, each in the same namespace, with the same stream coming in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::janus::{Janus, JanusConfig, Role};
use lab::node::{NodeConfig, NodeProcess};
use lab::relay::{AUDIO, VIDEO, workspace};
use lab::{Lab, Process};
use serde_json::json;

use super::stream::SSRCS;
use crate::sysctl::Sysctls;

/// The servers' namespace, and the viewers'.
pub const SERVERS: &str = "egress-1";
pub const VIEWERS: &str = "viewers";
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 3, 1);
pub const VIEWER: Ipv4Addr = Ipv4Addr::new(10, 77, 3, 2);

const API: u16 = 7073;
const SECRET: &str = "bench";
const SESSION: &str = "show";
const READY: Duration = Duration::from_secs(20);

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// Janus with a thread for each viewer and the kernel's buffers: as it comes.
    JanusAsItComes,
    /// Janus as deploy/janus has it.
    Janus,
    /// The plainest server that webrtc-rs allows: `bench/peer`.
    WebrtcRs,
    /// The egress itself.
    Native,
}

impl Server {
    pub const ALL: [Server; 4] = [Server::JanusAsItComes, Server::Janus, Server::WebrtcRs, Server::Native];

    /// In tables.
    pub fn name(self) -> &'static str {
        match self {
            Server::JanusAsItComes => "Janus as it comes: a thread a viewer",
            Server::Janus => "Janus as deploy/janus has it: one loop",
            Server::WebrtcRs => "webrtc-rs, the plainest server on it",
            Server::Native => "egress --server native",
        }
    }

    /// On command lines and in JSON.
    pub fn short(self) -> &'static str {
        match self {
            Server::JanusAsItComes => "janus-as-it-comes",
            Server::Janus => "janus",
            Server::WebrtcRs => "webrtc-rs",
            Server::Native => "native",
        }
    }

    /// Ours.
    pub fn is_ours(self) -> bool {
        self == Server::Native
    }

    /// By that.
    pub fn called(short: &str) -> Option<Server> {
        Self::ALL.into_iter().find(|server| server.short() == short)
    }
}

/// Servers and viewers, wired up.
pub fn wire(lab: &Lab) -> Result<()> {
    for ns in [SERVERS, VIEWERS] {
        lab.add_namespace(ns)?;
    }
    lab.link(SERVERS, "eth0", VIEWERS, "eth0")?;
    lab.address(SERVERS, "eth0", &format!("{SERVER}/24"))?;
    lab.address(VIEWERS, "eth0", &format!("{VIEWER}/24"))
}

/// One that runs. It ends when this is dropped.
pub struct Running<'lab> {
    /// Where viewers ask.
    pub endpoint: String,
    /// Where audio and video are sent.
    pub media: [SocketAddr; 2],
    /// All that it takes; the first sends to viewers.
    pub processes: Vec<Process>,
    _janus: Option<Janus<'lab>>,
    _sysctls: Sysctls,
}

impl<'lab> Running<'lab> {
    /// Starts a server, and waits until it is ready for viewers. `number`: of its start, in this lab.
    pub fn start(lab: &'lab Lab, server: Server, number: usize) -> Result<Self> {
        let sysctls = match server {
            Server::JanusAsItComes => Sysctls::default_buffers()?,
            Server::Janus | Server::WebrtcRs | Server::Native => Sysctls::ours()?,
        };
        let media = [AUDIO, VIDEO].map(|port| SocketAddr::from((SERVER, port)));
        let (endpoint, processes, janus) = match server {
            Server::WebrtcRs => {
                let (endpoint, process) = webrtc_rs(lab)?;
                (endpoint, vec![process], None)
            }
            Server::Native => (whep(), vec![egress(lab, &[("SERVER", "native".to_owned())])?], None),
            Server::JanusAsItComes | Server::Janus => {
                let changes: &[(&str, &str)] = match server {
                    Server::JanusAsItComes => &[("event_loops = 1", "#")],
                    _ => &[],
                };
                let janus = start_janus(lab, number, changes)?;
                let server = [
                    ("JANUS_URL", janus.url()),
                    ("JANUS_API_SECRET", SECRET.to_owned()),
                    ("JANUS_MOUNTPOINT_SECRET", SECRET.to_owned()),
                ];
                let node = egress(lab, &server)?;
                (whep(), vec![janus.process().clone(), node], Some(janus))
            }
        };
        Ok(Running { endpoint, media, processes, _janus: janus, _sysctls: sysctls })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for process in &self.processes {
            let _ = process.kill9();
        }
    }
}

fn whep() -> String {
    format!("http://{SERVER}:{API}/whep/endpoint/{SESSION}")
}

fn start_janus<'lab>(lab: &'lab Lab, number: usize, changes: &[(&str, &str)]) -> Result<Janus<'lab>> {
    let config = JanusConfig {
        ns: SERVERS.to_owned(),
        address: SERVER,
        role: Role::Streaming,
        api_secret: SECRET.to_owned(),
        admin_key: SECRET.to_owned(),
        mapped: None,
    };
    Janus::start_otherwise(lab, config, &format!("{number}"), changes)
}

/// `server`: the variables that say what serves viewers.
fn egress(lab: &Lab, server: &[(&str, String)]) -> Result<Process> {
    let variables = [
        // The viewers say that they are many clients, as behind a proxy.
        ("TRUSTED_PROXIES", VIEWER.to_string()),
        ("MAX_VIEWERS", "10000".to_owned()),
        ("MAX_JOINING", "10000".to_owned()),
        ("LOG", "warn".to_owned()),
    ];
    let config = NodeConfig {
        program: "egress",
        ns: SERVERS.to_owned(),
        port: API,
        token: SECRET.to_owned(),
        environment: variables
            .iter()
            .chain(server)
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    };
    let node = NodeProcess::start(lab, config)?;
    let [audio, video] = SSRCS;
    let session =
        json!({ "sessionId": SESSION, "audioSsrc": audio, "videoSsrc": video, "videoCodec": "vp8" });
    let deadline = Instant::now() + READY;
    loop {
        // Before it has found its Janus, 503.
        let made = node.send("POST", "/mountpoint/create", &session.to_string())?;
        if made.status == 201 {
            return Ok(node.process().clone());
        }
        ensure!(made.status == 503 && Instant::now() < deadline, "no mountpoint: {made:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where `cargo xtask bench` has built it.
fn peer() -> Result<PathBuf> {
    let path =
        std::env::var_os("PEER").map_or_else(|| workspace().join("target/peer/release/peer"), PathBuf::from);
    ensure!(
        path.exists(),
        "{} is not there: `cargo build --release --manifest-path bench/peer/Cargo.toml --target-dir target/peer`, or name it in PEER",
        path.display()
    );
    Ok(path)
}

fn webrtc_rs(lab: &Lab) -> Result<(String, Process)> {
    let mut command = Command::new(peer()?);
    command.args([SERVER.to_string(), API.to_string(), AUDIO.to_string(), VIDEO.to_string()]);
    let process = lab.spawn(SERVERS, command)?;
    let deadline = Instant::now() + READY;
    loop {
        let log = process.log();
        if let Some(endpoint) = log.lines().find_map(|line| line.strip_prefix("ready: ")) {
            return Ok((endpoint.to_owned(), process));
        }
        let waits = process.status()?.is_none() && Instant::now() < deadline;
        ensure!(waits, "it does not get ready: {}", process.tail());
        std::thread::sleep(Duration::from_millis(20));
    }
}
