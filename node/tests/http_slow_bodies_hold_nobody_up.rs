//! A body that comes slowly keeps neither connections nor the right to send one from others.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use common::{Idle, Served, connect, next_status};
use node::config::HttpConfig;
use node::http::{Access, Bounds, Limit, Limits};

const LONG: Duration = Duration::from_secs(5);

/// Announces a hundred bytes, and sends one.
fn slow(served: &Served, from: &str) -> TcpStream {
    let mut stream = connect(from, served.address);
    let head = "POST /children HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[";
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn connections_with_slow_bodies_give_way() {
    let bounds = Bounds { connections: 5, client_connections: 5, head: Duration::from_secs(3600) };
    let served = Served::start_within(Idle::default(), Access::default(), bounds);
    let mut slow: Vec<TcpStream> = (0..5).map(|_| slow(&served, "127.0.0.1")).collect();
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(served.ask("GET", "/status", None, "").status, 200);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    assert_eq!(next_status(&mut slow[0]), 0, "it gave way");
    assert_eq!(served.limits.refused(Limit::Connections), 0);
}

#[test]
fn one_client_does_not_use_up_the_bodies_of_all() {
    let two = NonZeroUsize::new(2).unwrap();
    let limits = Limits::new(HttpConfig {
        bodies: NonZeroUsize::new(3).unwrap(),
        client_bodies: two,
        ..HttpConfig::default()
    });
    let served = Served::start(Idle::default(), Access { limits, ..Access::default() });
    let first = [slow(&served, "127.0.0.1"), slow(&served, "127.0.0.1")];
    let meets = |from: &str, limit: Limit, status: u16| {
        let (before, began) = (served.limits.refused(limit), Instant::now());
        // The slow ones are noticed when their heads have been read.
        while served.limits.refused(limit) == before {
            assert!(began.elapsed() < LONG, "{limit:?}");
            let mut stream = slow(&served, from);
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            assert!([0, status].contains(&next_status(&mut stream)));
        }
    };
    meets("127.0.0.1", Limit::ClientBodies, 429);
    let _third = slow(&served, "127.0.0.2");
    meets("127.0.0.3", Limit::Bodies, 503);
    // What needs no body is answered, and once there is room again, what does.
    // (By hand: ureq sends the end of an empty body as a chunk of its own, which may come later than the head.)
    let mut bare = connect("127.0.0.1", served.address);
    bare.write_all(b"POST /refresh HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(next_status(&mut bare), 200);
    drop(first);
    let began = Instant::now();
    while served.ask("POST", "/children", None, "[]").status != 201 {
        assert!(began.elapsed() < LONG);
    }
}
