//! Firefox, by Marionette: the same commands as JSON over TCP, without a driver between.
//!
//! A message is `LENGTH:JSON`; a command is `[0, number, name, parameters]`, its answer `[1, number, error, result]`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::driver::{Driver, Order};
use super::{PATIENCE, POLL, REMEMBER_PEERS};
use crate::netns::Lab;
use crate::process::Process;

const PORT: u16 = 2828;
/// Longest message; a screenshot is the longest.
const MOST: usize = 64 << 20;

/// What Chromium is told on its command line: play without a click, a camera of colours and tones, no questions. All
/// else is as Debian ships it.
const PREFERENCES: &str = r#"
user_pref("media.autoplay.default", 0);
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.devices.insecure.enabled", true);
user_pref("media.getusermedia.insecure.enabled", true);
"#;

/// Runs in every page before its own scripts, whatever its Content-Security-Policy says.
const PRELOAD: &str = "
    addEventListener('DOMWindowCreated', event => {
        const window = event.target.defaultView;
        const sandbox = Cu.Sandbox(window, { sandboxPrototype: window, wantXrays: false });
        Cu.evalInSandbox(REMEMBER, sandbox);
    }, true);";

/// A Firefox and the connection that it is driven by.
pub(super) struct Marionette {
    process: Process,
    connection: Mutex<Connection>,
}

struct Connection {
    stream: TcpStream,
    number: u64,
}

impl Marionette {
    /// Starts Firefox with a profile of its own.
    pub fn start(lab: &Lab, ns: &str) -> Result<Self> {
        let home = lab.directory().join(format!("firefox-{ns}"));
        let profile = home.join("profile");
        fs::create_dir_all(&profile).with_context(|| format!("making {}", profile.display()))?;
        fs::write(profile.join("user.js"), PREFERENCES).context("writing preferences")?;
        give_default_route(lab, ns)?;
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--no-remote", "--width=1024", "--height=768", "--marionette"]);
        // What runs before a page's scripts is Firefox's own business, which it has to be told to allow.
        command.args(["-remote-allow-system-access", "--profile"]).arg(&profile);
        command.env("HOME", &home).env("MOZ_DISABLE_CONTENT_SANDBOX", "1");
        let process = lab.spawn(ns, command).context("run `apt-get install firefox-esr`")?;
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match lab.in_namespace(ns, || TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)))? {
                Ok(stream) => break stream,
                Err(error) => {
                    ensure!(
                        Instant::now() < deadline,
                        "firefox does not answer: {error}; {}",
                        process.tail()
                    );
                    std::thread::sleep(POLL);
                }
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Connection { stream, number: 0 };
        connection.read().context("firefox's greeting")?;
        connection.call("WebDriver:NewSession", json!({ "capabilities": {} }))?;
        connection.call("WebDriver:SetTimeouts", json!({ "script": 20_000, "pageLoad": 30_000 }))?;
        connection.call("Marionette:SetContext", json!({ "value": "chrome" }))?;
        let preload = PRELOAD.replace("REMEMBER", &json!(REMEMBER_PEERS).to_string());
        let load = "Services.mm.loadFrameScript('data:application/javascript;charset=utf-8,' \
                    + encodeURIComponent(arguments[0]), true)";
        connection.call("WebDriver:ExecuteScript", json!({ "script": load, "args": [preload] }))?;
        connection.call("Marionette:SetContext", json!({ "value": "content" }))?;
        Ok(Self { process, connection: Mutex::new(connection) })
    }
}

/// Where there is no default route, Firefox gathers no candidates for pages that have a camera or come from a file.
fn give_default_route(lab: &Lab, ns: &str) -> Result<()> {
    if !lab.run(ns, &["ip", "-4", "route", "show", "default"])?.trim().is_empty() {
        return Ok(());
    }
    let addresses = lab.run(ns, &["ip", "-4", "-oneline", "address", "show", "scope", "global"])?;
    let interface = addresses.split_whitespace().nth(1).context("no interface with an address")?;
    lab.run(ns, &["ip", "route", "add", "default", "dev", interface]).map(drop)
}

impl Marionette {
    /// What pages are told that its user wants: 0 is dark, 1 light.
    fn prefer(&self, dark: bool) -> Result<Value> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.call("Marionette:SetContext", json!({ "value": "chrome" }))?;
        let set = format!(
            "Services.prefs.setIntPref('layout.css.prefers-color-scheme.content-override', {})",
            u8::from(!dark)
        );
        connection.call("WebDriver:ExecuteScript", json!({ "script": set, "args": [] }))?;
        connection.call("Marionette:SetContext", json!({ "value": "content" }))
    }
}

impl Driver for Marionette {
    fn order(&self, order: Order<'_>) -> Result<Value> {
        // Without a sandbox a script sees what the page has made.
        let script = |script: &str| json!({ "script": script, "args": [], "sandbox": null });
        let (name, parameters) = match order {
            Order::Open(url) => ("WebDriver:Navigate", json!({ "url": url })),
            Order::Run(text) => ("WebDriver:ExecuteScript", script(text)),
            Order::RunAsync(text) => ("WebDriver:ExecuteAsyncScript", script(text)),
            Order::Resize(width, height) => {
                ("WebDriver:SetWindowRect", json!({ "width": width, "height": height }))
            }
            Order::Screen(screen) => {
                let (width, height) = screen.size();
                ("WebDriver:SetWindowRect", json!({ "width": width, "height": height }))
            }
            Order::Dark(dark) => return self.prefer(dark),
            Order::Act(actions) => ("WebDriver:PerformActions", actions.clone()),
            Order::Screenshot => ("WebDriver:TakeScreenshot", json!({ "full": false })),
            Order::NewTab => ("WebDriver:NewWindow", json!({ "type": "tab" })),
            Order::SwitchTo(tab) => ("WebDriver:SwitchToWindow", json!({ "handle": tab, "focus": true })),
            Order::Current => ("WebDriver:GetWindowHandle", json!({})),
        };
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = connection.call(name, parameters)?;
        // What is one value is wrapped, what is several is not.
        Ok(match result.get_mut("value") {
            Some(value) => value.take(),
            None => result,
        })
    }

    fn process(&self) -> &Process {
        &self.process
    }
}

impl Connection {
    /// One command; gives its result.
    fn call(&mut self, name: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let message = json!([0, self.number, name, parameters]).to_string();
        write!(self.stream, "{}:{message}", message.len()).with_context(|| format!("sending {name}"))?;
        let mut answer = self.read().with_context(|| format!("the answer to {name}"))?;
        if !answer[2].is_null() {
            bail!("{name}: {}: {}", answer[2]["error"], answer[2]["message"]);
        }
        Ok(answer[3].take())
    }

    fn read(&mut self) -> Result<Value> {
        let mut length = 0;
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            match byte[0] {
                b':' => break,
                digit @ b'0'..=b'9' if length < MOST => length = length * 10 + usize::from(digit - b'0'),
                other => bail!("{:?} in a message's length", char::from(other)),
            }
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}
