//! Browsers play the viewers' page: by answering Janus' offer, and by making the offer themselves, which Firefox numbers
//! otherwise than the mountpoint: it is answered with a counter-offer.

use lab::browser::Maker;
use serde_json::json;

use crate::common::{By, World, browser_of, lab, seen};

mod in_chromium {
    crate::common::on_both!(super::chromium_decodes);
}

#[test]
fn in_firefox() {
    decodes(Maker::Firefox, By::Janus);
}

fn chromium_decodes(by: By) {
    decodes(Maker::Chromium, by);
}

fn decodes(maker: Maker, by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser_of(&lab, maker);
    // Pictures for people, in the build folder.
    let screenshots = lab::relay::workspace().join("target/screenshots");
    for (query, name) in [("id=show", "egress-viewer"), ("id=show&offer=1", "egress-viewer-offer")] {
        let name = format!("{name}-{maker:?}-{by:?}.png").to_lowercase();
        browser.open(&format!("http://10.77.0.1:7073/?{query}")).unwrap();
        world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
        let (frames, audio) = (seen(&browser, "framesDecoded"), seen(&browser, "audioPackets"));
        world.until("it goes on", || {
            seen(&browser, "framesDecoded") > frames + 50.0 && seen(&browser, "audioPackets") > audio + 100.0
        });
        assert_eq!(seen(&browser, "joins"), 1.0, "it broke its own join");
        assert_eq!(seen(&browser, "packetsLost"), 0.0);
        assert_eq!(world.get("/status")["viewers"]["connected"], json!(1), "the one before has left");
        let first = seen(&browser, "firstFrame");
        browser.screenshot(&screenshots.join(&name)).unwrap();
        println!("{query}: first frame after {first:.0} ms, {name} in {}", screenshots.display());
    }
    browser.open("about:blank").unwrap();
    world.until("the viewer has left", || world.get("/status")["viewers"]["connected"] == json!(0));
    // A browser that is killed says nothing; its connection for events does.
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("connected", || world.get("/status")["viewers"]["connected"] == json!(1));
    browser.kill9().unwrap();
    let took = world.until("gone", || world.get("/status")["viewers"]["connected"] == json!(0));
    println!("a killed browser is noticed after {took:?}");
}
