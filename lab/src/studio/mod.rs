//! [`Studio`]: the whole chain with real servers, from a publisher to viewers, each node in a namespace of its own.
//!
//! ```text
//! control (Redis) ──┐              ┌── publisher
//! injection-1, its  │              ├── viewers
//!   Janus VideoRoom ┼ switch: br0 ─┼── browser
//! relay-1 ──────────┤              ├── egress-1, its Janus Streaming
//!        (the host) ┘              └── egress-2 …
//! ```

mod parts;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use ::node::contract::key;
use anyhow::{Result, ensure};

use crate::client::{Publisher, Viewers};
use crate::janus::{Janus, Role};
use crate::link::{Delay, Link};
use crate::netns::{Lab, output};
use crate::node::{NodeConfig, NodeProcess};
use crate::proxy::{Proxy, ProxyKind};
use crate::redis::{Redis, RedisConfig};
use crate::relay::{Mode, RelayProcess};
use crate::topology::CONTROL;
pub use parts::address;
use parts::{common, injection, janus, numbered, of, plug, relay, variables};

/// Where publishers run.
pub const PUBLISHER: &str = "publisher";
/// Where viewers run.
pub const VIEWERS: &str = "viewers";
/// Where a browser runs.
pub const BROWSER: &str = "browser";
/// Where a proxy runs; the nodes believe it.
pub const PROXY: &str = "proxy";
/// A machine on which somebody else starts nodes, each with ports of its own.
pub const MACHINE: &str = "machine";
/// HTTP port of the injection.
pub const INJECTION_API: u16 = 7070;
/// RTMP port of the injection, if it takes RTMP.
pub const RTMP_PORT: u16 = 1935;
/// HTTP port of the relay.
pub const RELAY_API: u16 = 7071;
/// HTTP port of every egress.
pub const EGRESS_API: u16 = 7073;

const INJECTION: &str = "injection-1";
const RELAY: &str = "relay-1";
const SECOND_RELAY: &str = "relay-2";
const SWITCH: &str = "switch";
/// The host's end of the wire to the switch, in a demo.
const HOST_INTERFACE: &str = "media-tree";
const API_SECRET: &str = "lab-api-secret";
const PLUGIN_SECRET: &str = "lab-plugin-secret";
const API_TOKEN: &str = "lab-api-token";
const WHIP_TOKEN: &str = "lab-whip-token";
const TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// What media goes over between the nodes. Redis, HTTP and WebRTC go over IPv4 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaOver {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An egress and its Janus.
pub struct Egress<'lab> {
    /// Its Janus Streaming.
    pub janus: Janus<'lab>,
    /// The node.
    pub node: NodeProcess<'lab>,
}

/// Everything between publishers and viewers.
pub struct Studio<'lab> {
    lab: &'lab Lab,
    over: MediaOver,
    /// Variables that injection and egresses have besides, and relays those that are theirs alone.
    more: Vec<(String, String)>,
    /// The tree.
    pub redis: Redis<'lab>,
    /// The injection's Janus VideoRoom.
    pub videoroom: Janus<'lab>,
    /// The injection.
    pub injection: NodeProcess<'lab>,
    /// The relay.
    pub relay: RelayProcess<'lab>,
    /// The egresses, egress-1 first.
    pub egresses: Vec<Egress<'lab>>,
}

impl<'lab> Studio<'lab> {
    /// Starts everything; of the egresses the first `joined` are the relay's children.
    pub fn open(lab: &'lab Lab, mode: Mode, egresses: usize, joined: usize) -> Result<Self> {
        Self::open_over(lab, MediaOver::V4, mode, egresses, joined)
    }

    /// The same with an injection that takes RTMP, for which GStreamer needs more parts than for all else.
    pub fn open_with_rtmp(lab: &'lab Lab, mode: Mode, egresses: usize, joined: usize) -> Result<Self> {
        let rtmp = RTMP_PORT.to_string();
        Self::open_with(lab, MediaOver::V4, mode, [egresses, joined], &[("RTMP", &rtmp)])
    }

    /// The same with media over that version of IP.
    pub fn open_over(
        lab: &'lab Lab,
        over: MediaOver,
        mode: Mode,
        egresses: usize,
        joined: usize,
    ) -> Result<Self> {
        Self::open_with(lab, over, mode, [egresses, joined], &[])
    }

    /// The same with more variables for injection and egresses; `{node}` in a value is the node's name. A name such as
    /// `egress-2/SERVER` or `relay-1/HISTORY` is that node's alone.
    pub fn open_with(
        lab: &'lab Lab,
        over: MediaOver,
        mode: Mode,
        [egresses, joined]: [usize; 2],
        more: &[(&str, &str)],
    ) -> Result<Self> {
        lab.add_namespace(SWITCH)?;
        lab.run(SWITCH, &["ip", "link", "add", "br0", "type", "bridge", "stp_state", "0"])?;
        lab.set_link(SWITCH, "br0", true)?;
        for ns in [CONTROL, INJECTION, RELAY, PUBLISHER, VIEWERS, BROWSER] {
            plug(lab, ns, over)?;
        }
        // The relay transmits into the bridge's port.
        lab.enable_gro(SWITCH, RELAY)?;
        let redis = Redis::start(lab, CONTROL, RedisConfig::default())?;
        for (parent, child) in
            [(INJECTION, RELAY.to_owned())].into_iter().chain((0..joined).map(|index| (RELAY, egress(index))))
        {
            redis.cli(&["SADD", &key::children(parent), &child])?;
            redis.cli(&["SET", &key::parent(&child), parent])?;
        }
        let url = redis.url(address(CONTROL)?);
        let more = variables(more);
        let relay = RelayProcess::attach(lab, relay(RELAY, mode, &url, over.address(RELAY)?, &more))?;
        let videoroom = janus(lab, INJECTION, Role::VideoRoom)?;
        let injection = injection(lab, &videoroom, &url, over, &more)?;
        let mut studio = Self { lab, over, more, redis, videoroom, injection, relay, egresses: Vec::new() };
        for index in 0..egresses {
            studio.add_egress(index, &url)?;
        }
        studio.relay.cli().wait_forwarding(joined)?;
        Ok(studio)
    }

    /// One more egress, which is nobody's child yet.
    pub fn add(&mut self) -> Result<()> {
        let url = self.redis.url(address(CONTROL)?);
        self.add_egress(self.egresses.len(), &url)
    }

    fn add_egress(&mut self, index: usize, redis: &str) -> Result<()> {
        let ns = egress(index);
        plug(self.lab, &ns, self.over)?;
        let janus = janus(self.lab, &ns, Role::Streaming)?;
        let mut environment = common(&ns, redis, self.over)?;
        environment.extend(variables(&[
            ("JANUS_STREAMING_WS_URL", &janus.url()),
            ("JANUS_STREAMING_API_SECRET", API_SECRET),
            ("JANUS_STREAMING_MOUNTPOINT_SECRET", PLUGIN_SECRET),
            ("JANUS_STREAMING_ADMIN_KEY", PLUGIN_SECRET),
            ("JANUS_ADMIN_URL", &janus.admin_url()),
            ("RTP_AUDIO_PORT", "5002"),
            ("RTP_VIDEO_PORT", "5004"),
        ]));
        environment.extend(of(&ns, &self.more));
        let config =
            NodeConfig { program: "egress", ns, port: EGRESS_API, token: API_TOKEN.to_owned(), environment };
        let node = NodeProcess::start(self.lab, config)?;
        self.egresses.push(Egress { janus, node });
        Ok(())
    }

    /// The namespaces that nodes run in now, the injection's first: each stands for a machine.
    pub fn machines(&self) -> Vec<String> {
        let egresses = (0..self.egresses.len()).map(egress);
        [INJECTION, RELAY].map(str::to_owned).into_iter().chain(egresses).collect()
    }

    /// The lab that it is in.
    pub fn lab(&self) -> &'lab Lab {
        self.lab
    }

    /// An operator makes an egress the relay's child.
    pub fn join(&self, index: usize) -> Result<()> {
        self.redis.cli(&["SET", &key::parent(&egress(index)), RELAY])?;
        self.redis.cli(&["SADD", &key::children(RELAY), &egress(index)]).map(drop)
    }

    /// An operator takes an egress from the relay.
    pub fn leave(&self, index: usize) -> Result<()> {
        self.redis.cli(&["SREM", &key::children(RELAY), &egress(index)])?;
        self.redis.cli(&["DEL", &key::parent(&egress(index))]).map(drop)
    }

    /// An operator feeds an egress by the injection itself, without the relay.
    pub fn bypass(&self, index: usize) -> Result<()> {
        self.leave(index)?;
        self.redis.cli(&["SET", &key::parent(&egress(index)), INJECTION])?;
        self.redis.cli(&["SADD", &key::children(INJECTION), &egress(index)]).map(drop)
    }

    /// And by the relay again.
    pub fn unbypass(&self, index: usize) -> Result<()> {
        self.redis.cli(&["SREM", &key::children(INJECTION), &egress(index)])?;
        self.join(index)
    }

    /// A second relay below the first, as an operator puts it there: the egress becomes its child, and it relay-1's.
    pub fn extend(&self, index: usize, mode: Mode) -> Result<RelayProcess<'lab>> {
        plug(self.lab, SECOND_RELAY, MediaOver::V4)?;
        self.lab.enable_gro(SWITCH, SECOND_RELAY)?;
        let (url, own) = (self.redis.url(address(CONTROL)?), address(SECOND_RELAY)?);
        let config = relay(SECOND_RELAY, mode, &url, own.into(), &self.more);
        let relay = RelayProcess::attach(self.lab, config)?;
        self.leave(index)?;
        for (parent, child) in [(RELAY, SECOND_RELAY), (SECOND_RELAY, &egress(index))] {
            self.redis.cli(&["SET", &key::parent(child), parent])?;
            self.redis.cli(&["SADD", &key::children(parent), child])?;
        }
        relay.cli().wait_forwarding(1)?;
        Ok(relay)
    }

    /// So many relays in a row below the first, relay-2 and on, and the egress below the last.
    pub fn extend_in_a_row(&self, index: usize, mode: Mode, count: usize) -> Result<Vec<RelayProcess<'lab>>> {
        let names: Vec<String> = (2..2 + count).map(|number| format!("relay-{number}")).collect();
        let url = self.redis.url(address(CONTROL)?);
        let mut relays = Vec::new();
        for name in &names {
            plug(self.lab, name, MediaOver::V4)?;
            self.lab.enable_gro(SWITCH, name)?;
            let config = relay(name, mode, &url, address(name)?.into(), &self.more);
            relays.push(RelayProcess::attach(self.lab, config)?);
        }
        self.leave(index)?;
        let last = egress(index);
        let row: Vec<&str> =
            [RELAY].into_iter().chain(names.iter().map(String::as_str)).chain([last.as_str()]).collect();
        for pair in row.windows(2) {
            self.redis.cli(&["SET", &key::parent(pair[1]), pair[0]])?;
            self.redis.cli(&["SADD", &key::children(pair[0]), pair[1]])?;
        }
        relays.iter().try_for_each(|relay| relay.cli().wait_forwarding(1))?;
        Ok(relays)
    }

    /// Puts a link between a node and the switch, so that what comes to it from anybody is lost and delayed; see [`Link::insert`].
    pub fn put_far_away(&self, node: &str, delay: Delay) -> Result<Link> {
        Link::insert(self.lab, (SWITCH, node, "br0"), node, Some(delay))
    }

    /// Makes a session; the tree's nodes learn of it from Redis.
    pub fn create_session(&self, sid: &str, [audio, video]: [u32; 2]) -> Result<()> {
        let body = format!(r#"{{"sessionId":"{sid}","audioSsrc":{audio},"videoSsrc":{video}}}"#);
        let response = self.injection.send("POST", "/session/create", &body)?;
        ensure!(response.status == 201, "creating {sid}: {response:?}");
        Ok(())
    }

    /// Where a session is published.
    pub fn whip(&self, sid: &str) -> Result<String> {
        Ok(format!("http://{}/whip/endpoint/{sid}", self.injection_address()?))
    }

    /// Where a session is viewed by programs.
    pub fn whep(&self, index: usize, sid: &str) -> Result<String> {
        Ok(format!("http://{}/whep/endpoint/{sid}", self.egress_address(index)?))
    }

    /// Where a session is viewed by people.
    pub fn page(&self, index: usize, sid: &str) -> Result<String> {
        Ok(format!("http://{}/?id={sid}", self.egress_address(index)?))
    }

    /// Where people publish.
    pub fn publish_page(&self, sid: &str) -> Result<String> {
        Ok(format!("http://{}/publish?id={sid}", self.injection_address()?))
    }

    /// The injection's HTTP.
    pub fn injection_address(&self) -> Result<SocketAddr> {
        Ok((address(INJECTION)?, INJECTION_API).into())
    }

    /// An egress' HTTP.
    pub fn egress_address(&self, index: usize) -> Result<SocketAddr> {
        Ok((address(&egress(index))?, EGRESS_API).into())
    }

    /// What publishers have to know.
    pub fn whip_token(&self) -> &'static str {
        WHIP_TOKEN
    }

    /// What Janus VideoRoom wants to be told, as secret and as admin key.
    pub fn videoroom_secret(&self) -> &'static str {
        PLUGIN_SECRET
    }

    /// A publisher of that session; `arguments` are `media-client publish`'s.
    pub fn publish(&self, sid: &str, arguments: &[&str]) -> Result<Publisher> {
        Publisher::start(self.lab, PUBLISHER, &self.whip(sid)?, WHIP_TOKEN, arguments)
    }

    /// The same by RTMP.
    pub fn publish_by_rtmp(&self, sid: &str, arguments: &[&str]) -> Result<Publisher> {
        let endpoint = format!("rtmp://{}:{RTMP_PORT}/live/{sid}?token={WHIP_TOKEN}", address(INJECTION)?);
        Publisher::start(self.lab, PUBLISHER, &endpoint, "", arguments)
    }

    /// `count` viewers of that session at each of these egresses.
    pub fn view(&self, sid: &str, egresses: &[usize], count: usize, arguments: &[&str]) -> Result<Viewers> {
        let endpoints = egresses.iter().map(|index| self.whep(*index, sid)).collect::<Result<Vec<_>>>()?;
        Viewers::start(self.lab, VIEWERS, &endpoints, count, arguments)
    }

    /// Waits until an egress says that media of a session really arrives; gives how long that took.
    pub fn wait_active(&self, index: usize, sid: &str) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let mountpoint = self.egresses[index].node.get(&format!("/mountpoint/{sid}"));
            if mountpoint.as_ref().is_ok_and(|answer| answer.body.contains("\"active\":true")) {
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < TIMEOUT,
                "{sid} is not active at {}: {mountpoint:?}\n{}",
                egress(index),
                self.diagnosis()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Gives the host an address on the switch, so that a browser outside reaches publishers' and viewers' pages. The
    /// interface goes when the lab goes.
    pub fn let_host_in(&self) -> Result<Ipv4Addr> {
        let host = numbered(254);
        let routes = output(Command::new("ip").args(["route", "get", &host.to_string()])).unwrap_or_default();
        ensure!(
            !routes.starts_with("local") && (routes.is_empty() || routes.contains(" via ")),
            "10.77.1.0/24 is in use on this machine already: {routes}"
        );
        let switch = self.lab.full_name(SWITCH);
        for arguments in [
            &["link", "add", HOST_INTERFACE, "type", "veth", "peer", "name", "host", "netns", &switch][..],
            &["address", "add", &format!("{host}/24"), "dev", HOST_INTERFACE],
            &["link", "set", HOST_INTERFACE, "up"],
        ] {
            output(Command::new("ip").args(arguments))?;
        }
        self.lab.run(SWITCH, &["ip", "link", "set", "host", "master", "br0"])?;
        self.lab.set_link(SWITCH, "host", true)?;
        Ok(host)
    }

    /// A machine at the switch, with nothing on it.
    pub fn add_machine(&self) -> Result<()> {
        plug(self.lab, MACHINE, MediaOver::V4)
    }

    /// What nodes want to know before they change something.
    pub fn api_token(&self) -> &'static str {
        API_TOKEN
    }

    /// The namespace that proxies are in, without one: whoever asks from there is believed to ask for others.
    pub fn proxy_namespace(&self) -> Result<()> {
        plug(self.lab, PROXY, MediaOver::V4)
    }

    /// Starts a proxy in front of the injection and the first egress; `changes` are other texts in its configuration.
    pub fn proxy(&self, kind: ProxyKind, changes: &[(&str, &str)]) -> Result<Proxy> {
        let nodes =
            [("127.0.0.1:7073", self.egress_address(0)?), ("127.0.0.1:7070", self.injection_address()?)];
        self.start_proxy(kind, "deploy/proxy", &nodes, changes)
    }

    /// Starts a proxy in front of the injection and the first two egresses, one door for all. Their `PUBLIC_URL` is to be
    /// `https://PROXY/{node}`, see [`address`].
    pub fn tree_proxy(&self, kind: ProxyKind) -> Result<Proxy> {
        let [first, second] = [self.egress_address(0)?, self.egress_address(1)?];
        let injection = self.injection_address()?;
        let nodes = [("127.0.0.1:7073", first), ("127.0.0.1:7083", second), ("127.0.0.1:7070", injection)];
        self.start_proxy(kind, "deploy/proxy/tree", &nodes, &[])
    }

    fn start_proxy(
        &self,
        kind: ProxyKind,
        folder: &str,
        nodes: &[(&str, SocketAddr)],
        changes: &[(&str, &str)],
    ) -> Result<Proxy> {
        self.proxy_namespace()?;
        Proxy::start(self.lab, kind, folder, (PROXY, address(PROXY)?), nodes, changes)
    }

    /// What every node says, for the message of a failed assertion.
    pub fn diagnosis(&self) -> String {
        let mut text = String::new();
        let mut add = |what: &str, said: String| text += &format!("\n-- {what}: {said}");
        let status =
            |node: &NodeProcess<'_>| node.get("/status").map_or_else(|e| format!("{e:#}"), |a| a.body);
        add("injection", status(&self.injection));
        add("its log", self.injection.process().tail());
        let relay = self.relay.cli().run(&["streams"]);
        add("relay-ctl streams", relay.map_or_else(|e| format!("{e:#}"), |answer| answer.stdout));
        for (index, egress_) in self.egresses.iter().enumerate() {
            add(&egress(index), status(&egress_.node));
            add("its log", egress_.node.process().tail());
        }
        text
    }
}

/// What the egress of that index is called.
pub fn egress(index: usize) -> String {
    format!("egress-{}", index + 1)
}
