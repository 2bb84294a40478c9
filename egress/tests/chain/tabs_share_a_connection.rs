//! Eight tabs of a browser play: browsers allow six connections to a server that speaks HTTP/1.1, and a page that kept one
//! for its events would leave none for the seventh.

use lab::browser::Maker;
use serde_json::json;

use crate::common::{World, browser_of, lab, seen};

const TABS: u64 = 8;

#[test]
fn in_chromium() {
    eight_tabs(Maker::Chromium);
}

#[test]
fn in_firefox() {
    eight_tabs(Maker::Firefox);
}

fn eight_tabs(maker: Maker) {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let connected = || world.get("/status")["viewers"]["connected"].as_u64().unwrap();
    let browser = browser_of(&lab, maker);
    let page = "http://10.77.0.1:7073/?id=s1";
    browser.open(page).unwrap();
    for tabs in 1..=TABS {
        if tabs > 1 {
            browser.open_tab(page).unwrap();
        }
        let took = world.until("one more watches", || connected() == tabs);
        println!("{maker:?}: {tabs} after {took:?}");
    }
    // All are told, by whatever they share.
    world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
    world
        .until("the last tab is told", || browser.run("return window.seen.state").unwrap() == json!("ended"));
    world.until("all have left", || connected() == 0);
    world.session("s1", 4001, [7777, 8888]);
    world.until("all are back", || connected() == TABS);
    world.until("the last tab plays", || seen(&browser, "packetsReceived") > 100.0);
    browser.kill9().unwrap();
    let took = world.until("all have left", || connected() == 0);
    println!("{maker:?}: a killed browser is noticed after {took:?}");
}
