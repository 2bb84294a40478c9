//! [`Alertmanager`] as a program in a namespace.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http;
use crate::netns::Lab;
use crate::process::Process;

const PORT: u16 = 9093;
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// A running Alertmanager. Dropping the handle leaves it to the lab, which kills it.
pub struct Alertmanager<'lab> {
    lab: &'lab Lab,
    ns: String,
    process: Process,
}

impl<'lab> Alertmanager<'lab> {
    /// Starts one with this configuration, and waits until it takes alerts.
    pub fn start(lab: &'lab Lab, ns: &str, configuration: &str) -> Result<Self> {
        let directory = lab.directory().join(format!("alertmanager-{ns}"));
        fs::create_dir_all(&directory)?;
        let file = directory.join("alertmanager.yml");
        fs::write(&file, configuration).with_context(|| format!("writing {}", file.display()))?;
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            // It has no others to agree with.
            .arg("--cluster.listen-address=");
        let process = lab.spawn(ns, command)?;
        let this = Self { lab, ns: ns.to_owned(), process };
        let began = Instant::now();
        while !this.ask("/-/ready").is_ok_and(|answer| answer.status == 200) {
            let runs = this.process.status()?.is_none() && began.elapsed() < READY_TIMEOUT;
            ensure!(runs, "Alertmanager does not get ready:\n{}", this.process.tail());
            std::thread::sleep(POLL);
        }
        Ok(this)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it has been told, muted ones too (`status.inhibitedBy`).
    pub fn alerts(&self) -> Result<Vec<Value>> {
        let answer = self.ask("/api/v2/alerts")?;
        ensure!(answer.status == 200, "{answer:?}");
        serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))
    }

    fn ask(&self, path: &str) -> Result<http::Response> {
        http::get(self.lab, &self.ns, SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)), path)
    }
}
