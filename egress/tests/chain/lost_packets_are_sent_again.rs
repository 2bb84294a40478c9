//! Two of a hundred packets are lost on the way to a player, and its picture never stands still: the native server sends again
//! what players ask for.

use lab::browser::Maker;
use lab::firewall;
use serde_json::json;

use crate::common::{World, browser_of, lab, seen};

/// Frames that are watched: twenty seconds of them.
const FRAMES: u64 = 500;

#[test]
fn to_chromium() {
    are_sent_again(Maker::Chromium);
}

#[test]
fn to_firefox() {
    are_sent_again(Maker::Firefox);
}

fn are_sent_again(maker: Maker) {
    let lab = lab();
    let world = World::start_with(&lab, &[("SERVER", "native")]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    firewall::lose(&lab, "view", 7074, std::env::var("LOSE").map_or(20, |l| l.parse().unwrap())).unwrap();
    let browser = browser_of(&lab, maker);
    browser.open("http://10.77.0.1:7073/?id=show&offer=1").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
    let before = (browser.statistics().unwrap().inbound("video"), firewall::lost(&lab, "view").unwrap());
    let video = |frames| {
        let now = browser.wait_until(std::time::Duration::from_secs(60), |now| {
            now.inbound("video").frames_decoded > frames
        });
        now.unwrap_or_else(|error| panic!("{error:#}\n{}", world.egress.log())).inbound("video")
    };
    let after = video(before.0.frames_decoded + FRAMES);
    let lost = firewall::lost(&lab, "view").unwrap() - before.1;
    println!("{maker:?}: {lost} packets were lost; {after:?}");
    println!("{}\n{:?}", world.get("/viewers"), before.0);
    assert!(lost > 0);
    assert_eq!(after.freeze_count - before.0.freeze_count, 0, "{after:?}");
    assert!(after.nack_count > before.0.nack_count, "{after:?}");
}
