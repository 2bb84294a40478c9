//! What the viewers' page says: sentences for viewers in every state, and what is true: private, not begun, playing, ended.
//! It can be used by keys, and its list says which broadcasts are live.

use lab::Browser;
use serde_json::{Value, json};

use crate::common::{World, browser, lab};

/// Every state that the page can be in, each with what it says.
const ALL: &str = "
    const all = [];
    for (const refused of ['', 'private', 'format'])
      for (const token of [false, true]) for (const exists of [false, true]) for (const ended of [false, true])
        for (const [active, cutOff] of [[false, false], [false, true], [true, false]])
          for (const connection of ['none', 'connecting', 'connected', 'interrupted', 'lost'])
            for (const picture of ['none yet', 'shown', 'still', 'sound only', 'not playable']) {
              const now = { refused, token, exists, ended, active, cutOff, connection, picture };
              all.push([now, describe(now)]);
            }
    return all;";

#[test]
fn the_viewers_page_speaks_to_viewers() {
    let lab = lab();
    let world = World::start_with(&lab, &[("WHEP_TOKEN", "viewers")]);
    let browser = browser(&lab);
    let page = |query: &str| browser.open(&format!("http://10.77.0.1:7073/{query}")).unwrap();
    let text = |name: &str| {
        let script = format!("return document.getElementById('{name}').innerText");
        browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    };
    let says = |name: &str, wanted: &str| {
        world.until(wanted, || text(name).contains(wanted));
    };

    page("?id=s1");
    says("cover", "has not started yet");
    let all = browser.run(ALL).unwrap();
    let all = all.as_array().expect("every state");
    assert_eq!(all.len(), 3 * 8 * 3 * 25);
    for state in all {
        sound(&state[0], &state[1]);
    }

    world.session("s1", 4001, [7777, 8888]);
    says("cover", "Open it with the complete link");
    let _sending = world.broadcast([7777, 8888]);
    page("?id=s1#token=wrong");
    browser.run("location.reload()").unwrap();
    says("cover", "your link does not open it");
    page("?id=s1&again#token=viewers");
    says("state", "playing");
    assert!(!shown(&browser, "cover"), "{}", text("cover"));

    keys(&world, &browser);
    let screenshots = lab::relay::workspace().join("target/screenshots");
    browser.screenshot(&screenshots.join("egress-viewer-controls.png")).unwrap();

    world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
    says("cover", "The broadcast has ended. If it resumes, it will play here.");
    assert_eq!(text("numbers"), "", "numbers of what has ended");
    world.session("s1", 4001, [7777, 8888]);
    says("state", "playing");

    page("");
    says("list", "s1 live");
    assert!(!shown(&browser, "graphs") && !shown(&browser, "stage") && !shown(&browser, "state"));
}

/// What a viewer reads says what is so, in words that he knows.
fn sound(now: &Value, said: &Value) {
    let (state, cover) = (said[0].as_str().unwrap(), said[2].as_str().unwrap());
    assert!(!state.is_empty(), "{now}");
    for private in ["SSRC", "Janus", "RTP", "header", "Authorization", "://", "session", "mountpoint"] {
        assert!(!cover.contains(private) && !state.contains(private), "{now}: {said}");
    }
    let paused = cover.contains("paused") || state == "paused";
    assert!(!paused || now["exists"] == json!(true), "{now}: {said}: it has ended");
    let playing = state == "playing";
    assert!(!playing || (now["connection"] == "connected" && now["picture"] == "shown"), "{now}: {said}");
    if now["refused"] == "private" {
        assert_eq!(cover.contains("your link does not open it"), now["token"] == json!(true), "{now}");
    }
}

/// m and f, and a double click, do what they do everywhere else; a button has a name and a ring of focus.
fn keys(world: &World<'_>, browser: &Browser<'_>) {
    let press = |key: &str| {
        browser
            .run(&format!("document.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}))"))
            .unwrap();
    };
    let muted = || browser.run("return video.muted").unwrap() == json!(true);
    assert!(muted(), "browsers allow sound only to those who ask for it");
    // Without a person's gesture a browser refuses sound and full screen themselves: what they are asked for counts.
    browser.run("video.play = async () => {}").unwrap();
    press("m");
    world.until("sound", || !muted());
    press("m");
    world.until("silence", muted);
    browser.run("window.asked = 0; $('stage').requestFullscreen = async () => { window.asked++; }").unwrap();
    press("f");
    browser.run("video.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))").unwrap();
    assert_eq!(browser.run("return window.asked").unwrap(), json!(2));
    let unnamed = "return [...document.querySelectorAll('button, input, video, canvas')]
        .filter(control => !control.ariaLabel && !control.innerText).length";
    assert_eq!(browser.run(unnamed).unwrap(), json!(0), "controls without a name");
    let ring = "$('mute').focus({ focusVisible: true });
        return parseInt(getComputedStyle($('mute')).outlineWidth)";
    assert_eq!(browser.run(ring).unwrap(), json!(3));
}

fn shown(browser: &Browser<'_>, name: &str) -> bool {
    browser.run(&format!("return document.getElementById('{name}').offsetParent !== null")).unwrap()
        == json!(true)
}
