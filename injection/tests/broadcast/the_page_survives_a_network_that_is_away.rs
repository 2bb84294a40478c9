use std::time::{Duration, Instant};

use lab::Browser;

use crate::common::{Receiver, Scene, until, until_within};

/// A browser's first start on a busy machine.
const STARTS: Duration = Duration::from_secs(45);
/// How long the network is away.
const AWAY: Duration = Duration::from_secs(4);

/// The page says that its connection is interrupted, and goes on with the same publication within a second of the network's
/// return. When somebody else has taken its place meanwhile it waits until they stop, and takes nothing back.
#[test]
fn test() {
    let scene = Scene::start("page-away");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let more = ["--mute-audio", "--disable-features=WebRtcHideLocalIpsWithMdns"];
    let browser = Browser::start_with(scene.lab, "far", &[], &more).unwrap();
    browser.open("http://10.77.0.1:7070/publish?id=s1&source=pattern&auto").unwrap();
    let says = |name: &str| {
        let script = format!("return document.getElementById('{name}').innerText");
        browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    };
    let state = || says("state");
    until_within(STARTS, "the page publishes", || {
        state() == "Live" && scene.session("s1")["publisher"]["state"] == "publishing"
    });

    scene.cut();
    let cut = Instant::now();
    until("it is seen to be silent", || scene.session("s1")["publisher"]["state"] == "silent");
    std::thread::sleep(AWAY.saturating_sub(cut.elapsed()));
    let before = receiver.count();
    let healing = Instant::now();
    scene.heal();
    until("media again", || (0..2).all(|kind| receiver.count()[kind] > before[kind]));
    eprintln!("media {:?} after the network came back", healing.elapsed());
    assert!(healing.elapsed() < Duration::from_secs(1), "{:?}", healing.elapsed());
    until("the page knows", || state() == "Live");
    assert_eq!(scene.session("s1")["publications"], 1);

    scene.cut();
    until("it is silent again", || scene.session("s1")["publisher"]["state"] == "silent");
    let newcomer = scene.publisher_from("node", "s1", &["vp8"]);
    until("the newcomer publishes", || scene.session("s1")["publications"] == 2);
    scene.heal();
    until("the page gives in", || says("sentence").contains("Someone else is live on “s1”"));
    until("the newcomer's media", || scene.session("s1")["publisher"]["state"] == "publishing");
    assert_eq!(scene.session("s1")["publications"], 2);
    newcomer.terminate().unwrap();
    until("the page publishes again", || state() == "Live" && scene.session("s1")["publications"] == 3);
}
