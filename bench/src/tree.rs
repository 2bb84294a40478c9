//! [`Tree`]: a relay that follows a Redis in a namespace of its own, with children behind one interface.
//!
//! ```text
//! injection-1 ── relay-1 ── egress (10.0.2.11, .12, …)
//!                   └────── control: Redis
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::redis::{Connection, egress_fields};
use lab::relay::{Json, Mode, RelayConfig, RelayProcess};
use lab::topology::{CONTROL, control_host};
use lab::{Lab, Redis, RedisConfig, Topology, http};

use crate::figures::names;

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(3);
const API: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 7071);

/// A running tree.
pub struct Tree<'lab> {
    pub lab: &'lab Lab,
    pub topology: Topology,
    pub redis: Redis<'lab>,
    pub relay: RelayProcess<'lab>,
}

impl<'lab> Tree<'lab> {
    /// Nobody is a child yet.
    pub fn plant(lab: &'lab Lab, mode: Mode, addresses: usize) -> Result<Self> {
        let topology = Topology::one_nic(lab, addresses)?;
        let host = control_host(lab, &["relay-1"])?.remove(0);
        let redis = Redis::start(lab, CONTROL, RedisConfig::default())?;
        let config = RelayConfig::new("relay-1", mode, Vec::new()).following(
            &redis.url(host.v4),
            "relay-1",
            topology.relay.v4.into(),
        );
        let relay = RelayProcess::attach(lab, config)?;
        let ready = relay.ready().unwrap_or_default();
        ensure!(ready.contains(&format!("mode={mode}")), "asked for {mode}: {ready}");
        Ok(Self { lab, topology, redis, relay })
    }

    /// Children as egresses register: egress-1, egress-2 … at these places.
    pub fn register(&self, connection: &mut Connection, places: &[(Ipv4Addr, [u16; 2])]) -> Result<()> {
        let all: Vec<Vec<String>> = (1..)
            .zip(places)
            .map(|(number, (host, ports))| egress_fields(&egress(number), &host.to_string(), *ports))
            .collect();
        let words: Vec<Vec<&str>> =
            all.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
        connection.pipeline(&words)
    }

    /// `GET` from the daemon.
    pub fn get(&self, path: &str) -> Result<String> {
        loop {
            let response = http::get(self.lab, "relay-1", SocketAddr::from(API), path)?;
            // We ask more often than anybody may for long.
            if response.status != 429 {
                ensure!(response.status == 200, "GET {path}: {response:?}");
                return Ok(response.body);
            }
            std::thread::sleep(POLL);
        }
    }

    /// `GET` of JSON.
    pub fn json(&self, path: &str) -> Result<Json> {
        self.get(path)?.parse().with_context(|| format!("GET {path}"))
    }

    /// Waits until exactly these, sorted by name, are forwarded to.
    pub fn wait_forwarding(&self, wanted: &[String]) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut forwarding = names(&self.json("/children")?, "forwarding");
            forwarding.sort();
            if forwarding == wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{} of {} children after {TIMEOUT:?}; the daemon says: {}",
                forwarding.len(),
                wanted.len(),
                self.relay.process().tail()
            );
            lab::interrupt::check()?;
            std::thread::sleep(POLL);
        }
    }
}

/// The name of a child.
pub fn egress(number: usize) -> String {
    format!("egress-{number}")
}
