//! [`Janus`]: a real Janus in a namespace, from a folder of its own: nothing in /etc plays a part.
//!
//! One of these serves one node. Only what that node needs is loaded: one plugin, and the WebSocket transport.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::netns::Lab;
use crate::process::Process;

/// WebSocket port of each; they are in namespaces of their own.
pub const WEBSOCKET: u16 = 8188;
/// Where Debian's package has the loadable parts, below the library folder of the architecture.
const LIBRARIES: &str = "/usr/lib";
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
    fn plugin(self) -> &'static str {
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
        let folder = lab.directory().join(format!("janus-{}-{}", config.ns, config.role.plugin()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        for (name, text) in files(&config, &folder, &libraries()?) {
            fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        let process = lab.spawn(&config.ns, command(&folder))?;
        let janus = Self { lab, config, folder, process };
        janus.wait_ready()?;
        Ok(janus)
    }

    /// Where a node in the same namespace finds it.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{WEBSOCKET}")
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

/// Debian has it below `/usr/lib/{architecture}/janus`.
fn libraries() -> Result<PathBuf> {
    let candidates = fs::read_dir(LIBRARIES).with_context(|| format!("reading {LIBRARIES}"))?.flatten();
    candidates
        .map(|entry| entry.path().join("janus"))
        .find(|folder| folder.join("plugins").is_dir())
        .with_context(|| format!("no janus below {LIBRARIES}; run `apt-get install janus`"))
}

/// Name and text of each configuration file.
fn files(config: &JanusConfig, folder: &Path, libraries: &Path) -> [(&'static str, String); 5] {
    let (folder, libraries) = (folder.display(), libraries.display());
    let JanusConfig { address, role, api_secret, admin_key, .. } = config;
    let main = format!(
        r#"general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{libraries}/events"
    loggers_folder = "{libraries}/loggers"
    debug_level = 4
    api_secret = "{api_secret}"
    server_name = "{}"
    session_timeout = 60
}}
media: {{
    rtp_port_range = "20000-40000"
}}
nat: {{
    nice_debug = false
    ice_enforce_list = "{address}"
    # A viewer that vanishes ends in less than a minute, rather than in many.
    ice_keepalive_conncheck = true
}}
plugins: {{
    disable = "{}"
}}
transports: {{
    disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so"
}}
loggers: {{
    disable = "libjanus_jsonlog.so"
}}
events: {{
    broadcast = false
}}
"#,
        config.ns,
        disabled(*role),
    );
    let websockets = format!("general: {{\n    ws = true\n    ws_port = {WEBSOCKET}\n    wss = false\n}}\n");
    let plugin = format!("general: {{\n    admin_key = \"{admin_key}\"\n}}\n");
    [
        ("janus.jcfg", main),
        ("janus.transport.websockets.jcfg", websockets),
        ("janus.transport.http.jcfg", "general: {\n    http = false\n}\n".to_owned()),
        ("janus.plugin.videoroom.jcfg", plugin.clone()),
        ("janus.plugin.streaming.jcfg", plugin),
    ]
}

/// All plugins of the package but the one wanted.
fn disabled(role: Role) -> String {
    let all = [
        "audiobridge",
        "duktape",
        "echotest",
        "lua",
        "nosip",
        "recordplay",
        "sip",
        "streaming",
        "textroom",
        "videocall",
        "videoroom",
        "voicemail",
    ];
    let others = all.iter().filter(|name| **name != role.plugin());
    others.map(|name| format!("libjanus_{name}.so")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plugin_of_its_role_is_loaded() {
        assert!(!disabled(Role::VideoRoom).contains("videoroom"));
        assert!(disabled(Role::VideoRoom).contains("libjanus_streaming.so"));
        assert!(!disabled(Role::Streaming).contains("streaming"));
    }
}
