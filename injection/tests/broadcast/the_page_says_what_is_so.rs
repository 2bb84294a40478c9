use std::time::{Duration, Instant};

use lab::Browser;
use serde_json::{Value, json};

use crate::common::{Scene, until};

/// Longer than a browser's first start takes on a busy machine.
const STARTS: Duration = Duration::from_secs(45);

/// The page to publish from asks before it sends a test pattern for a camera that is missing, and says that the session was
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
        enumerateDevices: async () => [],
        getUserMedia: async () => { throw new DOMException('none', 'NotFoundError'); } } });
        document.getElementById('button').click()";
    browser.run(without).unwrap();
    let asked = || browser.run("return !document.getElementById('ask').hidden").unwrap() == json!(true);
    until("it asks", asked);
    assert!(text("question").contains("No camera was found"), "{}", text("question"));
    assert_eq!(text("state"), "Not live");
    browser.click("#no").unwrap();
    until("it is answered", || !asked());
    assert_eq!(scene.session("s1")["publications"], 0, "nothing is sent that nobody wanted");

    browser.click("#button").unwrap();
    until("it asks again", asked);
    browser.click("#yes").unwrap();
    let started = Instant::now();
    while text("state") != "Live" {
        assert!(started.elapsed() < STARTS, "{} {}", text("state"), text("sentence"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!asked());

    until("the page has seen itself live", || !text("stats").is_empty());
    assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);
    let took = until("the page says so", || text("state") != "Live");
    assert!(took < Duration::from_secs(2), "{took:?}");
    eprintln!("the page says that its session has ended after {took:?}");
    assert!(text("sentence").contains("has been ended"), "{}", text("sentence"));
    assert_eq!((text("notice"), text("stats")), (String::new(), String::new()), "nothing is sent any more");

    // What is not there is said as something to ask for.
    browser.run("document.getElementById('button').click()").unwrap();
    until("refused", || text("sentence").contains("No session called “s1”. Ask the operator to create it."));
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
