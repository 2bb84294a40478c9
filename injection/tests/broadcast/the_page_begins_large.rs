use std::time::Duration;

use lab::Browser;
use lab::browser::Maker;
use serde_json::json;

use crate::common::{Scene, until, until_within};

/// A browser's first start on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// Notes how high the pictures are that are sent, when they change, each with the ms since somebody went live.
const WATCH: &str = "
    window.labSizes = [];
    const began = performance.now();
    setInterval(async () => {
        for (const peer of window.labPeers) for (const report of (await peer.getStats()).values()) {
            if (report.type !== 'outbound-rtp' || report.kind !== 'video' || !report.frameHeight) continue;
            const last = window.labSizes.at(-1);
            if (last?.[0] !== report.frameHeight) window.labSizes.push([report.frameHeight, performance.now() - began]);
        }
    }, 50);
    document.getElementById('button').click()";

/// The page sends a camera in the size that was chosen, from the first picture on in Chromium. Cameras, microphones, sizes and
/// bitrates are chosen while it is live, without a new publication.
#[test]
fn in_chromium() {
    let scene = Scene::start("large");
    scene.create("s1");
    let secure = ["http://10.77.0.1:7070".to_owned()];
    // The second of its cameras that are none measures distances.
    let devices = ["--use-fake-device-for-media-stream=device-count=3", "--mute-audio"];
    let browser = Browser::start_with(scene.lab, "far", &secure, &devices).unwrap();
    goes_live(&scene, &browser);
    let ask = |script: &str| browser.run(script).unwrap();
    let sizes = || ask("return window.labSizes");
    until("a size", || sizes() != json!([]));
    let first = sizes()[0].clone();
    eprintln!("Chromium sends a picture {} high {} ms after somebody went live", first[0], first[1]);
    // Left to itself it begins with 180 or 270. One that has too little of a processor sends a step less for a moment.
    assert!(first[0].as_u64().unwrap() >= 540, "{:?}", sizes());
    until("it sends what was chosen", || sizes().as_array().unwrap().iter().any(|size| size[0] == 720));

    // What is chosen.
    let labels = |name: &str| ask(&format!("return [...$('{name}').options].map(({{ text }}) => text)"));
    until("cameras have names", || labels("camera").as_array().is_some_and(|all| all.len() > 3));
    assert!(
        labels("microphone").as_array().unwrap().contains(&json!("No microphone")),
        "{}",
        labels("microphone")
    );
    let choose = |name: &str, value: &str| {
        ask(&format!("$('{name}').value = {value}; $('{name}').dispatchEvent(new Event('change'))"));
    };
    let label = || ask("return media.getVideoTracks()[0]?.label");
    let before = label();
    choose("camera", "$('camera').options[3].value");
    until("another camera", || !label().is_null() && label() != before);
    choose("size", "'360'");
    until("a smaller picture", || sizes().as_array().unwrap().last().unwrap()[0] == 360);
    choose("bitrate", "'500'");
    let most = "return peer.getSenders().find(({ track }) => track.kind === 'video').getParameters().encodings[0].maxBitrate";
    until("the bitrate is limited", || ask(most) == json!(500_000));

    // The meter moves with the sound of the camera's microphone, and is still when that is muted.
    let level = || ask("return Number($('level').getAttribute('aria-valuenow'))").as_f64().unwrap();
    until("it is loud", || level() > 20.0);
    browser.click("#silence").unwrap();
    until("it is silent", || level() == 0.0);
    assert!(ask("return $('notice').innerText").as_str().unwrap().contains("muted"));
    assert_eq!(scene.session("s1")["publications"], 1);
    assert_eq!(ask("return $('state').innerText"), json!("Live"));
}

/// Firefox does not take the other side's word for how to begin, and left to itself comes to what was chosen after 12 s.
#[test]
fn in_firefox() {
    let scene = Scene::start("large-f");
    scene.create("s1");
    let browser = Browser::of(Maker::Firefox, scene.lab, "far", &[]).unwrap();
    goes_live(&scene, &browser);
    let sizes = || browser.run("return window.labSizes").unwrap();
    until_within(STARTS, "a size", || sizes() != json!([]));
    let first = sizes()[0].clone();
    eprintln!("Firefox sends a picture {} high {} ms after somebody went live", first[0], first[1]);
    assert_eq!(first[0], 720, "{}", sizes());
    // From then on it may send less, if it has to.
    let kept = "return window.labPeers.at(-1).getSenders().find(({ track }) => track.kind === 'video').getParameters().degradationPreference ?? ''";
    until("it may do as it likes", || browser.run(kept).unwrap() == json!(""));
}

fn goes_live(scene: &Scene, browser: &Browser<'_>) {
    browser.open("http://10.77.0.1:7070/publish?id=s1").unwrap();
    browser.run(WATCH).unwrap();
    until_within(STARTS, "the browser publishes", || {
        scene.session("s1")["publisher"]["state"] == "publishing"
    });
}
