//! A namespace with Redis, Janus and an injection, and one for those at the other end.

pub mod handmade;
pub mod receiver;
pub mod rtmp;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::http::Response;
use lab::janus::{JanusConfig, Role};
use lab::{Janus, Lab, Process, Redis, RedisConfig};
use serde_json::{Value, json};

pub use receiver::Receiver;

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(10);
pub const API_SECRET: &str = "hunter2";
pub const ROOM_SECRET: &str = "hunter3";

/// Everything that a broadcast needs.
pub struct Scene {
    pub injection: Process,
    pub janus: Janus<'static>,
    // Dropped last: it takes everything else with it.
    pub lab: &'static Lab,
    pub redis: Redis<'static>,
    owned: Option<Box<Lab>>,
}

impl Scene {
    /// Everything runs and is ready.
    pub fn start(name: &str) -> Scene {
        Scene::with(name, &[])
    }

    /// The same, with more in the injection's environment.
    pub fn with(name: &str, environment: &[(&str, &str)]) -> Scene {
        Scene::mapped(name, environment, None)
    }

    /// The same behind an address that stands for Janus' own.
    pub fn mapped(name: &str, environment: &[(&str, &str)], mapped: Option<Ipv4Addr>) -> Scene {
        let owned = Box::new(Lab::new(&format!("inj-{name}-")).unwrap());
        // SAFETY: the lab stays where it is until `drop` takes `owned`, after everything that refers to it.
        let lab: &'static Lab = unsafe { &*std::ptr::from_ref(owned.as_ref()) };
        for ns in ["node", "far"] {
            lab.add_namespace(ns).unwrap();
        }
        lab.link("node", "e0", "far", "e0").unwrap();
        lab.address("node", "e0", "10.77.0.1/24").unwrap();
        lab.address("far", "e0", "10.77.0.2/24").unwrap();
        let redis = Redis::start(lab, "node", RedisConfig::default()).unwrap();
        let janus = start_janus(lab, mapped);
        let injection = start_injection(lab, environment);
        let scene = Scene { injection, janus, lab, redis, owned: Some(owned) };
        scene.is_ready();
        scene
    }

    pub fn is_ready(&self) {
        until("the injection is ready", || self.get("/readyz").is_some_and(|answer| answer.status == 200));
    }

    /// `kill -9`, and started again.
    pub fn restart_injection(&mut self) {
        self.injection.kill9().unwrap();
        self.launch_injection();
        self.is_ready();
    }

    /// Starts it without waiting for it.
    pub fn launch_injection(&mut self) {
        self.injection = start_injection(self.lab, &[]);
    }

    /// `None` while nobody answers.
    pub fn try_status(&self) -> Option<Value> {
        serde_json::from_str(&self.get("/status")?.body).ok()
    }

    fn get(&self, path: &str) -> Option<Response> {
        lab::http::get(self.lab, "node", api(), path).ok()
    }

    /// Any request; a body that is JSON is said to be.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = self.ask_with(method, path, &[("Content-Type", "application/json")], body);
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    pub fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        lab::http::request(self.lab, "node", api(), method, path, headers, body).unwrap()
    }

    pub fn status(&self) -> Value {
        self.ask("GET", "/status", "").1
    }

    pub fn session(&self, id: &str) -> Value {
        self.ask("GET", &format!("/session/{id}"), "").1
    }

    /// A session with SSRCs 1111 and 2222.
    pub fn create(&self, id: &str) -> Value {
        let wish = json!({ "sessionId": id, "audioSsrc": 1111, "videoSsrc": 2222 });
        let (status, created) = self.ask("POST", "/session/create", &wish.to_string());
        assert_eq!(status, 201, "{created}");
        created
    }

    /// The far namespace registers as a child, and is one.
    pub fn child(&self) {
        self.redis.egress("egress-1", "10.77.0.2", [5002, 5004]).unwrap();
        self.redis.cli(&["SADD", "children:injection-1", "egress-1"]).unwrap();
        until("the child is sent to", || self.status()["pipeline"]["childrenCount"] == 1);
    }

    pub fn publisher(&self, session: &str, codec: &str) -> Process {
        let publisher = self.publisher_with(session, &[codec]);
        until("media comes", || {
            assert_eq!(publisher.status().unwrap(), None, "{}", publisher.log());
            self.session(session)["publisher"]["state"] == "publishing"
        });
        publisher
    }

    pub fn publisher_with(&self, session: &str, more: &[&str]) -> Process {
        self.publisher_from("far", session, more)
    }

    /// The same, from any namespace.
    pub fn publisher_from(&self, ns: &str, session: &str, more: &[&str]) -> Process {
        // Examples are built with the tests, into a folder beside the programs.
        let program =
            std::path::Path::new(env!("CARGO_BIN_EXE_injection")).with_file_name("examples/whip-publish");
        let mut command = Command::new(program);
        command.arg(format!("http://10.77.0.1:7070/whip/endpoint/{session}")).args(more);
        self.lab.spawn(ns, command).unwrap()
    }

    /// Nobody publishes, or nothing comes from who does: a newcomer is taken.
    pub fn has_room_for_another(&self, session: &str) -> bool {
        let publisher = &self.session(session)["publisher"];
        publisher.is_null() || publisher["state"] == "silent"
    }

    /// No packet passes between the two namespaces any more, and nobody is told.
    pub fn cut(&self) {
        let rules = "add table inet away; add chain inet away in { type filter hook input priority 0; }; \
                     add rule inet away in iifname e0 drop";
        for ns in ["node", "far"] {
            self.lab.run(ns, &["nft", rules]).unwrap();
        }
    }

    /// As before, for the publisher first: what it is asked when its media comes again is not lost.
    pub fn heal(&self) {
        for ns in ["far", "node"] {
            self.lab.run(ns, &["nft", "delete table inet away"]).unwrap();
        }
    }

    /// The rooms that Janus has, and the number of publishers in each.
    pub fn rooms(&self) -> Vec<(u64, u64)> {
        let rooms = async {
            let client = janus::Client::connect("ws://127.0.0.1:8188", Some(API_SECRET)).await?;
            let (handle, _events) = client.attach("janus.plugin.videoroom").await?;
            handle.message(json!({ "request": "list", "admin_key": ROOM_SECRET }), None).await
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = self.lab.in_namespace("node", || runtime().block_on(rooms)).unwrap().unwrap();
        let rooms = reply.data["list"].as_array().unwrap().iter();
        rooms
            .map(|room| (room["room"].as_u64().unwrap(), room["num_participants"].as_u64().unwrap()))
            .collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the injection's log:\n{}", self.injection.log());
        }
        self.owned.take();
    }
}

pub fn api() -> SocketAddr {
    ([127, 0, 0, 1], 7070).into()
}

/// Waits for something that takes a moment; gives how long it took.
pub fn until(what: &str, is: impl FnMut() -> bool) -> Duration {
    until_within(LONG, what, is)
}

/// The same for what takes longer.
pub fn until_within(longest: Duration, what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < longest, "not within {longest:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    started.elapsed()
}

fn start_injection(lab: &Lab, environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_injection"));
    command.args([
        "--api",
        "0.0.0.0:7070",
        "--node-host",
        "10.77.0.1",
        "--redis-host",
        "127.0.0.1",
        "--log",
        "debug",
    ]);
    command.env("JANUS_VIDEOROOM_API_SECRET", API_SECRET).env("JANUS_VIDEOROOM_ROOM_SECRET", ROOM_SECRET);
    command.envs(environment.iter().copied());
    lab.spawn("node", command).unwrap()
}

fn start_janus(lab: &Lab, mapped: Option<Ipv4Addr>) -> Janus<'_> {
    let config = JanusConfig {
        ns: "node".to_owned(),
        address: Ipv4Addr::new(10, 77, 0, 1),
        role: Role::VideoRoom,
        api_secret: API_SECRET.to_owned(),
        admin_key: ROOM_SECRET.to_owned(),
        mapped,
    };
    Janus::start(lab, config).unwrap()
}
