//! rtpengine in user space (`--table=-1`): a publication with a subscription for each child, asked for by its own control
//! protocol, "ng": bencoded dictionaries in datagrams.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::relay::AUDIO;
use lab::{Lab, Process};

use super::{Contestant, Copying, Running, TIMEOUT};
use crate::machine::{Priority, on_cpu, with_priority};
use crate::stage::Stage;

const CONTROL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 2223);
/// The one call that there is.
const CALL: (&str, &str) = ("call-id", "bench");
const ANSWER: Duration = Duration::from_secs(2);
/// Where the generator sends from.
const SOURCE_PORT: u16 = 40_000;

/// The daemon of Debian's package.
pub struct Rtpengine;

impl Contestant for Rtpengine {
    fn name(&self) -> &'static str {
        "rtpengine in user space, publish and subscribe"
    }

    fn short(&self) -> &'static str {
        "rtpengine"
    }

    /// "Too many packets in UDP receive queue, aborting loop", it says, and forwards nothing for a long time.
    fn stays_down(&self) -> bool {
        true
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let command = command(stage.topology.relay.v4);
        let spawn = || stage.lab.spawn("relay-1", command);
        let prioritised = || with_priority(Priority::Process, spawn).unwrap_or_else(|spawned| spawned);
        let process = on_cpu(stage.cpus.tested, prioritised)??;
        let source = SocketAddr::from((stage.topology.injection.v4, SOURCE_PORT));
        let set_up = || {
            let mut publication = Publication::begin(stage.lab, &process, source)?;
            stage.clients(children).into_iter().try_for_each(|client| publication.subscribe(client).map(drop))
        };
        match set_up() {
            Ok(()) => Ok(Box::new(Copying(process))),
            Err(error) => {
                process.kill9()?;
                Err(error)
            }
        }
    }
}

/// The daemon, for `relay-1`.
pub fn command(relay: Ipv4Addr) -> Command {
    let mut command = Command::new("rtpengine");
    command.args(["--foreground", "--log-stderr", "--log-level=3", "--table=-1", "--num-threads=1"]);
    command.arg(format!("--interface={relay}"));
    command.arg(format!("--listen-ng={}:{}", CONTROL.0, CONTROL.1));
    // The publication is given the first port.
    command.args([format!("--port-min={AUDIO}"), "--port-max=7999".to_owned()]);
    command
}

/// What is published to a running daemon, and by whom its subscribers are known.
pub struct Publication(Control);

impl Publication {
    /// Publishes what comes from `source`.
    pub fn begin(lab: &Lab, process: &Process, source: SocketAddr) -> Result<Self> {
        let mut control = lab.in_namespace("relay-1", Control::open)??;
        let deadline = Instant::now() + TIMEOUT;
        // It answers as soon as it listens, and until then there is nobody.
        while control.ask(&[("command", "ping")]).is_err() {
            ensure!(Instant::now() < deadline, "no answer: {}", process.tail());
            std::thread::sleep(Duration::from_millis(5));
        }
        let request = [("command", "publish"), CALL, ("from-tag", "publisher")];
        let answer = control.ask(&[&request[..], &[("sdp", &sdp(source, "sendonly"))]].concat())?;
        ensure!(answer.contains(&format!("m=audio {AUDIO} ")), "another port: {answer}");
        Ok(Self(control))
    }

    /// Begins to copy to a client; gives the subscription's tag.
    pub fn subscribe(&mut self, client: SocketAddr) -> Result<String> {
        let answer = self.0.ask(&[("command", "subscribe request"), CALL, ("from-tag", "publisher")])?;
        let tag = text(&answer, "to-tag").with_context(|| format!("no to-tag: {answer}"))?.to_owned();
        let sdp = sdp(client, "recvonly");
        self.0.ask(&[("command", "subscribe answer"), CALL, ("to-tag", &tag), ("sdp", &sdp)])?;
        Ok(tag)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, tag: &str) -> Result<()> {
        self.0.ask(&[("command", "unsubscribe"), CALL, ("to-tag", tag)]).map(drop)
    }
}

struct Control {
    socket: UdpSocket,
    cookie: u32,
}

impl Control {
    fn open() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a control socket")?;
        socket.connect(CONTROL).context("the control port")?;
        socket.set_read_timeout(Some(ANSWER))?;
        Ok(Self { socket, cookie: 0 })
    }

    /// A request, and its answer as it came.
    fn ask(&mut self, fields: &[(&str, &str)]) -> Result<String> {
        self.cookie += 1;
        let body: String = fields
            .iter()
            .flat_map(|(key, value)| [key, value])
            .map(|text| format!("{}:{text}", text.len()))
            .collect();
        self.socket.send(format!("{} d{body}e", self.cookie).as_bytes())?;
        let mut buffer = [0; 8192];
        let length = self.socket.recv(&mut buffer)?;
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        ensure!(answer.contains("6:result2:ok") || answer.contains("6:result4:pong"), "{answer}");
        Ok(answer)
    }
}

fn sdp(at: SocketAddr, direction: &str) -> String {
    let (ip, port) = (at.ip(), at.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 111\r\n\
         a=rtpmap:111 opus/48000/2\r\na={direction}\r\n"
    )
}

/// The string of that key in a bencoded dictionary whose strings hold no such key themselves.
fn text<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = answer.split_once(&format!("{}:{key}", key.len()))?;
    let (length, rest) = rest.split_once(':')?;
    rest.get(..length.parse().ok()?)
}
