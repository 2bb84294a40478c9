//! What a person does at the viewers' page with keys and mouse, in real browsers: sound, pause, full screen, a small window.

use lab::Browser;
use lab::browser::Maker;
use serde_json::{Value, json};

use crate::common::{World, browser_of, lab};

#[test]
fn in_chromium() {
    is_used(Maker::Chromium);
}

#[test]
fn in_firefox() {
    is_used(Maker::Firefox);
}

fn is_used(maker: Maker) {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    // Keyframes enough for a machine that makes a few pictures a second.
    let _sending = [world.sound("sine=frequency=440", 7777), world.pictures("-g 5", 8888)];
    let browser = browser_of(&lab, maker);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    let until = |what: &str, script: &str, wanted: Value| {
        world.until(what, || ask(&browser, script) == wanted);
    };
    let (muted, full) = ("$('video').muted", "document.fullscreenElement === $('stage')");
    let (state, paused) = ("window.seen?.state", "$('video').paused");
    until("it plays", state, json!("playing"));
    assert_eq!(ask(&browser, muted), json!(true), "browsers allow sound only to those who ask for it");

    for how in ["key", "button"] {
        let does = |key: &str, button: &str| match how {
            "key" => browser.press(key).unwrap(),
            _ => browser.click(button).unwrap(),
        };
        does("m", "#mute");
        until("it is heard", muted, json!(false));
        does("m", "#mute");
        until("it is silent", muted, json!(true));
        does(" ", "#play");
        until("it is paused", state, json!("held"));
        assert_eq!(ask(&browser, paused), json!(true));
        does(" ", "#play");
        until("it plays", state, json!("playing"));
        assert_eq!(ask(&browser, paused), json!(false));
        does("f", "#fullscreen");
        until("all of the screen", full, json!(true));
        does("f", "#fullscreen");
        until("part of the screen", full, json!(false));
    }
    browser.click("#call").unwrap();
    until("it is heard", muted, json!(false));
    assert_eq!(ask(&browser, "$('call').hidden"), json!(true), "it asks for what is done");

    // Space presses the button that has the focus, and does nothing besides.
    ask(&browser, "$('mute').focus()");
    browser.press(" ").unwrap();
    until("it is silent", muted, json!(true));
    assert_eq!(ask(&browser, state), json!("playing"));
    let ring =
        "($('mute').focus({ focusVisible: true }), parseInt(getComputedStyle($('mute')).outlineWidth))";
    assert_eq!(ask(&browser, ring), json!(3));

    // Where the browser has it.
    if ask(&browser, "Boolean(document.pictureInPictureEnabled)") == json!(true) {
        browser.click("#pip").unwrap();
        until("a small window", "document.pictureInPictureElement === $('video')", json!(true));
        browser.click("#pip").unwrap();
        until("none", "document.pictureInPictureElement", Value::Null);
    }
    let has = "Boolean(document.pictureInPictureEnabled) !== $('pip').hidden";
    assert_eq!(ask(&browser, has), json!(true), "a button that does nothing");

    // By other buttons than ours, those of headphones: the page says so, too.
    ask(&browser, "$('video').pause()");
    until("it is paused", state, json!("held"));
    ask(&browser, "$('video').play()");
    until("it plays", state, json!("playing"));
    assert_eq!(ask(&browser, "window.seen.joins"), json!(1));
}

fn ask(browser: &Browser<'_>, what: &str) -> Value {
    browser.run(&format!("const $ = name => document.getElementById(name); return {what}")).unwrap()
}
