use std::time::{Duration, Instant};

use lab::Browser;
use serde_json::{Value, json};

use crate::common::{Scene, until};

/// Longer than a browser's first start takes on a busy machine.
const STARTS: Duration = Duration::from_secs(45);

/// The page to publish from says that the camera is missing and the test pattern is sent, and that the session was
/// destroyed within two seconds; its words are those of people.
#[test]
fn test() {
    let scene = Scene::start("says");
    scene.create("s1");
    let browser = Browser::start(scene.lab, "far", &[]).unwrap();
    let text = |name: &str| {
        let script = format!("return document.getElementById('{name}').innerText");
        browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    };
    browser.open("http://10.77.0.1:7070/publish?id=s1").unwrap();
    words(&browser);

    // A device without a camera; pages without https are not even asked.
    let without = "Object.defineProperty(navigator, 'mediaDevices', { configurable: true, value: {
        getUserMedia: async () => { throw new DOMException('none', 'NotFoundError'); } } });
        document.getElementById('button').click()";
    browser.run(without).unwrap();
    let started = Instant::now();
    while text("state") != "Live" {
        assert!(started.elapsed() < STARTS, "{}", text("state"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(text("notice").contains("test pattern"), "{}", text("notice"));

    until("the page has seen itself live", || !text("stats").is_empty());
    assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);
    let took = until("the page says so", || text("state") != "Live");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(text("state").contains("has been ended"), "{}", text("state"));
    assert_eq!(text("notice"), "", "nothing is sent any more");

    // What is not there is said as something to ask for.
    browser.run("document.getElementById('button').click()").unwrap();
    until("refused", || text("state").contains("No session called “s1”. Ask the operator to create it."));
}

/// Wrong and missing token read differently, and nothing is said in the words of the protocol.
fn words(browser: &Browser<'_>) {
    let script = "return [0, 400, 401, 404, 406, 409, 415, 503].flatMap(status => [false, true].map(token =>
        [status, token, refusal({ status, said: 'no VP8', session: 's1', token }).text]))";
    let said = browser.run(script).unwrap();
    let said = said.as_array().expect("sentences");
    for sentence in said {
        let text = sentence[2].as_str().unwrap();
        assert!(!text.is_empty());
        for private in ["POST", "DELETE", "header", "Authorization", "://", "SSRC", "undefined"] {
            assert!(!text.contains(private), "{sentence}");
        }
    }
    let of = |token: bool| said.iter().find(|row| row[0] == 401 && row[1] == json!(token)).map(|row| &row[2]);
    assert_ne!(of(true), of(false));
    assert_ne!(of(true), Some(&Value::Null));
}
