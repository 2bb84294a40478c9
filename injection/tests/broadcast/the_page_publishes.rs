use std::time::Duration;

use lab::Browser;

use crate::common::{Receiver, Scene, until, until_within};

/// A browser's first start on a busy machine.
const STARTS: Duration = Duration::from_secs(45);

/// A browser that opens `/publish?id=`, over plain http and with its addresses hidden (mDNS), sends its test pattern: video and audio, VP8 and H264.
#[test]
fn test() {
    let scene = Scene::start("page");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    for (codec, payload_type) in [("VP8", 96), ("H264", 108)] {
        let before = receiver.count();
        let more = ["--mute-audio", "--disable-features=WebRtcHideLocalIpsWithMdns"];
        let browser = Browser::start_with(scene.lab, "far", &[], &more).unwrap();
        let page = format!("http://10.77.0.1:7070/publish?id=s1&source=pattern&codec={codec}&auto");
        browser.open(&page).unwrap();
        let took = until_within(STARTS, "the browser publishes", || {
            scene.session("s1")["publisher"]["state"] == "publishing"
        });
        eprintln!("{codec} {took:?} after the browser was started");
        until("media", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 50));
        let last = *receiver.packets(1).last().unwrap();
        assert_eq!(last.header.payload_type, payload_type);
        browser.kill9().unwrap();
        let took = until("its place is free", || scene.has_room_for_another("s1"));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(scene.session("s1")["streams"][1]["strangers"], 0);
}
