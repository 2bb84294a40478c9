//! What the viewers' page says: sentences for viewers in every state, and what is true: private, not begun, playing, ended.
//! Its list says which broadcasts are live.

use lab::Browser;
use serde_json::{Value, json};

use crate::common::{World, browser, lab};

/// Every state that the page can be in, each with what it says.
const ALL: &str = "
    const all = [];
    for (const refused of ['', 'private', 'format'])
      for (const token of [false, true]) for (const exists of [false, true]) for (const ended of [false, true])
        for (const [active, cutOff] of [[false, false], [false, true], [true, false]])
          for (const connection of ['none', 'connecting', 'refused', 'connected', 'interrupted', 'lost'])
            for (const picture of ['none yet', 'shown', 'still', 'sound only', 'not playable'])
              for (const held of [false, true]) {
                const now = { refused, token, exists, ended, active, cutOff, connection, picture, held };
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
    assert_eq!(all.len(), 3 * 8 * 3 * 6 * 5 * 2);
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
    says("state", "Live");
    assert!(!shown(&browser, "cover"), "{}", text("cover"));

    world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
    says("cover", "The broadcast has ended. If it resumes, it will play here.");
    assert_eq!(text("numbers"), "", "numbers of what has ended");
    world.session("s1", 4001, [7777, 8888]);
    says("state", "Live");

    page("");
    says("list", "Live");
    assert!(text("list").contains("s1"));
    assert!(!shown(&browser, "graphs") && !shown(&browser, "stage") && !shown(&browser, "state"));
}

/// What a viewer reads says what is so, in words that he knows.
fn sound(now: &Value, said: &Value) {
    let word = |name: &str| said[name].as_str().unwrap().to_owned();
    let (state, badge, cover) = (word("is"), word("badge"), word("sentence"));
    assert!(!state.is_empty() && !badge.is_empty(), "{now}");
    for private in ["SSRC", "Janus", "RTP", "header", "Authorization", "://", "session", "mountpoint"] {
        assert!(!cover.contains(private) && !badge.contains(private), "{now}: {said}");
    }
    let paused = cover.contains("paused") || state == "paused";
    assert!(!paused || now["exists"] == json!(true), "{now}: {said}: it has ended");
    let playing = badge == "Live" || state == "playing";
    assert!(
        !playing || (now["connection"] == "connected" && now["picture"] == "shown" && now["held"] == false),
        "{now}: {said}"
    );
    if now["refused"] == "private" {
        assert_eq!(cover.contains("your link does not open it"), now["token"] == json!(true), "{now}");
    }
}

fn shown(browser: &Browser<'_>, name: &str) -> bool {
    browser.run(&format!("return document.getElementById('{name}').offsetParent !== null")).unwrap()
        == json!(true)
}
