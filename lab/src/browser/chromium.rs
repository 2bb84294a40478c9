//! Chromium, by chromedriver: WebDriver over HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::driver::{Driver, Order};
use super::{PATIENCE, POLL, REMEMBER_PEERS};
use crate::http;
use crate::netns::Lab;
use crate::process::Process;

const PORT: u16 = 9515;

/// chromedriver, and a session of it.
pub(super) struct Chromedriver<'lab> {
    lab: &'lab Lab,
    ns: String,
    session: String,
    process: Process,
}

impl<'lab> Chromedriver<'lab> {
    /// Starts chromedriver, and Chromium by it.
    pub fn start(lab: &'lab Lab, ns: &str, secure: &[String], more: &[&str]) -> Result<Self> {
        let profile = lab.directory().join(format!("chromium-{ns}"));
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={PORT}"));
        let process = lab.spawn(ns, command).context("run `apt-get install chromium chromium-driver`")?;
        let mut driver = Self { lab, ns: ns.to_owned(), session: String::new(), process };
        let deadline = Instant::now() + PATIENCE;
        while driver.call("GET", "/status", &Value::Null).is_err() {
            ensure!(Instant::now() < deadline, "chromedriver does not answer: {}", driver.process.tail());
            std::thread::sleep(POLL);
        }
        let answer = driver.call("POST", "/session", &capabilities(&profile, secure, more))?;
        driver.session = answer["sessionId"].as_str().context("no session")?.to_owned();
        driver.remember_peers()?;
        Ok(driver)
    }

    /// In the tab that orders go to.
    fn remember_peers(&self) -> Result<()> {
        self.develop("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": REMEMBER_PEERS })).map(drop)
    }

    /// A command of Chromium's own, for those who develop pages.
    fn develop(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        self.call("POST", &format!("/session/{}/{what}", self.session), body)
    }

    fn get(&self, what: &str) -> Result<Value> {
        self.call("GET", &format!("/session/{}/{what}", self.session), &Value::Null)
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

impl Driver for Chromedriver<'_> {
    fn order(&self, order: Order<'_>) -> Result<Value> {
        match order {
            Order::Open(url) => self.post("url", &json!({ "url": url })),
            Order::Run(script) => self.post("execute/sync", &json!({ "script": script, "args": [] })),
            Order::RunAsync(script) => self.post("execute/async", &json!({ "script": script, "args": [] })),
            Order::Resize(width, height) => {
                self.post("window/rect", &json!({ "width": width, "height": height }))
            }
            // Its windows are not as narrow as a phone.
            Order::Screen(screen) => {
                let (width, height) = screen.size();
                let metrics =
                    json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
                self.develop("Emulation.setDeviceMetricsOverride", &metrics)
            }
            Order::Dark(dark) => {
                let scheme =
                    json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
                self.develop("Emulation.setEmulatedMedia", &json!({ "features": [scheme] }))
            }
            Order::Act(actions) => self.post("actions", actions),
            Order::Screenshot => self.get("screenshot"),
            Order::NewTab => self.post("window/new", &json!({ "type": "tab" })),
            Order::SwitchTo(tab) => {
                let switched = self.post("window", &json!({ "handle": tab }))?;
                self.remember_peers()?;
                Ok(switched)
            }
            Order::Current => self.get("window"),
        }
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn close(&self) {
        if !self.session.is_empty() {
            let _ = self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
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
