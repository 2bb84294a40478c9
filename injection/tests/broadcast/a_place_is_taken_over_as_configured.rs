use crate::common::{LONG, Scene, until};

/// Who has the token takes the place of who publishes, if that is configured.
#[test]
fn test() {
    let scene = Scene::with("takeover", &[("WHIP_TOKEN", "whip-secret"), ("TAKEOVER", "always")]);
    let room = scene.create("s1")["roomId"].as_u64().unwrap();
    let publishes = |publications: u64| {
        until("media", || {
            let session = scene.session("s1");
            session["publications"] == publications && session["publisher"]["state"] == "publishing"
        })
    };
    let _first = scene.publisher_with("s1", &["vp8", "whip-secret"]);
    publishes(1);
    let stranger = scene.publisher_with("s1", &["vp8"]);
    assert_eq!(stranger.wait(LONG).unwrap().code(), Some(1));
    assert!(stranger.log().contains("401"), "{}", stranger.log());
    assert_eq!(scene.session("s1")["publications"], 1, "nobody without the token takes anything");
    let _second = scene.publisher_with("s1", &["h264", "whip-secret"]);
    publishes(2);
    assert_eq!(scene.session("s1")["publisher"]["codecs"][0], "h264");
    assert_eq!(scene.rooms(), [(room, 1)]);
}
