//! [`Browser`]: headless Chromium in a namespace, driven through chromedriver (W3C WebDriver over HTTP).
//!
//! What it reads is not the page's own account but the browser's: every RTCPeerConnection that a page makes is
//! remembered, and asked for its statistics.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http;
use crate::netns::Lab;
use crate::process::Process;

const PORT: u16 = 9515;
/// Chromium's first start on a busy machine takes long.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Before any script of the page.
const REMEMBER_PEERS: &str = "
    window.labPeers = [];
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
        constructor(...all) { super(...all); window.labPeers.push(this); }
    };";
const STATISTICS: &str = "
    const done = arguments[arguments.length - 1];
    (async () => {
        const inbound = [], outbound = [];
        for (const peer of window.labPeers) {
            if (peer.connectionState === 'closed') continue;
            for (const entry of (await peer.getStats()).values()) {
                if (entry.type === 'inbound-rtp') inbound.push(entry);
                if (entry.type === 'outbound-rtp') outbound.push(entry);
            }
        }
        done({
            states: window.labPeers.map(peer => peer.connectionState), inbound, outbound,
            title: document.title, text: document.body.innerText,
        });
    })();";

/// The candidate pairs that connections use: how each of our candidates came about, and what the relay is spoken to by.
const PAIRS: &str = "
    const done = arguments[arguments.length - 1];
    (async () => {
        const pairs = [];
        for (const peer of window.labPeers) {
            if (peer.connectionState !== 'connected') continue;
            const report = await peer.getStats();
            for (const entry of report.values()) {
                if (entry.type !== 'transport' || !entry.selectedCandidatePairId) continue;
                const local = report.get(report.get(entry.selectedCandidatePairId).localCandidateId);
                pairs.push(local.candidateType + (local.relayProtocol ? ' ' + local.relayProtocol : ''));
            }
        }
        done(pairs);
    })();";

/// One received stream, by the names of the W3C's webrtc-stats.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Inbound {
    /// `audio` or `video`.
    pub kind: String,
    /// SSRC.
    pub ssrc: u32,
    /// Packets.
    pub packets_received: u64,
    /// Packets lost; a late one counts back.
    pub packets_lost: i64,
    /// Frames decoded.
    pub frames_decoded: u64,
    /// Width of the picture.
    pub frame_width: u64,
    /// Times that the picture stood still.
    pub freeze_count: u64,
}

/// One sent stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outbound {
    /// `audio` or `video`.
    pub kind: String,
    /// Packets.
    pub packets_sent: u64,
    /// Frames encoded.
    pub frames_encoded: u64,
}

/// What a page's connections say, and what the page shows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// `connectionState` of each connection it ever made.
    pub states: Vec<String>,
    /// Streams received, of all connections that are not closed.
    pub inbound: Vec<Inbound>,
    /// Streams sent.
    pub outbound: Vec<Outbound>,
    /// The title.
    pub title: String,
    /// All text.
    pub text: String,
}

impl Statistics {
    /// The received stream of a kind that has the most packets.
    pub fn inbound(&self, kind: &str) -> Inbound {
        let streams = self.inbound.iter().filter(|stream| stream.kind == kind);
        streams.max_by_key(|stream| stream.packets_received).cloned().unwrap_or_default()
    }

    /// The same of what is sent.
    pub fn outbound(&self, kind: &str) -> Outbound {
        let streams = self.outbound.iter().filter(|stream| stream.kind == kind);
        streams.max_by_key(|stream| stream.packets_sent).cloned().unwrap_or_default()
    }
}

/// A browser with one window. Dropping it closes it; what remains the lab kills.
pub struct Browser<'lab> {
    lab: &'lab Lab,
    ns: String,
    session: String,
    driver: Process,
}

impl<'lab> Browser<'lab> {
    /// Starts chromedriver, and Chromium by it. `secure` are origins that count as such, which publishing needs.
    pub fn start(lab: &'lab Lab, ns: &str, secure: &[String]) -> Result<Self> {
        Self::start_with(lab, ns, secure, &[])
    }

    /// The same with more on Chromium's command line.
    pub fn start_with(lab: &'lab Lab, ns: &str, secure: &[String], more: &[&str]) -> Result<Self> {
        let profile = lab.directory().join(format!("chromium-{ns}"));
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={PORT}"));
        let driver = lab.spawn(ns, command).context("run `apt-get install chromium chromium-driver`")?;
        let mut browser = Self { lab, ns: ns.to_owned(), session: String::new(), driver };
        let deadline = Instant::now() + PATIENCE;
        while browser.call("GET", "/status", &Value::Null).is_err() {
            ensure!(Instant::now() < deadline, "chromedriver does not answer: {}", browser.driver.tail());
            std::thread::sleep(POLL);
        }
        let answer = browser.call("POST", "/session", &capabilities(&profile, secure, more))?;
        browser.session = answer["sessionId"].as_str().context("no session")?.to_owned();
        let parameters = json!({ "source": REMEMBER_PEERS });
        browser.post(
            "goog/cdp/execute",
            &json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": parameters }),
        )?;
        Ok(browser)
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// Width and height of the window.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.post("window/rect", &json!({ "width": width, "height": height })).map(drop)
    }

    /// Runs a script in the page; gives what it returns.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What the page's connections say now.
    pub fn statistics(&self) -> Result<Statistics> {
        let value = self.post("execute/async", &json!({ "script": STATISTICS, "args": [] }))?;
        serde_json::from_value(value).context("reading the statistics")
    }

    /// How each connection that is up reaches the other end: `host`, `prflx`, `relay tcp` …
    pub fn ways(&self) -> Result<Vec<String>> {
        let value = self.post("execute/async", &json!({ "script": PAIRS, "args": [] }))?;
        serde_json::from_value(value).context("reading the candidate pairs")
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
        let value = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null)?;
        let text = value.as_str().context("no picture")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).context("a picture in base64")?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))
    }

    /// As a crash would end it: it says nothing to anybody.
    pub fn kill9(&self) -> Result<()> {
        self.driver.kill9().map(drop)
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        self.call("POST", &format!("/session/{}/{what}", self.session), body)
    }

    /// One command; gives its `value`.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let driver = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        let headers = [("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response =
            http::request_within(self.lab, &self.ns, driver, method, path, &headers, &body, PATIENCE)?;
        let answer: Value = serde_json::from_str(&response.body)
            .with_context(|| format!("{path}: chromedriver answered {response:?}"))?;
        if response.status != 200 {
            bail!("{path}: {}: {}", answer["value"]["error"], answer["value"]["message"]);
        }
        Ok(answer["value"].clone())
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill9();
    }
}

fn capabilities(profile: &Path, secure: &[String], more: &[&str]) -> Value {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1024,768",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    arguments.push(format!("--user-data-dir={}", profile.display()));
    if !secure.is_empty() {
        arguments.push(format!("--unsafely-treat-insecure-origin-as-secure={}", secure.join(",")));
    }
    let options = json!({ "args": arguments });
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "timeouts": { "script": 20_000, "pageLoad": 30_000 },
    }}})
}
