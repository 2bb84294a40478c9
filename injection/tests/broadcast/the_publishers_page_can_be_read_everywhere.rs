use std::time::Duration;

use lab::Browser;
use lab::browser::Maker;
use serde_json::json;

use crate::common::{Scene, until, until_within};

/// A browser's first start on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

#[test]
fn in_chromium() {
    can_be_read(Maker::Chromium);
}

#[test]
fn in_firefox() {
    can_be_read(Maker::Firefox);
}

/// Every state of the page to publish from can be read and used on a phone and on a desk, light and dark. Pictures of all are in
/// the build folder.
fn can_be_read(maker: Maker) {
    let scene = Scene::start(&format!("read-{maker:?}").to_lowercase());
    scene.create("sunday");
    let browser = Browser::of(maker, scene.lab, "far", &["http://10.77.0.1:7070".to_owned()]).unwrap();
    let text = |name: &str| {
        let script = format!("return document.getElementById('{name}').innerText");
        browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    };
    let looks = |state: &str| browser.can_be_read("publisher", state).unwrap();

    browser.open("http://10.77.0.1:7070/publish?id=sunday").unwrap();
    looks("idle");
    browser.click("#check").unwrap();
    until_within(STARTS, "it shows the camera", || {
        browser.run("return document.getElementById('preview').videoWidth > 0").unwrap() == json!(true)
    });
    looks("check");
    browser.click("#button").unwrap();
    until_within(STARTS, "it is live", || text("state") == "Live" && text("stats").contains("kbit/s"));
    looks("live");
    browser.click("#details").unwrap();
    looks("details");
    browser.click("#details").unwrap();
    assert_eq!(scene.ask("DELETE", "/session/sunday", "").0, 200);
    until("it has ended", || text("sentence").contains("has been ended"));
    looks("ended");
    let without = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('none', 'NotFoundError'); }";
    browser.run(without).unwrap();
    browser.click("#button").unwrap();
    until("it asks", || text("question").contains("No camera was found"));
    looks("ask");
}
