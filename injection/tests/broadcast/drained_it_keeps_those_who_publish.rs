use std::time::Duration;

use lab::Browser;
use nix::sys::signal::Signal;

use crate::common::{LONG, Scene, until, until_within};

/// A browser's first start on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// An injection that is to go takes nothing new, and whoever publishes goes on until they end; then it is drained, or has ended.
#[test]
fn test() {
    let scene = Scene::with("drain", &[("DRAIN_LIMIT", "120")]);
    scene.create("s1");
    assert_eq!(scene.ask("POST", "/session/create", r#"{"sessionId":"s2"}"#).0, 201);
    let publisher = scene.publisher("s1", "vp8");
    let drain = |method: &str| scene.ask(method, "/drain", "");

    assert_eq!(drain("POST").0, 202);
    until("it counts who publishes", || drain("GET").1["left"] == 1);
    assert_eq!(drain("GET").1["state"], "draining");
    assert_eq!(scene.ask("POST", "/session/create", r#"{"sessionId":"s3"}"#).0, 503);
    let refused = scene.publisher_with("s2", &["vp8"]);
    assert_eq!(refused.wait(LONG).unwrap().code(), Some(1));
    assert!(refused.log().contains("503") && refused.log().contains("draining"), "{}", refused.log());
    until("the tree knows", || {
        let entry = scene.redis.cli(&["HGET", "directory:tree-1", "injection-1"]).unwrap();
        entry.contains(r#""draining":true"#) && entry.contains(r#""status":"draining""#)
    });
    assert_eq!(scene.session("s1")["publisher"]["state"], "publishing");

    // As if nothing had been.
    assert_eq!(drain("DELETE").0, 200);
    let second = scene.publisher("s2", "vp8");
    second.terminate().unwrap();
    until("it has ended", || scene.session("s2")["publisher"].is_null());

    // Told to end, it waits for the last of them.
    scene.injection.signal(Signal::SIGTERM).unwrap();
    until("it drains", || scene.try_status().is_some_and(|status| status["drain"]["left"] == 1));
    assert_eq!(drain("DELETE").0, 409);
    assert_eq!(scene.session("s1")["publisher"]["state"], "publishing");
    publisher.terminate().unwrap();
    assert!(scene.injection.wait(LONG).unwrap().success(), "{}", scene.injection.log());
    assert!(scene.injection.log().contains("drained"), "{}", scene.injection.log());
    assert_eq!(scene.redis.cli(&["EXISTS", "node:injection-1"]).unwrap(), "0");
}

/// Whoever publishes by the page reads it there, and stays live; who would begin reads why they cannot.
#[test]
fn the_page_says_so() {
    let scene = Scene::with("drain-page", &[]);
    scene.create("s1");
    let browser = Browser::start(scene.lab, "far", &[]).unwrap();
    let text = |name: &str| {
        let text = browser.run(&format!("return document.getElementById('{name}').innerText")).unwrap();
        text.as_str().unwrap_or_default().to_owned()
    };
    let open = || browser.open("http://10.77.0.1:7070/publish?id=s1&source=pattern&auto").unwrap();
    open();
    until_within(STARTS, "it is live", || text("state") == "Live");
    assert_eq!(scene.ask("POST", "/drain", "").0, 202);
    until("it is said", || text("notice").contains("about to be taken out of service"));
    assert_eq!(text("state"), "Live");
    assert!(text("notice").contains("Yours goes on"), "{}", text("notice"));
    assert_eq!(scene.session("s1")["publisher"]["state"], "publishing");

    browser.run("document.getElementById('button').click()").unwrap();
    until("it has ended", || scene.session("s1")["publisher"].is_null());
    open();
    until("it is said why not", || text("sentence").contains("takes no new broadcasts. Use another one"));
    assert_eq!(scene.ask("DELETE", "/drain", "").0, 200);
    until_within(STARTS, "it begins by itself", || text("state") == "Live");
    assert_eq!(text("notice"), "");
}
