//! Viewers of a session that ends are told that it has ended and nothing else, however long Janus takes to end its mountpoint.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{LONG, World, lab};

#[test]
fn an_ended_session_is_not_said_to_stall() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let mut events = events(&world);
    assert_eq!(events.next().unwrap(), "state");

    // Whether its mountpoint is judged while it is taken down depends on the moment.
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(round * 170));
        world.janus().process().signal(Signal::SIGSTOP).unwrap();
        world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
        world.until("its routes are gone", || world.get("/mountpoint/s1")["active"] == json!(false));
        std::thread::sleep(Duration::from_millis(600));
        world.janus().process().signal(Signal::SIGCONT).unwrap();
        world.until("its mountpoint is gone", || world.get("/mountpoints")["count"] == json!(0));
        world.redis.cli(&["SADD", "sessions:active", "s1"]).unwrap();
        world.until("active again", || world.get("/mountpoint/s1")["active"] == json!(true));
        let told: Vec<String> = events.by_ref().take_while(|event| event != "started").collect();
        assert!(told.last().is_some_and(|event| event == "ended"), "{told:?}");
        assert!(!told.iter().any(|event| event == "stalled"), "{told:?}");
    }
}

/// The names of the events that a viewer of `s1` is sent.
fn events(world: &World<'_>) -> impl Iterator<Item = String> {
    let stream = world.lab.in_namespace("eg", || TcpStream::connect((Ipv4Addr::LOCALHOST, 7073)));
    let mut stream = stream.unwrap().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"GET /events?id=s1 HTTP/1.1\r\nHost: egress\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines();
    lines.map_while(Result::ok).filter_map(|line| Some(line.strip_prefix("event: ")?.trim().to_owned()))
}
