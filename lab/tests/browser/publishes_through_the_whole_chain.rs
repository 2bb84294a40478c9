//! Chromium publishes its camera with the page `/publish?id=`; behind injection, relay and egress a WHEP client and the viewer's
//! page in another Chromium see it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::relay::Mode;
use lab::studio::{BROWSER, PUBLISHER};
use lab::{Browser, Lab, Studio};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn in_xdp_mode() {
    let lab = Lab::new("t-publishes-").unwrap();
    let studio = Studio::open(&lab, Mode::Xdp, 1, 1).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    // Browsers give cameras to secure pages only, which a test in namespaces has not; this is how one tells Chromium so.
    let secure = format!("http://{}", studio.injection_address().unwrap());
    let publisher = Browser::start(&lab, PUBLISHER, &[secure]).unwrap();
    let page = studio.publish_page("show").unwrap();
    publisher.open(&format!("{page}&source=camera&auto#token={}", studio.whip_token())).unwrap();
    // No link turns a camera on: somebody presses a button.
    assert_eq!(
        publisher.run("return [wanted, $('sentence').textContent]").unwrap(),
        json!([false, "Press “Go live” to begin."])
    );
    publisher.run("$('button').click()").unwrap();
    let sent = publisher.wait_until(PATIENCE, |now| {
        now.outbound("video").frames_encoded > 30 && now.outbound("audio").packets_sent > 50
    });
    let sent = sent.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    assert_eq!(sent.states, ["connected"]);
    studio.wait_active(0, "show").unwrap();

    let viewers = studio.view("show", &[0], 1, &[]).unwrap();
    let views = viewers.wait_until(PATIENCE, |views| {
        views.viewers.iter().any(|seen| seen.decoded > 0 && seen.frames > 90 && seen.audio_packets > 150)
    });
    let views = views.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    println!("a WHEP client: {:?}", views.viewers);

    let viewer = Browser::start(&lab, BROWSER, &[]).unwrap();
    viewer.open(&studio.page(0, "show").unwrap()).unwrap();
    let seen = viewer.wait_until(PATIENCE, |now| {
        now.inbound("video").frames_decoded > 60 && now.inbound("audio").packets_received > 100
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    println!("the viewer's page: {:?} {:?}", seen.inbound("video"), seen.inbound("audio"));
    // What is shown is what the camera gave, not a picture of another session.
    assert!(seen.inbound("video").frame_width >= 320, "{seen:?}");

    // The page says so, too.
    let live = publisher.wait_until(PATIENCE, |now| now.text.contains("Live") && now.text.contains("kbit/s"));
    let live = live.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(live.text.contains("frames/s"), "{}", live.text);
    publisher.screenshot(&picture("publisher.png")).unwrap();
    viewer.screenshot(&picture("viewer-of-the-publisher.png")).unwrap();

    // It stops as it should: its place is free at once.
    publisher.run("document.getElementById('button').click()").unwrap();
    let ended = publisher.wait_until(PATIENCE, |now| now.text.contains("Not live"));
    ended.unwrap_or_else(|error| panic!("{error:#}"));
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while studio.injection.get("/session/show").unwrap().body.contains("\"publisher\"") {
        assert!(std::time::Instant::now() < deadline, "the publisher's place is still taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    viewers.stop().unwrap();
}

/// Pictures for people, in the build folder.
fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/media").join(name)
}
