use crate::common::{Receiver, Scene, until};

/// Media needs no Redis: it goes on without. Sessions cannot be made meanwhile, and are taken up when it is there.
#[test]
fn test() {
    let mut scene = Scene::start("redis");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let _publisher = scene.publisher("s1", "vp8");
    scene.redis.kill9().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let before = receiver.count();
    until("media goes on", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 20));
    for (method, path, body) in [("POST", "/session", r#"{"sessionId":"s2"}"#), ("DELETE", "/session/s1", "")]
    {
        let (status, refusal) = scene.ask(method, path, body);
        assert_eq!(status, 503, "{refusal}");
        assert!(refusal["error"].as_str().unwrap().contains("127.0.0.1:6379"), "{refusal}");
    }
    assert_eq!(scene.ask("GET", "/sessions", "").1["count"], 1);
    crate::common::receiver::is_seamless(&receiver.packets(1));

    // Started without it.
    scene.injection.kill9().unwrap();
    scene.launch_injection();
    until("it says what is missing", || {
        scene.try_status().is_some_and(|status| status["problems"].to_string().contains("127.0.0.1:6379"))
    });
    assert_eq!(scene.ask("POST", "/session", r#"{"sessionId":"s2"}"#).0, 503);
    scene.redis.restart().unwrap();
    let took = until("the session is there", || scene.session("s1")["audioSsrc"] == 1111);
    eprintln!("taken up {took:?} after Redis came");
    scene.is_ready();
    assert_eq!(scene.rooms().len(), 1);
}
