//! [`Scene`]: a tree in which there is something of all that dashboards show, looked at by a real Prometheus.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Prometheus, watch};
use crate::browser::Browser;
use crate::client::Publisher;
use crate::netns::Lab;
use crate::node::program;
use crate::process::Process;
use crate::relay::Mode;
use crate::studio::{self, BROWSER, MediaOver, Studio, VIEWERS};
use crate::topology::CONTROL;

const SESSION: &str = "show";
/// Longer than any scene: they are told when to end.
const STAY: &str = "3600";

/// A broadcast through relay-1 to egress-1 with Janus and egress-2 with the native server, a second session that nobody publishes
/// to, viewers at both egresses, one by a browser, and a scaler that only says what it would do.
pub struct Scene<'lab> {
    /// The tree.
    pub studio: Studio<'lab>,
    /// Who looks at it.
    pub prometheus: Prometheus<'lab>,
    browser: Browser<'lab>,
    publisher: Publisher,
}

impl<'lab> Scene<'lab> {
    /// Opens it; time in Prometheus runs so many `times` faster ([`watch`]). Nobody watches yet.
    pub fn open(lab: &'lab Lab, times: u32) -> Result<Self> {
        let native = [("egress-2/SERVER", "native")];
        let studio = Studio::open_with(lab, MediaOver::V4, Mode::Xdp, [2, 2], &native)?;
        let prometheus = watch(&studio, times)?;
        scaler(&studio, &prometheus)?;
        studio.create_session(SESSION, [7777, 8888])?;
        studio.create_session("tomorrow", [7779, 8890])?;
        let publisher = studio.publish(SESSION, &[])?;
        for egress in 0..studio.egresses.len() {
            studio.wait_active(egress, SESSION)?;
        }
        let browser = Browser::start(lab, BROWSER, &[])?;
        Ok(Self { studio, prometheus, browser, publisher })
    }

    /// Lets happen what is to be seen, with a pause after each: viewers come, egress-2 is taken from the tree and given back, the
    /// relay's daemon is killed and started again, and more viewers come by the injection's door.
    pub fn play(&mut self, pause: Duration) -> Result<()> {
        let endpoints = [self.studio.whep(0, SESSION)?, self.studio.whep(1, SESSION)?];
        self.crowd(&endpoints, 6)?;
        self.browser.open(&self.studio.page(1, SESSION)?)?;
        sleep(pause);
        self.studio.leave(1)?;
        sleep(pause / 2);
        self.studio.join(1)?;
        sleep(pause);
        self.studio.relay.kill9()?;
        sleep(pause / 2);
        self.studio.relay.restart()?;
        sleep(pause);
        self.crowd(&[format!("http://{}/watch/{SESSION}", self.studio.injection_address()?)], 8)?;
        sleep(pause);
        Ok(())
    }

    /// Ends the broadcast.
    pub fn end(self) -> Result<()> {
        self.publisher.stop()
    }

    /// So many viewers of each, who lose a packet in a hundred and go where they are sent.
    fn crowd(&self, endpoints: &[String], count: usize) -> Result<Process> {
        let mut command = Command::new(program("media-client")?);
        command.args(["crowd", "--follow", "--within", "2", "--loss", "1", "--stay", STAY]);
        command.args(["--count", &(count * endpoints.len()).to_string()]);
        command.args(endpoints.iter().flat_map(|endpoint| ["--endpoint", endpoint]));
        self.studio.lab().spawn(VIEWERS, command)
    }
}

/// A scaler where Prometheus is, that has nothing to make nodes by, and Prometheus told of it as operators do.
fn scaler(studio: &Studio<'_>, prometheus: &Prometheus<'_>) -> Result<()> {
    let mut command = Command::new(program("scaler")?);
    command.arg("run").env("REDIS_URL", studio.redis.url(studio::address(CONTROL)?)).env("TREES", "tree-1");
    studio.lab().spawn(CONTROL, command)?;
    let list = prometheus.directory().join("targets/scalers.yml");
    fs::write(&list, "[{targets: ['127.0.0.1:7078'], labels: {job: scaler}}]")
        .with_context(|| format!("writing {}", list.display()))
}
