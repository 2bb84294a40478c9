//! "Live" stands over a picture that moves, and over nothing else: not over a session that nobody publishes to, not before
//! a keyframe has come, not over what is left when Janus is gone. And what has ended stays ended.

use lab::Browser;
use lab::browser::Maker;
use serde_json::{Value, json};

use crate::common::{World, browser_of, lab};

/// Notes what the page says, each time with how wide the picture was: nothing, until one has been decoded.
const WATCH: &str = "
    const video = document.getElementById('video');
    const note = () => window.labSaid.push([document.getElementById('state').textContent, video.videoWidth]);
    window.labSaid = [];
    new MutationObserver(note).observe(document.getElementById('state'), { childList: true, characterData: true, subtree: true });
    note();";

#[test]
fn in_chromium() {
    says(Maker::Chromium);
}

#[test]
fn in_firefox() {
    says(Maker::Firefox);
}

/// Debian's Firefox has no H264; it hears what it cannot see.
#[test]
fn of_a_format_that_the_browser_has_not() {
    let lab = lab();
    let world = World::start(&lab);
    let new = json!({ "sessionId": "film", "audioSsrc": 7777, "videoSsrc": 8888, "videoCodec": "h264" });
    assert_eq!(world.post("/mountpoint/create", &new).0, 201);
    let _sound = world.sound("sine=frequency=440", 7777);
    world.until("active", || world.get("/mountpoint/film")["active"] == json!(true));
    let browser = browser_of(&lab, Maker::Firefox);
    browser.open("http://10.77.0.1:7073/?id=film").unwrap();
    let cover = || browser.run("return document.getElementById('cover').innerText").unwrap();
    world.until("it says so", || cover().as_str().unwrap().contains("only its sound"));
    world.until("it is heard", || crate::common::seen(&browser, "audioPackets") > 50.0);
    assert_eq!(state(&browser), "Sound only");
}

fn says(maker: Maker) {
    let lab = lab();
    let mut world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let browser = browser_of(&lab, maker);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    browser.run(WATCH).unwrap();
    world.until("nobody publishes", || state(&browser) == "Paused");

    // A keyframe every ten seconds, as ffmpeg makes them unless it is told otherwise; this one cannot be asked for more.
    let mut sending = vec![world.sound("sine=frequency=440", 7777), world.pictures("-g 250", 8888)];
    world.until("live", || state(&browser) == "Live");
    let said = said(&browser);
    let (at, live) = said.iter().enumerate().find(|(_, said)| said[0] == "Live").unwrap();
    println!("{maker:?}: {said:?}");
    assert!(live[1].as_f64().unwrap() > 0.0, "live over black: {said:?}");
    assert!(said[..at].iter().any(|said| said[0] == "Paused"), "{said:?}");

    // What has ended stays ended, until it starts again.
    for round in 0..6 {
        world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
        world.until("ended", || state(&browser) == "Ended");
        browser.run("window.labSaid = []").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300 + 170 * round));
        assert_eq!(said_since(&browser), Vec::<String>::new(), "it had ended");
        world.redis.cli(&["SADD", "sessions:active", "s1"]).unwrap();
        world.until("it can be watched again", || world.get("/status")["viewers"]["connected"] == json!(1));
    }
    for process in sending.drain(..) {
        process.kill9().unwrap();
    }
    let _sending = world.broadcast([7777, 8888]);
    world.until("live", || state(&browser) == "Live");

    // Janus is killed: the picture stands still, and nobody is told that it plays.
    world.janus_mut().kill9().unwrap();
    let took = world.until("it does not play", || state(&browser) != "Live");
    println!("{maker:?}: a killed Janus is noticed after {took:?}");
    assert!(took < std::time::Duration::from_secs(4), "{took:?}");
    browser.run("window.labSaid = []").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(!said_since(&browser).iter().any(|said| said == "Live"), "{:?}", said_since(&browser));
    world.janus_mut().restart().unwrap();
    world.until("live again", || state(&browser) == "Live");
}

fn state(browser: &Browser<'_>) -> String {
    let text = browser.run("return document.getElementById('state').textContent").unwrap();
    text.as_str().unwrap_or_default().to_owned()
}

fn said(browser: &Browser<'_>) -> Vec<Value> {
    browser.run("return window.labSaid").unwrap().as_array().cloned().unwrap_or_default()
}

fn said_since(browser: &Browser<'_>) -> Vec<String> {
    said(browser).iter().filter_map(|said| Some(said[0].as_str()?.to_owned())).collect()
}
