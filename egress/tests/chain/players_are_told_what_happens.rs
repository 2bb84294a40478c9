//! The resource for events that `Link` names, as players know it: they POST the names that they want, and listen at the
//! `Location` that they get.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::json;

use crate::bad_requests_are_refused_and_leave_nothing::resource;
use crate::common::{LONG, World, lab};

#[test]
fn players_are_told_what_happens() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.egress.log().contains("session s1: mountpoint"));
    let (status, head, _) = world.request("POST", "/whep/endpoint/s1", &[], "");
    assert_eq!(status, 201, "{head}");
    let viewer = resource(&head);
    let link = head.lines().find_map(|line| line.strip_prefix("link: ")).unwrap();
    assert!(link.contains(&format!("{}/events>", viewer.rsplit('/').next().unwrap())), "{link}");

    let events = format!("{viewer}/events");
    let json_type = [("Content-Type", "application/json")];
    let ask = |body: &str| world.request("POST", &events, &json_type, body);
    assert_eq!(ask("{}").0, 400);
    assert_eq!(ask(&json!(vec!["x"; 17]).to_string()).0, 400);
    assert_eq!(world.request("POST", &events, &[("Content-Type", "text/plain")], "[]").0, 415);
    assert_eq!(world.request("POST", "/whep/endpoint/s1/nobody/events", &json_type, "[]").0, 404);
    assert_eq!(world.request("GET", "/whep/endpoint/s1/nobody/events", &[], "").0, 404);
    let (status, head, _) = ask(r#"["active","inactive","layers"]"#);
    assert_eq!(status, 201, "{head}");
    assert!(head.contains("location: events?only=active,inactive\r\n"), "{head}");

    let stream = world.lab.in_namespace("eg", || TcpStream::connect((Ipv4Addr::LOCALHOST, 7073)));
    let mut stream = stream.unwrap().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {events}?only=active,inactive HTTP/1.1\r\nHost: egress\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut told = lines.filter_map(|line| Some(line.strip_prefix("event: ")?.trim().to_owned()));
    assert_eq!(told.next().as_deref(), Some("inactive"), "nobody publishes");
    let sending = world.broadcast([7777, 8888]);
    assert_eq!(told.next().as_deref(), Some("active"));
    for process in sending {
        process.kill9().unwrap();
    }
    assert_eq!(told.next().as_deref(), Some("inactive"));
    assert_eq!(world.request("DELETE", &viewer, &[], "").0, 200);
    assert_eq!(told.next(), None, "it has left");
}
