use std::time::Duration;

use crate::common::handmade::{Encoder, again, recording};
use crate::common::{LONG, Scene, rtmp, until, until_within};

/// No token, a wrong one, no session, somebody there already, other codecs: the encoder ends at once, the log says why, and
/// nothing is left behind.
#[test]
fn test() {
    let scene = Scene::with("rtmp-no", &[rtmp::PORT, ("WHIP_TOKEN", "rtmp-secret")]);
    scene.create("s1");
    let refused = |key: &str, words: &str| {
        let encoder = scene.encoder(key, rtmp::BASELINE);
        assert!(!encoder.wait(LONG).unwrap().success(), "{key}");
        until("the log says why", || scene.injection.log().contains(words));
        encoder.log()
    };
    let no_token = "refused: the stream key needs ?token=TOKEN";
    for key in ["s1", "s1?token=wrong", "s1?token=", "nobody?token=wrong"] {
        let count = || scene.injection.log().matches(no_token).count();
        let before = count();
        refused(key, no_token);
        until("a line for each", || count() == before + 1);
    }
    let said = refused("nobody?token=rtmp-secret", "refused: no session nobody");
    assert!(said.contains("no session nobody"), "the encoder shows it as well: {said}");
    refused("?token=rtmp-secret", "refused: the stream key names no session");
    assert!(scene.session("s1")["publisher"].is_null());

    let mp3 = scene.encoder_with(
        "s1?token=rtmp-secret",
        &["-c:v", "libx264", "-tune", "zerolatency"],
        "libmp3lame",
    );
    assert!(!mp3.wait(LONG).unwrap().success());
    until("the log says why", || scene.injection.log().contains("codec number 2; choose AAC"));
    let flv = scene.encoder_with("s1?token=rtmp-secret", &["-c:v", "flv1"], "aac");
    assert!(!flv.wait(LONG).unwrap().success());
    until("the log says why", || scene.injection.log().contains("codec number 2; choose H264"));

    let huge = ["size=8192x4320", "-r", "1", "-x264-params", "8x8dct=1", "-profile:v", "high"];
    let huge = Encoder::start(scene.lab, "s1?token=rtmp-secret", again(&recording(1, &huge, &[]), 20));
    until_within(Duration::from_secs(30), "the log says why", || {
        scene.injection.log().contains("8192x4320 pixels; encode at most 4096x2304")
    });
    drop(huge);

    let publisher = scene.encodes("s1?token=rtmp-secret", "s1", rtmp::BASELINE);
    let since = scene.session("s1")["publications"].clone();
    refused("s1?token=rtmp-secret", "refused: someone else is live on session s1");
    // By WHIP as well.
    let second = scene.publisher_with("s1", &["vp8", "rtmp-secret"]);
    assert_eq!(second.wait(LONG).unwrap().code(), Some(1));
    assert!(second.log().contains("409"), "{}", second.log());
    assert_eq!((publisher.status().unwrap(), &scene.session("s1")["publications"]), (None, &since));
    assert!(!scene.injection.log().contains("rtmp-secret"), "{}", scene.injection.log());
}
