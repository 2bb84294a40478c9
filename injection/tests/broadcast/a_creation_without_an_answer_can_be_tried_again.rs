use std::time::Duration;

use crate::common::{Scene, until, until_within};

/// Redis takes the writes of a creation and answers too late: nobody knows then whether there is a session. Trying again
/// works, and so does giving up.
#[test]
fn test() {
    let scene = Scene::start("pause");
    let pause = || scene.redis.cli(&["CLIENT", "PAUSE", "1500", "WRITE"]).unwrap();
    let create = |id: &str| scene.ask("POST", "/session", &format!(r#"{{"sessionId":"{id}"}}"#));

    pause();
    let (status, refusal) = create("s1");
    assert_eq!(status, 503, "{refusal}");
    let took = until("tried again", || {
        let (status, answer) = create("s1");
        assert!(status == 503 || status == 201, "{status} {answer}");
        status == 201
    });
    eprintln!("created {took:?} after the first attempt");
    assert_eq!(scene.redis.members("sessions:active").unwrap(), ["s1"]);
    assert_eq!(scene.rooms().len(), 1);
    assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);

    // Nobody tries again: nothing stays, or it can be destroyed.
    pause();
    assert_eq!(create("s2").0, 503);
    std::thread::sleep(Duration::from_millis(1600));
    let (status, answer) = scene.ask("DELETE", "/session/s2", "");
    assert!(status == 200 || status == 404, "{status} {answer}");
    until_within(Duration::from_secs(15), "no ghost", || {
        scene.redis.members("sessions:active").unwrap().is_empty()
    });
    assert_eq!(scene.rooms(), []);
    assert_eq!(create("s2").0, 201);
}
