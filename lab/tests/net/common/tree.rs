//! A relay that follows a real Redis: what an operator types there, and what the relay says about it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use lab::http::{self, Response};
use lab::redis::{Redis, RedisConfig};
use lab::relay::{AUDIO, Json, Mode, RelayConfig, VIDEO};
use lab::topology::{CONTROL, control_host};
use lab::{Lab, Topology, monotonic_ns};

use super::{Bench, TIMEOUT, name};

/// The daemon's API, as seen from its own namespace.
pub const API: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 7071);
/// How soon the relay has to have followed once Redis answers again.
pub const CONVERGED: Duration = Duration::from_secs(1);
/// A server that is silent, or has forgotten everything, is noticed within this time: nobody tells, so it is felt for.
pub const PULSE: Duration = Duration::from_secs(2);
/// `--topology-grace` of these tests; short, as one of them sits it out.
pub const GRACE: Duration = Duration::from_secs(3);
/// Between two questions to the daemon.
const POLL: Duration = Duration::from_millis(5);

/// relay-1 and the Redis that it follows, which knows all the topology's children as egress-1, egress-2 …
pub struct Tree<'lab> {
    pub bench: Bench<'lab>,
    pub redis: Redis<'lab>,
}

impl<'lab> Tree<'lab> {
    /// The first `attached` of the children are in `children:relay-1`, and forwarded to.
    pub fn grow(lab: &'lab Lab, topology: Topology, mode: Mode, attached: usize) -> Self {
        Self::grow_with(lab, topology, mode, attached, RedisConfig::default(), |config| config)
    }

    /// The same with another Redis and other arguments of the daemon.
    pub fn grow_with(
        lab: &'lab Lab,
        topology: Topology,
        mode: Mode,
        attached: usize,
        redis: RedisConfig,
        arguments: impl FnOnce(RelayConfig) -> RelayConfig,
    ) -> Self {
        let host = control_host(lab, &["relay-1"]).unwrap().remove(0);
        let redis = Redis::start(lab, CONTROL, redis).unwrap();
        sow(&redis, &topology, attached);
        let tree = Self::follow(lab, topology, mode, redis, host.v4, arguments);
        tree.wait_forwarding(&(0..attached).map(name).collect::<Vec<_>>());
        tree
    }

    /// relay-1 follows a Redis that is there, at this address.
    pub fn follow(
        lab: &'lab Lab,
        topology: Topology,
        mode: Mode,
        redis: Redis<'lab>,
        host: Ipv4Addr,
        arguments: impl FnOnce(RelayConfig) -> RelayConfig,
    ) -> Self {
        let config = RelayConfig::new("relay-1", mode, Vec::new())
            .following(&redis.url(host), "relay-1", topology.relay.v4.into())
            .with(&["--topology-grace", &GRACE.as_secs().to_string()]);
        let bench = Bench::attach_with(lab, topology, arguments(config));
        Self { bench, redis }
    }

    /// What somebody types at Redis' command line; gives what it printed.
    pub fn type_in(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        self.redis.cli(&words).unwrap()
    }

    /// Writes all registrations and `children:relay-1` again, as a controller does that finds them missing.
    pub fn sow(&self, attached: usize) {
        sow(&self.redis, &self.bench.topology, attached);
    }

    /// A request to the daemon's API.
    pub fn get(&self, path: &str) -> Response {
        loop {
            let response = http::get(self.bench.lab, "relay-1", SocketAddr::from(API), path).unwrap();
            // We ask more often than anybody may for long.
            if response.status != 429 {
                return response;
            }
            std::thread::sleep(POLL);
        }
    }

    /// `GET` of something that is JSON.
    pub fn json(&self, path: &str) -> Json {
        let response = self.get(path);
        response.body.parse().unwrap_or_else(|error| panic!("{path}: {error}: {response:?}"))
    }

    /// The children that are forwarded to.
    pub fn forwarding(&self) -> Vec<String> {
        let children = self.json("/children");
        let forwarding = children["children"].list().iter();
        let forwarding = forwarding.filter(|child| child["state"].text() == "forwarding");
        forwarding.map(|child| child["name"].text().to_owned()).collect()
    }

    /// Waits until exactly these children are forwarded to; gives how long that took.
    pub fn wait_forwarding(&self, children: &[String]) -> Duration {
        let began = Instant::now();
        loop {
            let forwarding = self.forwarding();
            if forwarding == children {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "forwarding to {forwarding:?}, not to {children:?}: {:?}{}",
                self.json("/status"),
                self.bench.diagnosis()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Waits until `/status` is as wanted, and gives it.
    pub fn wait_status(&self, what: &str, within: Duration, wanted: impl Fn(&Json) -> bool) -> Json {
        let began = Instant::now();
        loop {
            let status = self.json("/status");
            if wanted(&status) {
                return status;
            }
            assert!(
                began.elapsed() < within,
                "{what}: not within {within:?}: {status:?}{}",
                self.bench.diagnosis()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the daemon says that this is wrong with Redis; gives what `/status` and `/readyz` say.
    pub fn wait_trouble(&self, word: &str, within: Duration) -> Trouble {
        let began = Instant::now();
        let status = self.wait_status(&format!("a problem with '{word}'"), within, |status| {
            status["redis"]["problem"].text().contains(word)
        });
        let noticed = began.elapsed();
        let ready = self.get("/readyz");
        Trouble {
            problem: status["redis"]["problem"].text().to_owned(),
            readyz: format!("{} {}", ready.status, ready.body.trim()),
            noticed,
        }
    }

    /// Waits until nothing is wrong with Redis any more.
    pub fn wait_mended(&self) {
        self.wait_status("Redis is followed again", TIMEOUT, |status| {
            status["redis"]["connected"] == Json::Bool(true)
                && status["redis"]["registered"] == Json::Bool(true)
                && status["redis"]["problem"] == Json::Null
        });
    }

    /// Somebody adds a child right after Redis came back; the relay has to have it within a second of the return.
    pub fn converges_on(&self, child: usize, children: &[String], returned: Instant) -> Duration {
        assert_eq!(self.type_in(&format!("SADD children:relay-1 {}", name(child))), "1");
        self.wait_forwarding(children);
        let converged = returned.elapsed();
        assert!(
            converged < CONVERGED,
            "{converged:?} from Redis' return until its change was carried out{}",
            self.bench.diagnosis()
        );
        converged
    }
}

/// What was said while something was wrong.
pub struct Trouble {
    pub problem: String,
    pub readyz: String,
    pub noticed: Duration,
}

impl Trouble {
    /// A row of the table that `cargo xtask soak` collects.
    pub fn print(&self, mode: Mode, event: &str, converged: Option<Duration>) {
        let converged = converged.map_or("-".to_owned(), |time| format!("{:.3}", time.as_secs_f64()));
        println!(
            "| {mode} | {event} | after {:.2} s: {} | {} | {converged} |",
            self.noticed.as_secs_f64(),
            self.problem,
            self.readyz
        );
    }
}

fn sow(redis: &Redis, topology: &Topology, attached: usize) {
    for (index, child) in topology.children.iter().enumerate() {
        redis.egress(&name(index), &child.endpoint.v4.to_string(), [AUDIO, VIDEO]).unwrap();
    }
    redis.cli(&["SET", "parent:relay-1", "injection-1"]).unwrap();
    let names: Vec<String> = (0..attached).map(name).collect();
    let mut words = vec!["SADD", "children:relay-1"];
    words.extend(names.iter().map(String::as_str));
    if attached > 0 {
        redis.cli(&words).unwrap();
    }
}

/// A number from the environment, for runs longer than CI's.
pub fn from_environment(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
}

/// ms from one time stamp of [`monotonic_ns`] to another; 0 when it was before.
pub fn ms(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// Lets time pass in which nothing is to happen, while media is judged.
pub fn let_pass(time: Duration) {
    let end = monotonic_ns() + time.as_nanos() as u64;
    while monotonic_ns() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
}
