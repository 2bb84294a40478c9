use crate::common::{Receiver, Scene, until};

/// After `kill -9` the sessions are there again with all that they had, Janus has their rooms once, and media flows.
#[test]
fn test() {
    let mut scene = Scene::start("restart");
    let wish = r#"{"sessionId":"s2","recipients":[{"host":"10.77.0.2","audioPort":6002,"videoPort":6004}]}"#;
    assert_eq!(scene.ask("POST", "/session/create", wish).0, 201);
    scene.create("s1");
    scene.child();
    let _lost = scene.publisher("s1", "vp8");
    let fixed = ["roomId", "audioSsrc", "videoSsrc", "recipients", "createdAt", "endpoint"];
    let before = ["s1", "s2"].map(|id| scene.session(id));
    scene.restart_injection();
    until("the child", || scene.status()["pipeline"]["childrenCount"] == 1);
    for (id, before) in ["s1", "s2"].iter().zip(&before) {
        let after = scene.session(id);
        for field in fixed {
            assert_eq!(after[field], before[field], "{field} of {id}");
        }
    }
    let mut rooms = scene.rooms();
    rooms.sort();
    let mut wanted = before.map(|session| (session["roomId"].as_u64().unwrap(), 0));
    wanted.sort();
    assert_eq!(rooms, wanted);
    let receiver = Receiver::start(scene.lab);
    let _publisher = scene.publisher("s1", "vp8");
    until("media", || receiver.count().iter().all(|count| *count > 20));

    // A graceful stop leaves the sessions, and takes rooms and registration with it.
    scene.injection.terminate().unwrap();
    assert_eq!(scene.rooms(), []);
    assert_eq!(scene.redis.members("sessions:injection-1").unwrap(), ["s1", "s2"]);
    assert_eq!(scene.redis.cli(&["EXISTS", "node:injection-1"]).unwrap(), "0");
}
