//! Behind a proxy that the operator trusts, each client has limits of its own; whoever is not trusted is not believed.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::Write;
use std::num::NonZeroU32;
use std::time::Duration;

use common::{Idle, Served, connect, next_status};
use node::config::HttpConfig;
use node::http::{Access, Bounds, Limit, Limits, Rate, Trusted};

const FEW: Rate = Rate { burst: NonZeroU32::new(5).unwrap(), per_second: NonZeroU32::MIN };

fn served(trusted: &str, proxy_protocol: bool) -> Served {
    let trusted = Trusted::parse(&[trusted.to_owned()]).unwrap();
    let config = HttpConfig { trusted, proxy_protocol, rate: FEW, ..HttpConfig::default() };
    let access = Access { limits: Limits::new(config), ..Access::default() };
    let bounds = Bounds { connections: 100, client_connections: 1, head: Duration::from_secs(10) };
    Served::start_within(Idle::default(), access, bounds)
}

/// Asks on one connection, with this before the first byte and this header in each request; gives the statuses.
fn ask(served: &Served, from: &str, before: &[u8], headers: &[&str]) -> Vec<u16> {
    let mut stream = connect(from, served.address);
    let _ = stream.write_all(before);
    let mut statuses = Vec::new();
    for header in headers {
        // In one piece: with Nagle's algorithm every piece after the first waits.
        let request = format!("GET /status HTTP/1.1\r\nHost: h\r\n{header}\r\n");
        let _ = stream.write_all(request.as_bytes());
        statuses.push(next_status(&mut stream));
    }
    statuses
}

/// Five at once and then one a second: on a busy machine another second may pass meanwhile.
fn are_limited(statuses: &[u16]) -> bool {
    statuses.iter().filter(|status| **status == 429).count() + 2 >= statuses.len()
}

/// The case of the field: 700 requests from one address, for many clients.
#[test]
fn each_client_of_a_trusted_proxy_has_its_own_limit() {
    let served = served("127.0.0.1", false);
    let of = |header: &str, count: usize| {
        let headers: Vec<String> = (0..count).map(|at| format!("{header}192.0.2.{}\r\n", at / 5)).collect();
        ask(&served, "127.0.0.1", b"", &headers.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(of("X-Forwarded-For: ", 700), [200; 700]);
    let last = ["Forwarded: proto=https;for=192.0.2.139\r\n"; 5];
    let last = ask(&served, "127.0.0.1", b"", &last);
    assert!(are_limited(&last), "it has asked five times before, by the other header: {last:?}");
    // What clients write themselves comes before, and changes nothing.
    let spoofed: Vec<String> =
        (0..10).map(|at| format!("X-Forwarded-For: 10.9.9.{at}, 198.51.100.1\r\n")).collect();
    let spoofed: Vec<&str> = spoofed.iter().map(String::as_str).collect();
    let spoofed = ask(&served, "127.0.0.1", b"", &spoofed);
    assert!(spoofed[..5] == [200; 5] && are_limited(&spoofed[5..]), "{spoofed:?}");
    assert!(served.limits.refused(Limit::ClientRequests) >= 6);
}

#[test]
fn nobody_else_is_believed() {
    let served = served("127.0.0.9", false);
    let headers: Vec<String> = (0..10)
        .map(|at| format!("X-Forwarded-For: 192.0.2.{at}\r\nForwarded: for=192.0.2.{at}\r\n"))
        .collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let statuses = ask(&served, "127.0.0.1", b"", &headers);
    assert!(are_limited(&statuses[5..]), "{statuses:?}");
    assert_eq!(ask(&served, "127.0.0.2", b"", &[""]), [200], "another one");
}

#[test]
fn the_proxy_protocol_says_who_connects() {
    let served = served("127.0.0.1", true);
    let is_limited = |before: &[u8]| {
        let statuses = ask(&served, "127.0.0.1", before, &[""; 10]);
        assert!(statuses[..5] == [200; 5] && are_limited(&statuses[5..]), "{statuses:?}");
    };
    let first = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 4711 443\r\n");
    is_limited(first("192.0.2.1").as_bytes());
    is_limited(first("192.0.2.2").as_bytes());
    let again = ask(&served, "127.0.0.1", first("192.0.2.2").as_bytes(), &[""; 5]);
    assert!(are_limited(&again), "the same on another connection: {again:?}");
    // Version 2, of IPv6.
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
    second.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    second.extend([0; 16]);
    second.extend([1, 2, 3, 4]);
    is_limited(&second);
    // The proxy itself, which looks whether we are there.
    is_limited(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    // In what comes by it, a header may name a client further away only if the one that it names is trusted.
    let spoofed: Vec<String> = (0..10).map(|at| format!("X-Forwarded-For: 192.0.2.10{at}\r\n")).collect();
    let spoofed: Vec<&str> = spoofed.iter().map(String::as_str).collect();
    let spoofed = ask(&served, "127.0.0.1", first("192.0.2.3").as_bytes(), &spoofed);
    assert!(are_limited(&spoofed[5..]), "{spoofed:?}");

    assert_eq!(ask(&served, "127.0.0.1", b"", &[""]), [0], "a header has to be there");
    assert_eq!(ask(&served, "127.0.0.1", b"PROXY TCP4 nonsense\r\n", &[""]), [0]);
    assert_eq!(served.limits.refused(Limit::ProxyProtocol), 2);
    assert_eq!(ask(&served, "127.0.0.2", b"", &[""]), [200], "only trusted proxies send headers");
    assert_eq!(
        ask(&served, "127.0.0.2", first("192.0.2.7").as_bytes(), &[""]),
        [400],
        "from others it is noise"
    );
}

#[test]
fn connections_are_counted_by_client_too() {
    let served = served("127.0.0.1", true);
    let open = |client: &str| {
        let mut stream = connect("127.0.0.1", served.address);
        write!(stream, "PROXY TCP4 {client} 10.0.0.1 4711 443\r\nGET /capture HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        let status = next_status(&mut stream);
        (stream, status)
    };
    let (_first, other) = (open("192.0.2.1"), open("192.0.2.2"));
    assert_eq!(other.1, 200);
    assert_eq!(open("192.0.2.1").1, 0, "its one connection is busy");
    assert_eq!(served.limits.refused(Limit::ClientConnections), 1);
    assert_eq!(open("192.0.2.3").1, 200);
}
