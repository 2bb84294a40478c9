//! Without a token, a page of another site that somebody's browser shows changes nothing at a node that this browser reaches, and
//! reads nothing by having its own name point there.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Idle, Served, with_token};
use node::http::Access;

fn ask(served: &Served, request: &str, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(served.address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn without_a_token() {
    let served = Served::start(Idle::default(), Access::default());
    let own = format!("Host: {}\r\n", served.address);
    let foreign = "Host: evil.example:7070\r\n";
    let table = [
        ("POST /refresh", own.clone(), 200),
        ("POST /refresh", format!("{own}Origin: http://{}\r\n", served.address), 200),
        ("POST /refresh", format!("{own}Origin: https://evil.example\r\n"), 403),
        ("POST /refresh", format!("{own}Origin: null\r\n"), 403),
        ("POST /refresh", format!("{own}Sec-Fetch-Site: cross-site\r\n"), 403),
        ("DELETE /children/egress-1", format!("{own}Origin: http://127.0.0.1:1\r\n"), 403),
        ("POST /refresh", format!("{foreign}Origin: http://evil.example:7070\r\n"), 403),
        ("GET /status", foreign.to_owned(), 403),
        ("GET /topology", foreign.to_owned(), 403),
        ("GET /capture", foreign.to_owned(), 403),
        ("POST /refresh", "Host: localhost\r\n".to_owned(), 200),
        ("GET /status", "Host: injection-1:7070\r\n".to_owned(), 200),
        // Whoever watches over it calls it by any name.
        ("GET /metrics", foreign.to_owned(), 200),
        ("GET /healthz", foreign.to_owned(), 200),
        ("GET /readyz", foreign.to_owned(), 200),
    ];
    for (request, headers, status) in table {
        assert_eq!(ask(&served, request, &headers), status, "{request}\n{headers}");
    }
    assert_eq!(served.done(), 3, "and no more");
}

#[test]
fn with_one_the_token_is_what_counts() {
    let served = Served::start(Idle::default(), with_token());
    let token = format!("Authorization: Bearer {}\r\n", common::TOKEN);
    let headers = format!("Host: media.example.com\r\nOrigin: https://elsewhere.example\r\n{token}");
    assert_eq!(ask(&served, "POST /refresh", &headers), 200);
    assert_eq!(ask(&served, "GET /status", "Host: media.example.com\r\n"), 200);
}
