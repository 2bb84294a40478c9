//! Each limit of viewers, joins and events is met by somebody who wants too much, is said in words, and is counted; a viewer
//! beside it loses nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{World, browser, lab, seen};

/// Whoever asks by 127.0.0.1 is believed to ask for others.
const PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");

impl World<'_> {
    /// An empty POST for this client: status, `Retry-After`, error.
    fn joins(&self, session: &str, client: &str) -> (u16, String, String) {
        let path = format!("/whep/endpoint/{session}");
        let (status, head, body) = self.request("POST", &path, &[("X-Forwarded-For", client)], "");
        let again = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap_or_default();
        (status, again.to_owned(), body["error"].as_str().unwrap_or_default().to_owned())
    }

    /// A connection for events of this client, and how its answer begins.
    fn listens(&self, client: &str) -> (TcpStream, String) {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 7073));
        let mut stream = self.lab.in_namespace("eg", || TcpStream::connect(server)).unwrap().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {client}\r\n\r\n").unwrap();
        let (mut text, mut part) = (String::new(), [0; 4096]);
        while !text.contains("\r\n\r\n") {
            let length = stream.read(&mut part).unwrap();
            text += &String::from_utf8_lossy(&part[..length]);
        }
        (stream, text.to_lowercase())
    }

    /// How often a limit was met, by the metric.
    fn met(&self, limit: &str) -> u64 {
        let text = self.request("GET", "/metrics", &[], "").2;
        let line = format!("media_tree_egress_refused_total{{limit=\"{limit}\"");
        let found = text.as_str().unwrap().lines().find(|found| found.starts_with(&line)).unwrap();
        found.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

#[test]
fn a_viewer_beside_it_loses_nothing() {
    let lab = lab();
    let limits = [
        PROXY,
        ("MAX_VIEWERS", "7"),
        ("MAX_CLIENT_JOINING", "3"),
        ("MAX_EVENTS", "5"),
        ("MAX_CLIENT_EVENTS", "2"),
    ];
    let world = World::start_with(&lab, &limits);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
    let frames = seen(&browser, "framesDecoded");

    // The browser is one viewer; two clients take what is left, each as much as one may have.
    for client in ["192.0.2.1", "192.0.2.2"] {
        for turn in 0..3 {
            assert_eq!(world.joins("show", client).0, 201, "{client} {turn}");
        }
    }
    // Another place would be free of joining, but the house is full.
    let (status, again, why) = world.joins("show", "192.0.2.3");
    assert!(status == 503 && again == "10" && why.contains("max-viewers"), "{status} {again} {why}");
    assert_eq!(world.get("/status")["viewers"]["connecting"], json!(6));

    // The browser listens, too.
    let mut listening: Vec<TcpStream> = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        let (stream, head) = world.listens(client);
        let parts = [
            "http/1.1 200",
            "x-accel-buffering: no",
            "cache-control: no-cache, no-transform",
            "text/event-stream",
        ];
        assert!(parts.iter().all(|part| head.contains(part)), "{head}");
        listening.push(stream);
    }
    let (_, head) = world.listens("192.0.2.1");
    assert!(head.starts_with("http/1.1 429") && head.contains("retry-after: "), "{head}");
    listening.push(world.listens("192.0.2.4").0);
    let (_, head) = world.listens("192.0.2.5");
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: "), "{head}");

    for (limit, times) in [("viewers", 1), ("client_events", 1), ("events", 1), ("joining", 0)] {
        assert_eq!(world.met(limit), times, "{limit}");
    }
    assert_eq!(world.request("GET", "/healthz", &[], "").0, 200);
    world.until("it goes on", || seen(&browser, "framesDecoded") > frames + 30.0);
    assert_eq!((seen(&browser, "packetsLost"), seen(&browser, "connects")), (0.0, 1.0));

    // Who stops listening makes room.
    drop(listening);
    world.until("room to listen", || world.listens("192.0.2.5").1.starts_with("http/1.1 200"));
}

#[test]
fn joins_are_counted_by_client() {
    let lab = lab();
    let limits = [PROXY, ("MAX_JOINING", "4"), ("MAX_CLIENT_JOINING", "3"), ("MAX_CLIENT_JOINS", "2")];
    let world = World::start_with(&lab, &limits);
    world.session("show", 4001, [7777, 8888]);
    world.until("ready", || world.get("/mountpoint/show")["viewers"] == json!(0));
    let expect = |client: &str, wanted: u16, limit: &str| {
        let (status, again, why) = world.joins("show", client);
        let said = limit.is_empty() || (why.contains(limit) && !again.is_empty());
        assert!(status == wanted && said, "{client}: {status} {again:?} {why}");
    };
    world.until("Janus has it", || world.joins("show", "192.0.2.9").0 == 201);
    for _ in 0..3 {
        expect("192.0.2.1", 201, "");
    }
    expect("192.0.2.1", 429, "max-client-joining");
    expect("192.0.2.2", 503, "max-joining");
    // So many a second of one client, and beyond that it is not looked at any further.
    world.until("too many joins", || world.joins("show", "192.0.2.1").2.contains("max-client-joins"));
    for limit in ["client_joining", "joining", "client_joins"] {
        assert!(world.met(limit) > 0, "{limit}");
    }
    assert_eq!(world.joins("show", "192.0.2.3").0, 503, "others are asked for nothing");
    // Whoever is not trusted is one client, whatever it says.
    let server = SocketAddr::from((Ipv4Addr::new(10, 77, 0, 1), 7073));
    let stranger = |number: u32| {
        let client = format!("192.0.3.{}", number % 250);
        let headers = [("X-Forwarded-For", client.as_str())];
        lab::http::request(&lab, "view", server, "POST", "/whep/endpoint/show", &headers, "").unwrap().status
    };
    assert!((0..100).any(|number| stranger(number) == 429));
}

#[test]
fn all_that_join_and_go_are_forgotten() {
    let lab = lab();
    let world = World::start_with(&lab, &[PROXY, ("MAX_VIEWERS", "2")]);
    world.session("show", 4001, [7777, 8888]);
    world.until("Janus has it", || world.joins("show", "192.0.2.9").0 == 201);
    for turn in 0..20 {
        let path = "/whep/endpoint/show";
        let (status, head, _) = world.request("POST", path, &[], "");
        assert_eq!(status, 201, "{turn}");
        let location = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim();
        let viewer = location.rsplit('/').next().unwrap();
        assert_eq!(world.request("DELETE", &format!("{path}/{viewer}"), &[], "").0, 200);
        // A bad offer takes no place.
        let sdp = [("Content-Type", "application/sdp")];
        assert_eq!(world.request("POST", path, &sdp, "garbage").0, 400);
    }
    assert_eq!(world.get("/status")["viewers"]["connecting"], json!(1));
    let answer: Value = world.request("POST", "/whep/endpoint/show", &[], "").2;
    assert!(answer.is_string(), "{answer}");
}
