//! Peers that connect and send nothing, or their request a byte at a time, keep nobody else from being answered; an answer
//! that goes on for long is not cut off for them.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Idle, Served};
use node::http::{Access, Bounds, Limit};

const LONG: Duration = Duration::from_secs(10);

fn served(connections: usize, head: Duration) -> Served {
    Served::start_within(
        Idle::default(),
        Access::default(),
        Bounds { connections, client_connections: connections, head },
    )
}

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Sends a request, and reads the first line of its answer.
fn begin(served: &Served, path: &str) -> TcpStream {
    let mut stream = connect(served);
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    stream
}

/// The other side has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn ten_thousand_idle_connections_starve_nobody() {
    let served = served(100, Duration::from_secs(3600));
    let mut streaming = begin(&served, "/capture");
    // A hundred at a time: this process has file descriptors to care for as well.
    let mut idle: Vec<TcpStream> = Vec::new();
    let gave_way = || served.limits.refused(Limit::ClientConnections);
    for turn in 0..10_000 {
        // Who connects faster than it is let in fills the kernel's queue, and waits a second for each that does not fit there.
        let began = Instant::now();
        while turn % 250 == 0 && gave_way() + 100 < turn {
            assert!(began.elapsed() < LONG, "{} after {turn}", gave_way());
            std::thread::sleep(Duration::from_millis(1));
        }
        if idle.len() >= 300 {
            idle.remove(0);
        }
        idle.push(connect(&served));
        if turn % 1000 == 0 {
            let asked = Instant::now();
            assert_eq!(served.ask("GET", "/healthz", None, "").status, 200, "after {turn}");
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?} after {turn}", asked.elapsed());
        }
    }
    assert!(is_closed(&mut idle[0]), "it gave way");
    assert!(gave_way() > 9_000, "and was counted");
    streaming.set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    let open = streaming.read_to_end(&mut rest).unwrap_err();
    assert_eq!(open.kind(), ErrorKind::WouldBlock, "what is being answered never gives way");
}

#[test]
fn a_head_that_does_not_come_in_time_is_not_waited_for() {
    let head = Duration::from_millis(300);
    let served = served(100, head);
    let mut streaming = begin(&served, "/capture");
    let (mut silent, mut slow) = (connect(&served), connect(&served));
    let began = Instant::now();
    let mut closed = false;
    for byte in b"GET /status HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh\r\n\r\n" {
        closed |= slow.write_all(&[*byte]).is_err();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(closed || is_closed(&mut slow), "a byte at a time");
    assert!(is_closed(&mut silent), "nothing at all");
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    streaming.set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    let open = streaming.read_to_end(&mut rest).unwrap_err();
    assert_eq!(open.kind(), ErrorKind::WouldBlock, "an answer may take as long as it likes");
}
