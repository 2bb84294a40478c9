//! A publication that follows another on the same SSRC plays on in a browser that was watching.

use std::time::Duration;

use serde_json::json;

use crate::common::{By, World, browser, lab, on_both, seen};

on_both!(a_republished_stream_is_announced);

fn a_republished_stream_is_announced(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    world.session("s1", 4001, [7777, 8888]);
    let mut sending = world.broadcast([7777, 8888]);
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
    for round in 0..3 {
        for process in &sending {
            process.kill9().unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
        sending = world.broadcast([7777, 8888]);
        world.until("announced", || {
            let republished = world.get("/mountpoint/s1")["republished"].clone();
            republished[0].as_u64() > Some(round) && republished[1].as_u64() > Some(round)
        });
        // More than were on their way when the former publication broke off.
        let frames = seen(&browser, "framesDecoded");
        world.until("it plays on", || seen(&browser, "framesDecoded") > frames + 60.0);
    }
    assert_eq!(seen(&browser, "connects"), 1.0, "on the same connection");
    assert_eq!(world.get("/status")["viewers"]["connected"], json!(1));
}
