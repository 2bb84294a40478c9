//! Clients that nobody here wrote, from a page of another origin: `whip-whep`, `@eyevinn/webrtc-player` and the reader of
//! `mediamtx-webrtc-react` watch, `whip-whep` and `@eyevinn/whip-web-client` publish; in Chromium and in Firefox.
//!
//! All three that watch send an offer and know no counter-offers. Chromium numbers codecs as the tree does, and plays.
//! Firefox does not: Janus cannot serve it, so what its players are told is 406, and they hold no place; the viewers' page plays
//! there. The native server serves it by its own numbers.

use std::time::{Duration, Instant};

use lab::browser::Maker;
use lab::relay::{Mode, workspace};
use lab::studio::{BROWSER, MediaOver, PUBLISHER};
use lab::{Browser, Lab, Studio};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);
const WATCHING: [&str; 3] = ["whip-whep", "webrtc-player", "mediamtx-reader"];
const PUBLISHING: [&str; 2] = ["whip-whep", "whip-web-client"];

#[test]
fn watch_in_chromium() {
    watch(Maker::Chromium, "vp8", &[], plays);
}

#[test]
fn watch_h264_in_chromium() {
    watch(Maker::Chromium, "h264", &[], plays);
}

fn plays(studio: &Studio<'_>, browser: &Browser<'_>, client: &str) {
    let played = browser.wait_until(PATIENCE, |now| {
        now.inbound("video").frames_decoded > 30 && now.inbound("audio").packets_received > 50
    });
    let played =
        played.unwrap_or_else(|error| panic!("{client}: {error:#}, {}{}", said(browser), studio.diagnosis()));
    println!("{client}: {:?}", played.inbound("video"));
    until(studio, "it is counted", || viewers(studio, "connected") == 1);
}

#[test]
fn watch_in_firefox() {
    watch(Maker::Firefox, "vp8", &[], |studio, browser, client| {
        // webrtc-player tries without sound, without picture, without sound, and never says that it cannot.
        let tries = || browser.run("return window.labPeers.length").unwrap().as_u64();
        until(studio, &format!("{client} knows that it cannot"), || match client {
            "webrtc-player" => tries() >= Some(4),
            _ => said(browser).len() > 4,
        });
        println!("{client}: {} after {:?} tries", said(browser), tries());
        assert_eq!(browser.statistics().unwrap().inbound("video").packets_received, 0);
    });
}

#[test]
fn watch_in_firefox_by_the_native_server() {
    watch(Maker::Firefox, "vp8", &[("SERVER", "native")], plays);
}

#[test]
fn publish_in_chromium() {
    publish(Maker::Chromium);
}

#[test]
fn publish_in_firefox() {
    publish(Maker::Firefox);
}

fn watch(maker: Maker, codec: &str, more: &[(&str, &str)], judge: impl Fn(&Studio<'_>, &Browser<'_>, &str)) {
    let server = more.first().map_or("janus", |&(_, server)| server);
    let lab = Lab::new(&format!("t-watch-{}-{server}-{codec}-", short(maker))).unwrap();
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], more).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &["--codec", codec]).unwrap();
    studio.wait_active(0, "show").unwrap();
    let browser = Browser::of(maker, &lab, BROWSER, &[]).unwrap();
    for client in WATCHING {
        browser.open(&players()).unwrap();
        browser.run(&format!("window.play('{client}', '{}', '')", studio.whep(0, "show").unwrap())).unwrap();
        judge(&studio, &browser, client);
        browser.run("window.stop()").unwrap();
        browser.open("about:blank").unwrap();
        until(&studio, "it has left", || viewers(&studio, "connected") + viewers(&studio, "connecting") == 0);
    }
    publisher.stop().unwrap();
}

fn publish(maker: Maker) {
    let lab = Lab::new(&format!("t-ingest-{}-", short(maker))).unwrap();
    let studio = Studio::open(&lab, Mode::Tc, 1, 1).unwrap();
    let browser = Browser::of(maker, &lab, PUBLISHER, &[]).unwrap();
    for (number, client) in (1..).zip(PUBLISHING) {
        studio.create_session(client, [10 * number, 10 * number + 1]).unwrap();
        browser.open(&players()).unwrap();
        let (url, token) = (studio.whip(client).unwrap(), studio.whip_token());
        browser.run(&format!("window.publish('{client}', '{url}', '{token}')")).unwrap();
        let sent = browser.wait_until(PATIENCE, |now| now.outbound("video").packets_sent > 50);
        let sent = sent
            .unwrap_or_else(|error| panic!("{client}: {error:#}, {}{}", said(&browser), studio.diagnosis()));
        println!("{client}: {:?}", sent.outbound("video"));
        studio.wait_active(0, client).unwrap();
        let seen = studio.view(client, &[0], 1, &[]).unwrap();
        let views = seen.wait_until(PATIENCE, |views| {
            views.viewers.iter().any(|seen| seen.decoded > 0 && seen.frames > 30)
        });
        views.unwrap_or_else(|error| panic!("{client}: {error:#}{}", studio.diagnosis()));
        assert_eq!(said(&browser), "[]", "{client}");
        seen.stop().unwrap();
        browser.run("window.stop()").unwrap();
        until(&studio, "its place is free", || {
            !studio.injection.get(&format!("/session/{client}")).unwrap().body.contains("\"publisher\"")
        });
    }
}

/// For namespaces: tests run beside each other.
fn short(maker: Maker) -> &'static str {
    match maker {
        Maker::Chromium => "chromium",
        Maker::Firefox => "firefox",
    }
}

/// The page that has all clients in it; from a file, so from no origin at all.
fn players() -> String {
    let page = workspace().join("lab/players/index.html");
    assert!(page.with_file_name("dist").is_dir(), "no players; run `cargo xtask setup`");
    format!("file://{}", page.display())
}

/// What clients have said of failures.
fn said(browser: &Browser<'_>) -> String {
    browser.run("return JSON.stringify(window.said)").unwrap().as_str().unwrap_or_default().to_owned()
}

fn viewers(studio: &Studio<'_>, which: &str) -> u64 {
    let status = studio.egresses[0].node.get("/status").unwrap().body;
    let status: Value = serde_json::from_str(&status).unwrap();
    status["viewers"][which].as_u64().unwrap()
}

fn until(studio: &Studio<'_>, what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}{}", studio.diagnosis());
        std::thread::sleep(Duration::from_millis(20));
    }
}
