//! Those who look at a tree: a real [`Prometheus`], a node_exporter for each machine, an [`Alertmanager`], and [whom it tells](Hook).

mod alertmanager;
mod hook;
pub mod panels;
mod prometheus;
mod scene;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::http;
use crate::netns::Lab;
use crate::process::Process;

pub use alertmanager::Alertmanager;
pub use hook::{Alert, Hook};
pub use prometheus::{Prometheus, Sample, Series};
pub use scene::Scene;
pub use watch::{faster, watch};

const EXPORTER_PORT: u16 = 9100;
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Starts a node_exporter in a namespace, on all its addresses: the network is the namespace's, all else the machine's.
pub fn node_exporter(lab: &Lab, ns: &str) -> Result<Process> {
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address=0.0.0.0:{EXPORTER_PORT}"));
    let process = lab.spawn(ns, command)?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, EXPORTER_PORT));
    let began = Instant::now();
    while http::get(lab, ns, server, "/").is_err() {
        let runs = process.status()?.is_none() && began.elapsed() < READY_TIMEOUT;
        ensure!(runs, "node_exporter does not get ready:\n{}", process.tail());
        std::thread::sleep(POLL);
    }
    Ok(process)
}
