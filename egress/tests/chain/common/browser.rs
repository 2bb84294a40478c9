//! Headless Chromium, by WebDriver.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Lab, Process};
use serde_json::{Value, json};

use super::LONG;

const SERVER: &str = "http://127.0.0.1:9515";

pub struct Browser<'lab> {
    lab: &'lab Lab,
    ns: &'static str,
    session: String,
    driver: Process,
}

impl<'lab> Browser<'lab> {
    pub fn start(lab: &'lab Lab, ns: &'static str) -> Browser<'lab> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=9515");
        let driver = lab.spawn(ns, command).unwrap();
        let started = Instant::now();
        while !driver.log().contains("started successfully") {
            assert!(started.elapsed() < LONG, "chromedriver does not start: {}", driver.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut browser = Browser { lab, ns, session: String::new(), driver };
        let profile = format!("--user-data-dir={}", lab.directory().join("chromium").display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1000,900",
            &profile,
        ];
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let session = browser.call("/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    pub fn open(&self, url: &str) {
        self.call(&format!("/session/{}/url", self.session), &json!({ "url": url }));
    }

    /// What a script gives.
    pub fn run(&self, script: &str) -> Value {
        self.call(
            &format!("/session/{}/execute/sync", self.session),
            &json!({ "script": script, "args": [] }),
        )
    }

    /// What the page says of itself.
    pub fn seen(&self, name: &str) -> f64 {
        self.run(&format!("return window.seen.{name}")).as_f64().unwrap_or_default()
    }

    /// Puts a screenshot into the build folder.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let path = format!("/session/{}/screenshot", self.session);
        let image = self.lab.in_namespace(self.ns, || {
            let body =
                agent().get(format!("{SERVER}{path}")).call().unwrap().body_mut().read_to_string().unwrap();
            serde_json::from_str::<Value>(&body).unwrap()["value"].as_str().unwrap_or_default().to_owned()
        });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, base64(&image.unwrap())).unwrap();
        file
    }

    /// As a crash would.
    pub fn kill(&self) {
        self.driver.kill9().unwrap();
    }

    fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.lab.in_namespace(self.ns, || {
            agent()
                .post(format!("{SERVER}{path}"))
                .send_json(body)
                .unwrap()
                .body_mut()
                .read_to_string()
                .unwrap()
        });
        serde_json::from_str::<Value>(&answer.unwrap()).unwrap()["value"].clone()
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .http_status_as_error(false);
    config.build().into()
}

fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .iter()
            .position(|known| *known == byte)
    };
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for value in text.bytes().filter_map(value) {
        (bits, count) = (bits << 6 | value as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
