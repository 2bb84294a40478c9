use std::time::Duration;

use crate::common::handmade::Wire;
use crate::common::{Scene, rtmp, until};

/// Case of review 9: connections that say nothing, as many as anybody likes, take no encoder's place: neither that of one elsewhere
/// nor that of one behind the same address. The next takes the place of the one that has waited longest.
#[test]
fn test() {
    let scene =
        Scene::with("rtmp-share", &[rtmp::PORT, ("RTMP_WAITING", "16"), ("RTMP_WAITING_PER_ADDRESS", "4")]);
    scene.create("s1");
    let publisher = scene.encodes("s1", "s1", rtmp::BASELINE);
    scene.ask("POST", "/session/create", r#"{"sessionId":"s2"}"#);
    let metric = |name: &str| {
        let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
    };
    let waiting = || metric("media_tree_injection_rtmp_waiting");
    let mut strangers: Vec<Wire> = (0..100).map(|_| Wire::dial(scene.lab)).collect();
    until("the share is taken, and no more", || waiting() == 4.0);
    let gone = strangers
        .iter_mut()
        .filter_map(|wire| wire.is_closed_within(Duration::from_millis(20)).then_some(()));
    assert_eq!(gone.count(), 96);
    let crowded =
        metric("media_tree_injection_rtmp_refused_total{node_id=\"injection-1\",reason=\"crowded\"");
    assert_eq!(crowded, 96.0);
    assert!(scene.injection.log().matches(" WARN ").count() < 40, "a log is not for strangers to fill");

    let encoder = scene.encodes("s2", "s2", rtmp::BASELINE);
    assert_eq!((publisher.status().unwrap(), encoder.status().unwrap()), (None, None));
    // Those that publish are not among those that wait.
    until("they have gone, or wait", || waiting() <= 4.0);
    drop(strangers);
    until("nobody waits", || waiting() == 0.0);
}
