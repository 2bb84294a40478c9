//! When every connection is busy, whoever watches the node is answered all the same, and everybody else is told so.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Idle, Served, connect, next_status};
use node::http::{Access, Bounds, Limit};

const LONG: Duration = Duration::from_secs(10);

fn ask(served: &Served, path: &str) -> TcpStream {
    let mut stream = connect("127.0.0.1", served.address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    stream
}

#[test]
fn with_all_connections_busy() {
    let bounds = Bounds { connections: 3, client_connections: 3, head: Duration::from_secs(3600) };
    let served = Served::start_within(
        Idle::default(),
        Access::default(),
        Bounds { client_connections: 1000, ..bounds },
    );
    let mut busy: Vec<TcpStream> = (0..3).map(|_| ask(&served, "/capture")).collect();
    assert!(busy.iter_mut().all(|stream| next_status(stream) == 200));
    // Others crowd at the door.
    let mut crowd: Vec<TcpStream> = (0..200).map(|_| connect("127.0.0.1", served.address)).collect();
    for path in ["/healthz", "/readyz", "/metrics"].repeat(20) {
        let asked = Instant::now();
        assert_eq!(next_status(&mut ask(&served, path)), 200, "{path}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{path} took {:?}", asked.elapsed());
        crowd.push(connect("127.0.0.1", served.address));
    }
    let before = served.limits.refused(Limit::Connections);
    for path in ["/status", "/capture", "/nowhere"] {
        let refused = served.ask("GET", path, None, "");
        assert_eq!((refused.status, refused.header("connection")), (503, "close"), "{path}");
        assert!(refused.error().contains("max-connections") && !refused.header("retry-after").is_empty());
    }
    assert!(served.limits.refused(Limit::Connections) >= before + 3);
    for stream in &mut busy {
        stream.set_nonblocking(true).unwrap();
        let open = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(open.kind(), ErrorKind::WouldBlock, "what is being answered is not cut off");
    }
    // As soon as the server has noticed.
    busy.pop();
    let began = Instant::now();
    while served.ask("GET", "/status", None, "").status != 200 {
        assert!(began.elapsed() < LONG);
    }
}
