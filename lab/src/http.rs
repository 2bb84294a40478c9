//! One HTTP request from inside a namespace, as a script would make it; no connection is kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Lab;

const TIMEOUT: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines, as they came.
    pub head: String,
    /// Body; of one that comes in chunks, with the chunks' sizes in it.
    pub body: String,
}

/// A request without headers of its own.
pub fn get(lab: &Lab, ns: &str, server: SocketAddr, path: &str) -> Result<Response> {
    request(lab, ns, server, "GET", path, &[], "")
}

/// Any request.
pub fn request(
    lab: &Lab,
    ns: &str,
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    text += body;
    lab.in_namespace(ns, || exchange(server, &text))?.with_context(|| format!("{method} {path} at {server}"))
}

fn exchange(server: SocketAddr, request: &str) -> Result<Response> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT).context("connecting")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes()).context("sending")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("reading the answer")?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status code")?;
    Ok(Response { status, head: head.to_owned(), body: body.to_owned() })
}

/// A text as it may stand in a query.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            percent_encoded("rate(a{b=\"c\"}[5s]) < 3"),
            "rate%28a%7Bb%3D%22c%22%7D%5B5s%5D%29%20%3C%203"
        );
    }
}
