//! Chromium plays the viewers' page: by answering Janus' offer, and by making the offer itself.

use std::time::Duration;

use serde_json::json;

use crate::common::browser::Browser;
use crate::common::{World, lab};

#[test]
fn a_browser_decodes() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = Browser::start(&lab, "view");
    for (query, name) in [("id=show", "egress-viewer.png"), ("id=show&offer=1", "egress-viewer-offer.png")] {
        browser.open(&format!("http://10.77.0.1:7073/?{query}"));
        world.until("frames", || browser.seen("framesDecoded") > 20.0);
        let (frames, audio) = (browser.seen("framesDecoded"), browser.seen("audioPackets"));
        std::thread::sleep(Duration::from_secs(3));
        assert!(browser.seen("framesDecoded") > frames + 30.0, "framesDecoded grows");
        assert!(browser.seen("audioPackets") > audio + 50.0, "audio arrives");
        assert_eq!(browser.seen("packetsLost"), 0.0);
        assert_eq!(world.get("/status")["viewers"]["connected"], json!(1), "the one before has left");
        let first = browser.seen("firstFrame");
        println!("{query}: first frame after {first:.0} ms, {}", browser.screenshot(name).display());
    }
    browser.open("about:blank");
    world.until("the viewer has left", || world.get("/status")["viewers"]["connected"] == json!(0));
    // A browser that is killed says nothing; its connection for events does.
    browser.open("http://10.77.0.1:7073/?id=show");
    world.until("connected", || world.get("/status")["viewers"]["connected"] == json!(1));
    browser.kill();
    let took = world.until("gone", || world.get("/status")["viewers"]["connected"] == json!(0));
    println!("a killed browser is noticed after {took:?}");
}
