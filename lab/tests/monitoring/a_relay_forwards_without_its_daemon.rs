//! A relay in the kernel whose daemon is dead goes on forwarding: one alert, which says so, and nobody below it is muted.

use std::time::Instant;

use lab::Lab;
use lab::relay::Mode;

use super::alarms::Alarms;

#[test]
fn test() {
    let lab = Lab::new("t-headless-").unwrap();
    let mut scene = Alarms::open(&lab, Mode::Tc);
    let since = Instant::now();
    scene.studio.relay.kill9().unwrap();
    let told = scene.told("NodeDown", "relay-1", since);
    let words = scene.slack();
    assert!(
        words.iter().any(|text| text.contains("NodeDown") && text.contains("goes on forwarding")),
        "{words:#?}"
    );
    scene.only(since, &[("NodeDown", "relay-1")]);
    scene.broadcast.goes_on(30);
    let mutes = scene.prometheus.query(r#"ALERTS{alertname="AboveIsDown"}"#).unwrap();
    assert!(mutes.is_empty() && scene.muted().is_empty(), "{mutes:#?} {:?}", scene.muted());
    let mended = Instant::now();
    scene.studio.relay.restart().unwrap();
    let over = scene.over("NodeDown", "relay-1", mended);
    println!(
        "the daemon of a relay in the kernel is killed, NodeDown: told after {:.1} s, told to be over after {:.1} s",
        told.as_secs_f64(),
        over.as_secs_f64()
    );
    scene.broadcast.end();
}
