use std::fs;

use serde_json::json;

use crate::common::{LONG, Scene, until};

/// Sessions that come and go, publications that end, creations that fail half way: rooms, sockets and threads are as
/// before.
#[test]
fn test() {
    let scene = Scene::start("leaks");
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", scene.injection.pid())).unwrap().count();
    let cycle = |n: usize| {
        let wish = json!({ "sessionId": format!("c{n}"), "roomId": 500 + n });
        assert_eq!(scene.ask("POST", "/session", &wish.to_string()).0, 201);
        let publisher = scene.publisher(&format!("c{n}"), "vp8");
        assert_eq!(scene.ask("DELETE", &format!("/session/c{n}"), "").0, 200);
        publisher.kill9().unwrap();
    };
    cycle(0);
    let before = descriptors();
    for n in 1..6 {
        cycle(n);
    }
    for n in 0..30 {
        assert_eq!(scene.ask("POST", "/session", &format!(r#"{{"sessionId":"d{n}"}}"#)).0, 201);
        assert_eq!(scene.ask("DELETE", &format!("/session/d{n}"), "").0, 200);
    }
    assert_eq!(scene.rooms(), []);

    // Janus refuses: a room that is not ours has the number.
    let theirs = json!({ "request": "create", "room": 900, "admin_key": crate::common::ROOM_SECRET });
    let make = async {
        let client = janus::Client::connect("ws://127.0.0.1:8188", Some(crate::common::API_SECRET)).await?;
        let (handle, _events) = client.attach("janus.plugin.videoroom").await?;
        handle.message(theirs, None).await
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    scene.lab.in_namespace("node", || runtime().block_on(make)).unwrap().unwrap();
    let (status, refusal) = scene.ask("POST", "/session", r#"{"sessionId":"e","roomId":900}"#);
    assert_eq!(status, 409);
    assert!(refusal["error"].as_str().unwrap().contains("already exists"), "Janus' own words: {refusal}");

    // Redis does not answer: no session, no room.
    scene.redis.freeze().unwrap();
    let (status, refusal) = scene.ask("POST", "/session", r#"{"sessionId":"f"}"#);
    assert_eq!(status, 503, "{refusal}");
    assert!(
        refusal["error"].as_str().unwrap().contains("Redis")
            || refusal["error"].as_str().unwrap().contains("6379")
    );
    scene.redis.thaw().unwrap();
    assert_eq!(scene.rooms(), [(900, 0)]);
    assert_eq!(scene.ask("GET", "/sessions", "").1["count"], 0);
    until("sockets as before", || descriptors() <= before + 1);

    // The port range is whole: a publisher that gets no answer it likes leaves nobody in the room.
    scene.create("g");
    let odd = scene.publisher_with("g", &["vp8"]);
    until("published", || odd.log().contains("published"));
    assert_eq!(scene.ask("DELETE", "/session/g/publisher", "").0, 204);
    let _ = odd.wait(LONG);
    until("nobody is left", || scene.rooms().iter().all(|(_, publishers)| *publishers == 0));
}
