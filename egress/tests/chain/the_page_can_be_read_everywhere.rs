//! Every state of the viewers' page, and the list, can be read and used on a phone and on a desk, light and dark: text has
//! contrast, controls have names and are large enough, nothing is beside the screen. Pictures of all are in the build folder.

use lab::browser::Maker;
use serde_json::json;

use crate::common::{World, browser_of, lab};

#[test]
fn in_chromium() {
    can_be_read(Maker::Chromium);
}

#[test]
fn in_firefox() {
    can_be_read(Maker::Firefox);
}

/// Of states that take somebody's misfortune, what the page knows then.
const RARE: [(&str, &str); 5] = [
    ("cut off", "{ cutOff: true }"),
    ("reconnecting", "{ cutOff: false, connection: 'lost' }"),
    ("still", "{ connection: 'connected', picture: 'still' }"),
    ("sound only", "{ picture: 'not playable' }"),
    ("not playable", "{ refused: 'format' }"),
];

fn can_be_read(maker: Maker) {
    let lab = lab();
    let world = World::start_with(&lab, &[("WHEP_TOKEN", "viewers")]);
    let browser = browser_of(&lab, maker);
    let run = |script: &str| browser.run(script).unwrap();
    let open = |query: &str| browser.open(&format!("http://10.77.0.1:7073/{query}")).unwrap();
    let state_is = |state: &str| run("return window.seen?.state") == json!(state);
    let becomes = |state: &str| {
        world.until(state, || state_is(state));
    };
    let looks = |state: &str| browser.can_be_read("viewer", state).unwrap();
    let list = || run("return document.body.innerText").as_str().unwrap_or_default().to_owned();

    open("");
    world.until("an empty list", || list().contains("There is no broadcast at present."));
    looks("list-empty");
    open("?id=sunday");
    becomes("waiting");
    looks("waiting");
    world.session("sunday", 4001, [7777, 8888]);
    becomes("private");
    looks("private");
    open("?id=sunday&token#token=viewers");
    becomes("paused");
    looks("paused");

    // Keyframes enough for a machine that makes a few pictures a second.
    let _sending = [world.sound("sine=frequency=440", 7777), world.pictures("-g 5", 8888)];
    becomes("playing");
    looks("live");
    browser.click("#details").unwrap();
    let numbers = || run("return document.getElementById('numbers').innerText");
    world.until("it measures", || numbers().as_str().unwrap_or_default().contains("640 × 360"));
    looks("details");
    browser.click("#play").unwrap();
    becomes("held");
    looks("held");
    browser.click("#call").unwrap();
    becomes("playing");

    world.session("monday", 4002, [17777, 18888]);
    let player = browser.tab().unwrap();
    browser.open_tab("http://10.77.0.1:7073/#token=viewers").unwrap();
    world.until("live first, with viewers", || {
        let list = list();
        let at = |word: &str| list.find(word).unwrap_or(usize::MAX);
        let order = ["sunday", "1 watching here", "Live", "monday", "Offline"].map(at);
        order.is_sorted() && order[4] < usize::MAX
    });
    looks("list");
    browser.switch_to(&player).unwrap();
    becomes("playing");
    world.redis.cli(&["SREM", "sessions:active", "sunday"]).unwrap();
    becomes("ended");
    looks("ended");

    // From now on the page knows nothing but this. (By `window`: a bare name would be the script's own in Firefox.)
    run("drop(); learn({ exists: true, active: true });
        window.learn = (real => () => real(window.forced))(window.learn)");
    for (state, known) in RARE {
        run(&format!("window.forced = {known}; window.learn()"));
        assert!(state_is(state), "{known}");
        looks(state);
    }
}
