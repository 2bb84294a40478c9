use std::time::Duration;

use crate::common::{Scene, until_within};

/// A Redis that lost its data is told everything again, the codec among it: an egress would take H264 for VP8 without.
#[test]
fn test() {
    let scene = Scene::start("lost");
    scene.create("s1");
    let _publisher = scene.publisher("s1", "h264");
    let field = |name: &str| scene.redis.cli(&["HGET", "session:s1", name]).unwrap();
    until_within(Duration::from_secs(5), "the codec", || field("videoCodec") == "h264");
    let before = scene.redis.cli(&["HGETALL", "session:s1"]).unwrap();
    scene.redis.cli(&["FLUSHALL"]).unwrap();
    // Within the grace for which others hold what was lost, 10 s at least.
    let took = until_within(Duration::from_secs(5), "the session", || field("active") == "true");
    eprintln!("written again after {took:?}");
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let after = scene.redis.cli(&["HGETALL", "session:s1"]).unwrap();
    assert_eq!(sorted(&after), sorted(&before));
    assert_eq!(scene.redis.members("sessions:active").unwrap(), ["s1"]);
}
