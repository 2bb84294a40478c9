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
    /// Body.
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
    request_within(lab, ns, server, method, path, headers, body, TIMEOUT)
}

/// The same, with patience for one that thinks longer.
#[allow(clippy::too_many_arguments, reason = "each is a part of a request")]
pub fn request_within(
    lab: &Lab,
    ns: &str,
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    timeout: Duration,
) -> Result<Response> {
    lab.in_namespace(ns, || request_here(server, method, path, headers, body, timeout))?
}

/// The same from wherever this program runs.
pub fn request_here(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    timeout: Duration,
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
    connect(server, timeout)
        .and_then(|stream| exchange(stream, &text))
        .with_context(|| format!("{method} {path} at {server}"))
}

fn connect(server: SocketAddr, timeout: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, TIMEOUT).context("connecting")?;
    stream.set_read_timeout(Some(timeout))?;
    Ok(stream)
}

/// Sends a whole request, and reads what comes back until its end; for those with a connection of their own, by TLS for one.
pub fn exchange(mut stream: impl Read + Write, request: &str) -> Result<Response> {
    stream.write_all(request.as_bytes()).context("sending")?;
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while !is_whole(&answer) {
        match stream.read(&mut part).context("reading the answer")? {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    let end = end_of_head(&answer).context("an answer without an end of its head")?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).into_owned(), &answer[end + 4..]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status code")?;
    let body = match header(&head, "transfer-encoding") {
        Some("chunked") => String::from_utf8_lossy(&put_together(body)).into_owned(),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    Ok(Response { status, head, body })
}

/// The body of one that came in chunks (RFC 9112 section 7.1), as far as it came.
fn put_together(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size =
            std::str::from_utf8(&chunks[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size @ 1..) = size else { break };
        let rest = &chunks[end + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        chunks = rest.get(size + 2..).unwrap_or_default();
    }
    body
}

fn end_of_head(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|four| four == b"\r\n\r\n")
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// True when it is as long as it says; not everybody closes the connection because we ask for it.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = end_of_head(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = header(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= end + 4 + length)
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
    fn an_answer_ends_where_it_says() {
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nab"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nab"), "until it closes");
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(put_together(b"5\r\nhel\r\n\r\n1\r\n!\r\n0\r\n\r\n"), b"hel\r\n!");
        assert_eq!(put_together(b"a\r\nas far as"), b"as far as");
        assert_eq!(put_together(b"a\r\ncut"), b"cut");
        assert_eq!(put_together(b"no size\r\nx"), b"");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            percent_encoded("rate(a{b=\"c\"}[5s]) < 3"),
            "rate%28a%7Bb%3D%22c%22%7D%5B5s%5D%29%20%3C%203"
        );
    }
}
