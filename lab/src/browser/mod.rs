//! [`Browser`]: headless Chromium or Firefox in a namespace, driven by the W3C's WebDriver commands.
//!
//! What it reads is not the page's own account but the browser's: every RTCPeerConnection that a page makes is
//! remembered, and asked for its statistics.

mod chromium;
mod driver;
mod firefox;
mod looks;
mod statistics;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use serde_json::Value;

use crate::netns::Lab;
use driver::{Driver, Order};
pub use looks::Screen;
pub use statistics::{Inbound, Outbound, Statistics};
use statistics::{REMEMBER_PEERS, STATISTICS, WAYS};

/// A browser's first start on a busy machine takes long.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Whose browser it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Chromium, by chromedriver.
    Chromium,
    /// Firefox ESR, by Marionette, which is built into it.
    Firefox,
}

impl Maker {
    /// All that pages are tried in.
    pub const ALL: [Maker; 2] = [Maker::Chromium, Maker::Firefox];
}

/// A browser with one window. Dropping it closes it; what remains the lab kills.
pub struct Browser<'lab> {
    driver: Box<dyn Driver + 'lab>,
    maker: Maker,
}

impl<'lab> Browser<'lab> {
    /// Starts Chromium. `secure` are origins that count as such, which publishing needs.
    pub fn start(lab: &'lab Lab, ns: &str, secure: &[String]) -> Result<Self> {
        Self::start_with(lab, ns, secure, &[])
    }

    /// The same with more on Chromium's command line.
    pub fn start_with(lab: &'lab Lab, ns: &str, secure: &[String], more: &[&str]) -> Result<Self> {
        let driver = chromium::Chromedriver::start(lab, ns, secure, more)?;
        Ok(Self { driver: Box::new(driver), maker: Maker::Chromium })
    }

    /// Starts a browser of that maker, in which every origin may publish. A namespace takes one of each.
    pub fn of(maker: Maker, lab: &'lab Lab, ns: &str, secure: &[String]) -> Result<Self> {
        match maker {
            Maker::Chromium => Self::start(lab, ns, secure),
            Maker::Firefox => Ok(Self { driver: Box::new(firefox::Marionette::start(lab, ns)?), maker }),
        }
    }

    /// Whose it is.
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.driver.order(Order::Open(url)).map(drop)
    }

    /// Opens a page in a tab of its own, which scripts run in from now on; gives its name.
    pub fn open_tab(&self, url: &str) -> Result<String> {
        let made = self.driver.order(Order::NewTab)?;
        let tab = made["handle"].as_str().context("a tab without a name")?.to_owned();
        self.switch_to(&tab)?;
        self.open(url)?;
        Ok(tab)
    }

    /// Scripts run in this tab from now on.
    pub fn switch_to(&self, tab: &str) -> Result<()> {
        self.driver.order(Order::SwitchTo(tab)).map(drop)
    }

    /// The tab that scripts run in.
    pub fn tab(&self) -> Result<String> {
        let name = self.driver.order(Order::Current)?;
        name.as_str().map(str::to_owned).context("a tab without a name")
    }

    /// Width and height of the window.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.driver.order(Order::Resize(width, height)).map(drop)
    }

    /// Runs a script in the page; gives what it returns. What the page declares by `let` and `const` only Chromium lets
    /// it see.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.driver.order(Order::Run(script))
    }

    /// What the page's connections say now.
    pub fn statistics(&self) -> Result<Statistics> {
        let value = self.driver.order(Order::RunAsync(STATISTICS))?;
        serde_json::from_str(value.as_str().unwrap_or_default()).context("reading the statistics")
    }

    /// How each connection that is up reaches the other end: `host`, `host tcp`, `relay tcp` …
    pub fn ways(&self) -> Result<Vec<String>> {
        let value = self.driver.order(Order::RunAsync(WAYS))?;
        serde_json::from_str(value.as_str().unwrap_or_default()).context("reading the candidate pairs")
    }

    /// Waits until the statistics are as wanted, and gives them.
    pub fn wait_until(&self, timeout: Duration, wanted: impl Fn(&Statistics) -> bool) -> Result<Statistics> {
        let deadline = Instant::now() + timeout;
        loop {
            let statistics = self.statistics()?;
            if wanted(&statistics) {
                return Ok(statistics);
            }
            ensure!(
                Instant::now() < deadline,
                "the browser did not get what was wanted within {timeout:?}: {statistics:#?}"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Writes what the window shows to a PNG file.
    pub fn screenshot(&self, file: &Path) -> Result<()> {
        let value = self.driver.order(Order::Screenshot)?;
        let text = value.as_str().context("no picture")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).context("a picture in base64")?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))
    }

    /// As a crash would end it: it says nothing to anybody.
    pub fn kill9(&self) -> Result<()> {
        self.driver.process().kill9().map(drop)
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        self.driver.close();
        let _ = self.driver.process().kill9();
    }
}
