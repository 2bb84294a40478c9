use std::time::Duration;

use lab::Browser;
use lab::browser::Maker;

use crate::common::{Receiver, Scene, until, until_within};

/// A browser's first start on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// The page in Firefox, which numbers codecs in its own way: what the tree carries has the tree's numbers. A second visit says who
/// is there, Stop frees the place.
#[test]
fn test() {
    let scene = Scene::start("firefox");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let browser = Browser::of(Maker::Firefox, scene.lab, "far", &[]).unwrap();
    let state = || {
        let text = browser.run("return document.getElementById('state').innerText").unwrap();
        text.as_str().unwrap_or_default().to_owned()
    };
    for codec in ["VP8", ""] {
        let before = receiver.count();
        browser
            .open(&format!("http://10.77.0.1:7070/publish?id=s1&source=pattern&codec={codec}&auto"))
            .unwrap();
        until_within(STARTS, "the browser publishes", || {
            scene.session("s1")["publisher"]["state"] == "publishing"
        });
        until("media", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 50));
        until("the page says so", || state() == "Live");
        let [audio, video] = [0, 1].map(|kind| receiver.packets(kind).last().unwrap().header.payload_type);
        assert_eq!((audio, video), (111, 96), "{codec}");
        assert!(
            receiver.packets(1).iter().rev().find_map(|packet| packet.width).is_some_and(|width| width > 0)
        );
        browser.run("document.getElementById('button').click()").unwrap();
        until("its place is free", || scene.session("s1")["publisher"].is_null());
    }
}
