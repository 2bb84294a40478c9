//! Whom an egress cannot keep goes on at another one: the page without a reload, and while it plays or waits; players of others by
//! the event that they know; newcomers by a redirection; and when an egress is killed or hangs, the page knows where else to go.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use lab::browser::Maker;
use lab::{Browser, Lab, Process};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::bad_requests_are_refused_and_leave_nothing::resource;
use crate::common::{By, LONG, World, browser, browser_of, lab, seen, start_egress_at};

const SSRCS: [u32; 2] = [7777, 8888];
/// HTTP and media of the second egress, which is on the same host.
const API: u16 = 7083;
const MEDIA: [u16; 2] = [5012, 5014];

/// `egress-2`, beside that of the world.
fn second(lab: &Lab, env: &[(&str, &str)]) -> Process {
    let own = [
        ("NODE_ID", "egress-2"),
        ("RTP_AUDIO_PORT", "5012"),
        ("RTP_VIDEO_PORT", "5014"),
        ("MEDIA_PORT", "7085"),
    ];
    start_egress_at(lab, By::Native, API, &[&own, env].concat())
}

/// JSON of a request at an egress.
fn ask(lab: &Lab, port: u16, method: &str, path: &str) -> Value {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let headers = [("Content-Type", "application/json")];
    let body = if method == "POST" { "{}" } else { "" };
    let answer = lab::http::request(lab, "eg", server, method, path, &headers, body);
    answer.ok().and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default()
}

/// Two egresses that have the session, with media.
fn two<'lab>(lab: &'lab Lab, env: &[(&str, &str)]) -> (World<'lab>, Process, [Process; 2]) {
    let world = World::start_by(lab, By::Native, env);
    let other = second(lab, env);
    world.session("show", 4001, SSRCS);
    let sending = world.broadcast_to(&[[5002, 5004], MEDIA], SSRCS);
    for port in [7073, API] {
        world.until("active", || ask(lab, port, "GET", "/mountpoint/show")["active"] == json!(true));
    }
    (world, other, sending)
}

fn connected(lab: &Lab, port: u16) -> Value {
    ask(lab, port, "GET", "/status")["viewers"]["connected"].clone()
}

/// The page plays, and goes on doing so.
fn plays_on(world: &World<'_>, browser: &Browser<'_>) {
    world.until("it plays", || browser.run("return seen.state").unwrap() == json!("playing"));
    let frames = seen(browser, "framesDecoded");
    world.until("it plays on", || seen(browser, "framesDecoded") > frames + 20.0);
}

/// Where the page would go if its egress were gone.
fn knows(world: &World<'_>, browser: &Browser<'_>, endpoint: &str) {
    let told = || browser.run("return window.seen.elsewhere.join()").unwrap();
    world.until("it knows where else to go", || told() == json!(endpoint));
}

const FIRST: &str = "http://10.77.0.1:7073/whep/endpoint/show";
const SECOND: &str = "http://10.77.0.1:7083/whep/endpoint/show";

#[test]
fn the_page_goes_on_elsewhere_without_a_reload() {
    goes_on(Maker::Chromium);
}

#[test]
fn the_page_in_firefox_does() {
    goes_on(Maker::Firefox);
}

fn goes_on(maker: Maker) {
    let lab = lab();
    let (world, other, _sending) = two(&lab, &[]);
    let browser = browser_of(&lab, maker);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
    // The longest time between two pictures that were shown, and whether it is the same page.
    browser
        .run(
            "window.mark = 'same'; window.gap = 0; let last = performance.now();
            const next = () => video.requestVideoFrameCallback(now => { gap = Math.max(gap, now - last); last = now; next(); });
            next();",
        )
        .unwrap();
    let is_same = || browser.run("return window.mark === 'same'").unwrap() == json!(true);
    let gap = |what: &str| {
        let gap = browser.run("const was = gap; gap = 0; return was").unwrap();
        // Firefox calls back into no script of a driver's.
        if maker == Maker::Chromium {
            println!("{what}: {:.0} ms between two pictures at most", gap.as_f64().unwrap_or_default());
        }
    };

    assert_eq!(ask(&lab, 7073, "POST", "/drain")["state"], json!("draining"));
    world.until("it has moved", || seen(&browser, "moves") == 1.0);
    world.until("nobody is left", || ask(&lab, 7073, "GET", "/drain")["state"] == json!("drained"));
    assert_eq!((connected(&lab, API), seen(&browser, "joins")), (json!(1), 1.0));
    plays_on(&world, &browser);
    assert!(is_same());
    gap("drained");

    // Back in service: the page is told that it could go there.
    ask(&lab, 7073, "DELETE", "/drain");
    knows(&world, &browser, FIRST);
    other.kill9().unwrap();
    world.until("it looks elsewhere", || seen(&browser, "lost") == 1.0);
    world.until("it is back", || connected(&lab, 7073) == json!(1));
    plays_on(&world, &browser);
    assert!(is_same());
    gap("killed");
}

/// An egress that stands still for a moment keeps its viewers; one that hangs loses them to another, and nobody is in two places in the
/// end.
#[test]
fn the_page_leaves_an_egress_that_hangs_and_none_that_hesitates() {
    let lab = lab();
    let (world, other, _sending) = two(&lab, &[]);
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    plays_on(&world, &browser);
    knows(&world, &browser, SECOND);
    world.egress.signal(Signal::SIGSTOP).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    world.egress.signal(Signal::SIGCONT).unwrap();
    plays_on(&world, &browser);
    assert_eq!((seen(&browser, "lost"), seen(&browser, "moves"), seen(&browser, "joins")), (0.0, 0.0, 1.0));

    world.egress.signal(Signal::SIGSTOP).unwrap();
    world.until("it goes elsewhere", || seen(&browser, "moves") == 1.0);
    plays_on(&world, &browser);
    assert_eq!(connected(&lab, API), json!(1));
    world.egress.signal(Signal::SIGCONT).unwrap();
    world.until("it has left", || connected(&lab, 7073) == json!(0));
    drop(other);
}

/// A page that waits for a broadcast waits elsewhere when its egress is drained or killed, and plays when the broadcast begins.
#[test]
fn a_page_that_waits_is_sent_on() {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    let other = second(&lab, &[]);
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    let is = |state: &str| browser.run("return seen.state").unwrap() == json!(state);
    let waits_at = |endpoint: &str| browser.run("return post.at").unwrap() == json!(endpoint);
    world.until("it waits", || is("waiting") && waits_at(FIRST));
    ask(&lab, 7073, "POST", "/drain");
    world.until("it waits elsewhere", || waits_at(SECOND));
    world.session("show", 4001, SSRCS);
    let _sending = world.broadcast_to(&[[5002, 5004], MEDIA], SSRCS);
    plays_on(&world, &browser);
    let text = || browser.run("return $('watching').textContent").unwrap();
    world.until("it says how many watch", || text() == json!("1 watching here"));

    // It ends, and its egress is gone before it begins again.
    world.redis.cli(&["SREM", "sessions:active", "show"]).unwrap();
    world.until("it has ended", || is("ended"));
    ask(&lab, 7073, "DELETE", "/drain");
    knows(&world, &browser, FIRST);
    other.kill9().unwrap();
    world.until("it waits where it did first", || waits_at(FIRST));
    world.session("show", 4001, SSRCS);
    plays_on(&world, &browser);
    assert_eq!(connected(&lab, 7073), json!(1));
}

#[test]
fn players_of_others_and_newcomers_are_sent_on() {
    let lab = lab();
    let (world, _other, _sending) = two(&lab, &[]);
    let (status, head, _) = world.request("POST", "/whep/endpoint/show", &[], "");
    assert_eq!(status, 201, "{head}");
    let events = format!("{}/events?only=reconnect", resource(&head));
    let stream = world.lab.in_namespace("eg", || TcpStream::connect((Ipv4Addr::LOCALHOST, 7073)));
    let mut stream = stream.unwrap().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {events} HTTP/1.1\r\nHost: egress\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with(": ")), "it listens");
    // Another who says nothing of being able to hear.
    let (_, head, _) = world.request("POST", "/whep/endpoint/show", &[], "");
    let deaf = resource(&head);

    ask(&lab, 7073, "POST", "/drain");
    let event = lines.find(|line| line.starts_with("event: ")).unwrap();
    let data = lines.find(|line| line.starts_with("data: ")).unwrap();
    assert_eq!((event.as_str(), data), ("event: reconnect", format!("data: {{\"url\":\"{SECOND}\"}}")));
    let (status, head, _) = world.request("POST", "/whep/endpoint/show", &[], "");
    assert!(status == 307 && head.contains(&format!("location: {SECOND}")), "{status} {head}");
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 503);
    let entry = || world.redis.cli(&["HGET", "directory:tree-1", "egress-1"]).unwrap();
    world.until("all know", || {
        entry().contains("\"draining\":true") && entry().contains("\"status\":\"drain")
    });

    // Who was told and goes, goes; who cannot be told is let go when the time is over.
    assert_eq!(world.request("DELETE", &events.replace("/events?only=reconnect", ""), &[], "").0, 200);
    world.until("nobody is left", || ask(&lab, 7073, "GET", "/drain")["state"] == json!("drained"));
    assert_eq!(world.request("GET", &deaf, &[], "").0, 404);
    world.until("all know", || entry().contains("\"status\":\"drained\""));
    ask(&lab, 7073, "DELETE", "/drain");
    assert_eq!(world.request("POST", "/whep/endpoint/show", &[], "").0, 201);
}

/// Another port is another origin, and a browser takes no token there by itself.
#[test]
fn a_page_with_a_token_is_sent_on_with_it() {
    let lab = lab();
    let (world, _other, _sending) = two(&lab, &[("WHEP_TOKEN", "viewers")]);
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7083/").unwrap();
    let state = &ask(&lab, 7073, "POST", "/drain")["state"];
    assert!([json!("draining"), json!("drained")].contains(state), "nobody watches there: {state}");
    // What a page of any origin can do by itself.
    let player = |token: &str| {
        let script = format!(
            "const peer = new RTCPeerConnection();
            peer.addTransceiver('video', {{ direction: 'recvonly' }});
            const {{ sdp }} = await peer.createOffer();
            peer.close();
            const headers = {{ 'Content-Type': 'application/sdp', {token} }};
            const answer = await fetch('http://10.77.0.1:7073/watch/show', {{ method: 'POST', headers, body: sdp }});
            return [answer.status, answer.url, answer.headers.get('Location') !== null];"
        );
        browser.run(&format!("return (async () => {{ {script} }})()")).unwrap()
    };
    let there = "http://10.77.0.1:7083/whep/endpoint/show";
    world.until("it is sent there", || player("")[1] == json!(there));
    assert_eq!(player(""), json!([401, there, false]), "and asked for a token, which a page can read");
    assert_eq!(player("Authorization: 'Bearer viewers'"), json!([401, there, false]), "it was left behind");

    browser.open("http://10.77.0.1:7073/?id=show#token=viewers").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 5.0);
    assert_eq!(ask(&lab, API, "GET", "/status")["viewers"]["connected"], json!(1));
}
