//! An egress is taken out of its tree: viewers are told, in their words and not that the broadcast has ended; its mountpoints end
//! after the grace, and nothing of them is left. Put back, it has everything again by itself, and viewers play on without a reload.

use std::net::UdpSocket;

use lab::Process;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{By, HOST, World, browser, lab, on_both};

on_both!(play_on);

fn play_on(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[("CUT_OFF_GRACE", "2")]);
    world.attach();
    world.session("s1", 4001, [7777, 8888]);
    let sending = world.broadcast([7777, 8888]);
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    let page = |name: &str| browser.run(&format!("return {name}")).unwrap();
    world.until("playing", || page("window.seen.state") == json!("playing"));
    browser.run("window.here = 1").unwrap();
    let mut events = world.events("s1");
    assert_eq!(events.next().unwrap().1["cutOff"], json!(false));

    cut_off(&world, &sending);
    let began = std::time::Instant::now();
    let (told, data) = events.next().unwrap();
    println!("{by:?}: viewers are told {:?} after the node was cut off", began.elapsed());
    assert_eq!((told.as_str(), &data["cutOff"]), ("stalled", &json!(true)), "{data}");
    world.until("the page says so", || page("window.seen.state") == json!("cut off"));
    let cover = page("document.getElementById('cover').innerText");
    assert!(cover.as_str().unwrap().contains("goes on here"), "{cover}");
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 503);
    world.until("the whole tree knows", || in_directory(&world)["cutOff"] == json!(true));

    let took = world.until("no mountpoint", || world.get("/mountpoints")["count"] == json!(0));
    println!("{by:?}: no mountpoint {took:?} later");
    assert_eq!(world.get("/status")["standing"], json!("released"));
    world.until("not in Redis", || world.redis.members("mountpoints:active").unwrap().is_empty());
    nothing_is_left(&world);
    let (status, head, _) = world.request("POST", "/whep/endpoint/s1", &[], "");
    assert!(status == 503 && head.contains("retry-after"), "it may come back: {head}");
    let new = json!({ "sessionId": "s1", "audioSsrc": 7777, "videoSsrc": 8888 });
    assert_eq!(world.post("/mountpoint/create", &new).0, 503);
    let (state, data) = world.events("s1").next().unwrap();
    assert_eq!((state.as_str(), &data["exists"], &data["cutOff"]), ("state", &json!(true), &json!(true)));
    assert_eq!(page("window.seen.state"), json!("cut off"));

    for process in &sending {
        process.signal(Signal::SIGCONT).unwrap();
    }
    world.attach();
    let took = world.until("playing again", || page("window.seen.state") == json!("playing"));
    println!("{by:?}: playing {took:?} after it was put back");
    assert_eq!(page("window.here"), json!(1), "the page was not loaded again");
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 200);
    let told: Vec<String> = events.map(|(name, _)| name).take_while(|name| name != "back").collect();
    assert!(
        told.iter().any(|name| name == "started") && !told.iter().any(|name| name == "ended"),
        "{told:?}"
    );
    world.until("the whole tree knows", || in_directory(&world)["cutOff"] == json!(false));
}

/// What an operator types, and what the relay does then.
fn cut_off(world: &World<'_>, sending: &[Process]) {
    world.redis.cli(&["SREM", "children:relay-1", "egress-1"]).unwrap();
    world.redis.cli(&["DEL", "parent:egress-1"]).unwrap();
    for process in sending {
        process.signal(Signal::SIGSTOP).unwrap();
    }
}

fn in_directory(world: &World<'_>) -> Value {
    let entry = world.redis.cli(&["HGET", "directory:tree-1", "egress-1"]).unwrap();
    serde_json::from_str(&entry).unwrap()
}

/// Not a port, and no viewer.
fn nothing_is_left(world: &World<'_>) {
    let viewers = world.get("/status")["viewers"]["connected"].clone();
    assert_eq!(viewers, json!(0));
    if world.by == By::Janus {
        assert_eq!(world.get("/portpool")["allocated"], json!(0));
        for port in [6000, 6001] {
            let bound = world.lab.in_namespace("eg", || UdpSocket::bind((HOST, port))).unwrap();
            assert!(bound.is_ok(), "port {port} is not free: {bound:?}");
        }
    }
}
