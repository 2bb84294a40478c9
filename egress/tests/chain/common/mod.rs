//! Two namespaces joined by a veth: `eg` has Redis, Janus and the egress, `view` whoever watches or sends.

pub mod crowd;
pub mod parent;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lab::browser::Maker;
use lab::janus::{JanusConfig, Role};
use lab::{Browser, Janus, Lab, Process, Redis, RedisConfig};
use node::contract::field::session as field;
use node::contract::key;
use serde_json::{Value, json};

/// Where the egress is.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// What ffmpeg makes.
const OPUS: &str = "-c:a libopus -ac 2 -ar 48000 -f rtp -payload_type 111";
const VP8: &str = "testsrc2=size=640x360:rate=25 -c:v libvpx -deadline realtime";
/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(20);

/// A namespace's name is short, and tests run beside each other.
pub fn lab() -> Lab {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let lab = Lab::new(&format!("egt{}-{number}-", std::process::id())).unwrap();
    lab.add_namespace("eg").unwrap();
    lab.add_namespace("view").unwrap();
    lab.link("eg", "v0", "view", "v1").unwrap();
    lab.address("eg", "v0", "10.77.0.1/24").unwrap();
    lab.address("view", "v1", "10.77.0.2/24").unwrap();
    lab
}

/// What serves viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Janus,
    Native,
}

impl By {
    /// What an egress is told of it by its environment.
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            By::Janus => &[
                ("JANUS_STREAMING_WS_URL", "ws://127.0.0.1:8188"),
                ("JANUS_STREAMING_API_SECRET", "apis"),
                ("JANUS_STREAMING_MOUNTPOINT_SECRET", "mps"),
                ("JANUS_ADMIN_URL", "ws://127.0.0.1:7188"),
                ("PORT_POOL_SIZE", "3"),
            ],
            By::Native => &[("SERVER", "native")],
        }
    }
}

/// What viewers may rely on whatever serves them: a test with each server of a function that takes a [`By`].
macro_rules! on_both {
    ($behaviour:path) => {
        #[test]
        fn by_janus() {
            $behaviour(crate::common::By::Janus);
        }

        #[test]
        fn natively() {
            $behaviour(crate::common::By::Native);
        }
    };
}
pub(crate) use on_both;

/// Everything that an egress needs, and the egress.
pub struct World<'lab> {
    pub lab: &'lab Lab,
    pub redis: Redis<'lab>,
    pub by: By,
    pub janus: Option<Janus<'lab>>,
    pub egress: Process,
}

impl<'lab> World<'lab> {
    pub fn start(lab: &'lab Lab) -> World<'lab> {
        World::start_with(lab, &[])
    }

    /// With more in the egress' environment.
    pub fn start_with(lab: &'lab Lab, env: &[(&str, &str)]) -> World<'lab> {
        World::start_mapped(lab, env, None)
    }

    /// The same behind an address that stands for Janus' own.
    pub fn start_mapped(lab: &'lab Lab, env: &[(&str, &str)], mapped: Option<Ipv4Addr>) -> World<'lab> {
        World::start_all(lab, By::Janus, env, mapped)
    }

    /// With this server.
    pub fn start_by(lab: &'lab Lab, by: By, env: &[(&str, &str)]) -> World<'lab> {
        World::start_all(lab, by, env, None)
    }

    fn start_all(lab: &'lab Lab, by: By, env: &[(&str, &str)], mapped: Option<Ipv4Addr>) -> World<'lab> {
        let redis = Redis::start(lab, "eg", RedisConfig::default()).unwrap();
        let janus = (by == By::Janus).then(|| start_janus(lab, mapped));
        let egress = start_egress(lab, by, env);
        let world = World { lab, redis, by, janus, egress };
        world.until("healthy", || world.get("/status")["healthy"] == json!(true));
        world
    }

    /// Its Janus.
    pub fn janus(&self) -> &Janus<'lab> {
        self.janus.as_ref().expect("there is none with the native server")
    }

    /// The same, to end it or start it again.
    pub fn janus_mut(&mut self) -> &mut Janus<'lab> {
        self.janus.as_mut().expect("there is none with the native server")
    }

    /// Starts the egress again, which has ended.
    pub fn start_again(&mut self) {
        self.egress = start_egress(self.lab, self.by, &[]);
    }

    /// A session of the tree, as an injection writes it.
    pub fn session(&self, id: &str, room: u64, ssrcs: [u32; 2]) {
        let [audio, video] = ssrcs.map(|ssrc| ssrc.to_string());
        let (key, room) = (key::session(id), room.to_string());
        let ssrcs = [field::AUDIO_SSRC, &audio, field::VIDEO_SSRC, &video];
        let fields = ["HSET", &key, field::SESSION_ID, id, field::ROOM_ID, &room];
        let rest = [field::TREE_ID, "tree-1", field::ACTIVE, "true"];
        self.redis.cli(&[&fields[..], &ssrcs, &rest].concat()).unwrap();
        self.redis.cli(&["SADD", key::ACTIVE_SESSIONS, id]).unwrap();
    }

    /// Waits until a session's packets are let through: its mountpoint is shown before the server has made it, and what comes until then
    /// goes nowhere.
    pub fn lets_through(&self, session: &str) {
        let made = format!("session {session}: mountpoint ");
        self.until("its mountpoint is made", || self.egress.log().contains(&made));
    }

    /// Makes it a child of relay-1, which stands where `view` is.
    pub fn attach(&self) {
        self.redis.egress("relay-1", "10.77.0.2", [5002, 5004]).unwrap();
        self.redis.cli(&["HSET", "node:relay-1", "type", "relay"]).unwrap();
        self.redis.cli(&["SADD", "children:relay-1", "egress-1"]).unwrap();
        self.redis.cli(&["SET", "parent:egress-1", "relay-1"]).unwrap();
    }

    /// What happens to a session from now on, as its viewers are told: name and data. How many watch is told by the clock, and left out.
    pub fn events(&self, id: &str) -> impl Iterator<Item = (String, Value)> + use<> {
        let stream = self.lab.in_namespace("eg", || TcpStream::connect((Ipv4Addr::LOCALHOST, 7073)));
        let mut stream = stream.unwrap().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        write!(stream, "GET /events?id={id} HTTP/1.1\r\nHost: egress\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let all = std::iter::from_fn(move || {
            let name = lines.by_ref().find_map(|line| Some(line.strip_prefix("event: ")?.to_owned()))?;
            let data = lines.by_ref().find_map(|line| Some(line.strip_prefix("data: ")?.to_owned()))?;
            Some((name, serde_json::from_str(&data).unwrap()))
        });
        all.filter(|(name, _)| name != "viewers")
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, mut so: impl FnMut() -> bool) -> Duration {
        let started = Instant::now();
        while !so() {
            assert!(started.elapsed() < LONG, "not within {LONG:?}: {what}\n{}", self.egress.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        started.elapsed()
    }

    /// JSON of a GET.
    pub fn get(&self, path: &str) -> Value {
        self.request("GET", path, &[], "").2
    }

    /// Status, head and JSON (or text) of any request.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String, Value) {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 7073));
        let Ok(response) = lab::http::request(self.lab, "eg", server, method, path, headers, body) else {
            return (0, String::new(), Value::Null);
        };
        let body = serde_json::from_str(&response.body).unwrap_or(Value::String(response.body));
        (response.status, response.head, body)
    }

    /// A POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, answer) =
            self.request("POST", path, &[("Content-Type", "application/json")], &body.to_string());
        (status, answer)
    }

    /// Live VP8 and Opus, from `view`.
    pub fn broadcast(&self, ssrcs: [u32; 2]) -> [Process; 2] {
        [self.sound("sine=frequency=440", ssrcs[0]), self.pictures("-g 50", ssrcs[1])]
    }

    /// The same, small, to all of these pairs of ports of the node's host.
    pub fn broadcast_to(&self, ports: &[[u16; 2]], ssrcs: [u32; 2]) -> [Process; 2] {
        let small = "testsrc2=size=160x90:rate=15 -c:v libvpx -deadline realtime -cpu-used 8 -g 15";
        let codecs = ["sine=frequency=440 -c:a libopus -ac 2 -ar 48000", small];
        [0, 1].map(|kind| {
            let to = |ports: &[u16; 2]| {
                format!(
                    "[f=rtp:payload_type={}:ssrc={}]rtp://{HOST}:{}?pkt_size=1200",
                    [111, 96][kind],
                    ssrcs[kind],
                    ports[kind]
                )
            };
            let outputs: Vec<String> = ports.iter().map(to).collect();
            let mut command = Command::new("ffmpeg");
            command
                .args(["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i"])
                .args(codecs[kind].split(' '));
            command.args(["-map", "0", "-f", "tee", &outputs.join("|")]);
            self.lab.spawn("view", command).unwrap()
        })
    }

    /// Live Opus of what a filter of ffmpeg's makes.
    pub fn sound(&self, filter: &str, ssrc: u32) -> Process {
        self.ffmpeg(&format!("{filter} {OPUS}"), ssrc, 5002)
    }

    /// Live VP8.
    pub fn pictures(&self, more: &str, ssrc: u32) -> Process {
        self.ffmpeg(&format!("{VP8} {more} -f rtp -payload_type 96"), ssrc, 5004)
    }

    fn ffmpeg(&self, arguments: &str, ssrc: u32, port: u16) -> Process {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i"]);
        let url = format!("rtp://{HOST}:{port}?pkt_size=1200");
        command.args(arguments.split(' ')).args(["-ssrc", &ssrc.to_string(), &url]);
        self.lab.spawn("view", command).unwrap()
    }

    /// A socket of a namespace.
    pub fn socket(&self, ns: &str, address: (Ipv4Addr, u16)) -> UdpSocket {
        let socket = self.lab.in_namespace(ns, || UdpSocket::bind(address)).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }
}

fn start_janus(lab: &Lab, mapped: Option<Ipv4Addr>) -> Janus<'_> {
    let config = JanusConfig {
        ns: "eg".to_owned(),
        address: HOST,
        role: Role::Streaming,
        api_secret: "apis".to_owned(),
        admin_key: "mps".to_owned(),
        mapped,
    };
    Janus::start(lab, config).unwrap()
}

/// A browser of somebody who watches.
pub fn browser(lab: &Lab) -> Browser<'_> {
    Browser::start(lab, "view", &[]).unwrap()
}

/// The same of any maker.
pub fn browser_of(lab: &Lab, maker: Maker) -> Browser<'_> {
    Browser::of(maker, lab, "view", &[]).unwrap()
}

/// What the viewers' page counts, by the names in its `window.seen`.
pub fn seen(browser: &Browser<'_>, name: &str) -> f64 {
    browser.run(&format!("return window.seen && window.seen.{name}")).unwrap().as_f64().unwrap_or_default()
}

/// Starts an egress.
pub fn start_egress(lab: &Lab, by: By, env: &[(&str, &str)]) -> Process {
    start_egress_at(lab, by, 7073, env)
}

/// The same with its HTTP on another port.
pub fn start_egress_at(lab: &Lab, by: By, api: u16, env: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egress"));
    command.args(["--api", &format!("0.0.0.0:{api}"), "--log", "debug"]);
    configure(&mut command, by, env);
    let egress = lab.spawn("eg", command).unwrap();
    let started = Instant::now();
    while !egress.log().contains("ready: ") {
        assert!(started.elapsed() < LONG, "the egress does not start: {}", egress.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    egress
}

/// What an egress of these tests is told by its environment.
pub fn configure(command: &mut Command, by: By, env: &[(&str, &str)]) {
    command.envs([
        ("NODE_ID", "egress-1"),
        ("NODE_HOST", "10.77.0.1"),
        ("REDIS_URL", "redis://127.0.0.1:6379"),
    ]);
    command.envs(by.environment().iter().copied());
    command.envs(env.iter().copied());
}

/// An RTP packet with some payload.
pub fn rtp(ssrc: u32, sequence: u16, timestamp: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x10, 0, 0, 0]);
    packet
}
