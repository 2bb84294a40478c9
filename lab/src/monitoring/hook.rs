//! [`Hook`]: whoever Alertmanager tells of alerts, by the generic webhook and as Slack.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::netns::Lab;

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_BODY: usize = 1 << 20;

/// It listens as long as the program runs.
pub struct Hook {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Message>>>,
}

/// What came by one POST.
#[derive(Clone, Debug)]
pub struct Message {
    /// When.
    pub at: Instant,
    /// Where it was sent.
    pub path: String,
    /// What.
    pub body: Value,
}

/// An alert of the generic webhook.
#[derive(Clone, Debug)]
pub struct Alert {
    /// When it was told.
    pub at: Instant,
    /// It is over.
    pub is_resolved: bool,
    /// By name; `alertname` is its own.
    pub labels: BTreeMap<String, String>,
}

impl Alert {
    /// Its name.
    pub fn name(&self) -> &str {
        self.label("alertname")
    }

    /// A label; nothing if it has no such.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", |value| value)
    }
}

impl Hook {
    /// Begins to listen on the loopback of a namespace.
    pub fn listen(lab: &Lab, ns: &str, port: u16) -> Result<Hook> {
        let listener = lab.in_namespace(ns, || TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let listener = listener.context("binding the webhook")?;
        let address = listener.local_addr()?;
        let told: Arc<Mutex<Vec<Message>>> = Arc::default();
        let heard = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok((path, body)) = post(stream) {
                    let message = Message { at: Instant::now(), path, body };
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                }
            }
        });
        Ok(Hook { address, told })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that has come to this path.
    pub fn messages(&self, path: &str) -> Vec<Message> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().filter(|message| message.path == path).cloned().collect()
    }

    /// All alerts that have been told by the generic webhook at this path, oldest first; one that is told again is here again.
    pub fn alerts(&self, path: &str) -> Vec<Alert> {
        let of = |message: Message| {
            let alerts = message.body["alerts"].as_array().cloned().unwrap_or_default();
            alerts.into_iter().map(move |alert| Alert {
                at: message.at,
                is_resolved: alert["status"] == "resolved",
                labels: labels(&alert["labels"]),
            })
        };
        self.messages(path).into_iter().flat_map(of).collect()
    }

    /// Waits for an alert; an error names those that have come.
    pub fn wait(&self, path: &str, patience: Duration, wanted: impl Fn(&Alert) -> bool) -> Result<Alert> {
        let began = Instant::now();
        loop {
            let alerts = self.alerts(path);
            if let Some(found) = alerts.iter().find(|alert| wanted(alert)) {
                return Ok(found.clone());
            }
            ensure!(began.elapsed() < patience, "not told within {patience:?}; told was {alerts:#?}");
            std::thread::sleep(POLL);
        }
    }
}

fn labels(labels: &Value) -> BTreeMap<String, String> {
    let labels = labels.as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Reads a request and answers 200.
fn post(mut stream: TcpStream) -> Result<(String, Value)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut part = [0; 4096];
    let body = loop {
        if let Some(body) = body(&request)? {
            break body;
        }
        let length = stream.read(&mut part)?;
        ensure!(length > 0 && request.len() < LONGEST_BODY, "not a whole request");
        request.extend_from_slice(&part[..length]);
    };
    let head = String::from_utf8_lossy(&request[..request.len() - body.len()]).into_owned();
    let path = head.split(' ').nth(1).context("no path")?.to_owned();
    let body = serde_json::from_slice(body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    Ok((path, body))
}

/// The body, once all of it is there.
fn body(request: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("a body of no length")?.trim().parse()?;
    Ok(request[end + 4..].get(..length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_to_its_end_and_no_further() {
        let head = "POST /alerts HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(body(b"POST /alerts HTTP/1.1\r\n").unwrap(), None);
        assert_eq!(body(format!("{head}{{").as_bytes()).unwrap(), None);
        assert_eq!(body(format!("{head}{{}}").as_bytes()).unwrap(), Some(&b"{}"[..]));
        assert!(body(b"POST / HTTP/1.1\r\n\r\n").is_err());
    }
}
