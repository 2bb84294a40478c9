//! What goes wrong in a tree is told to people, by the right alert, and nothing else is; when it is mended, that is told, too.

use std::fs;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::relay::Mode;

use super::alarms::{Alarms, Told, pairs};

#[test]
fn the_right_alerts_reach_people() {
    let lab = Lab::new("t-alarms-").unwrap();
    // By sockets, so that nothing goes on without its daemon.
    let mut scene = Alarms::open(&lab, Mode::Userspace);
    let mut lines = Vec::new();
    let mut note = |what: &str, told: Duration, over: Option<Duration>| {
        let over = over
            .map_or_else(String::new, |over| format!(", told to be over after {:.1} s", over.as_secs_f64()));
        lines.push(format!("{what}: told after {:.1} s{over}", told.as_secs_f64()));
    };

    // A tenth is lost on one edge.
    let since = Instant::now();
    lose(&lab, "egress-2", true);
    let told = scene.told("EdgeLoss", "egress-2", since);
    assert_eq!(scene.all_since(since), pairs(&[("EdgeLoss", "egress-2")]), "{}", scene.seen());
    let mended = Instant::now();
    lose(&lab, "egress-2", false);
    note(
        "a tenth is lost from relay-1 to egress-2, EdgeLoss",
        told,
        Some(scene.over("EdgeLoss", "egress-2", mended)),
    );

    // Three more sessions, and all ports are taken.
    let since = Instant::now();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        let ssrc = 100 + 2 * number as u32;
        scene.studio.create_session(name, [ssrc, ssrc + 1]).unwrap();
    }
    let told = scene.told("PortPoolExhaustion", "egress-1", since);
    scene.told("PortPoolExhaustion", "egress-2", since);
    let only = |found: &Told| found.iter().all(|(name, _)| name == "PortPoolExhaustion");
    assert!(only(&scene.all_since(since)), "{}", scene.seen());
    let mended = Instant::now();
    for name in ["a", "b", "c"] {
        scene.studio.injection.send("DELETE", &format!("/session/{name}"), "").unwrap();
    }
    let over = scene.over("PortPoolExhaustion", "egress-1", mended);
    note("all ports are taken, PortPoolExhaustion", told, Some(over));

    // An egress loses its parent.
    let since = Instant::now();
    scene.studio.leave(1).unwrap();
    let told = scene.told("EgressCutOff", "egress-2", since);
    assert_eq!(scene.all_since(since), pairs(&[("EgressCutOff", "egress-2")]), "{}", scene.seen());
    let mended = Instant::now();
    scene.studio.join(1).unwrap();
    note(
        "egress-2 loses its parent, EgressCutOff",
        told,
        Some(scene.over("EgressCutOff", "egress-2", mended)),
    );

    // The relay dies, and everybody below it has nothing. One message.
    let since = Instant::now();
    scene.studio.relay.kill9().unwrap();
    let told = scene.told("NodeDown", "relay-1", since);
    scene.only(since, &[("NodeDown", "relay-1")]);
    let muted = scene.muted();
    assert!(
        muted.iter().any(|alert| alert.ends_with("egress-1")),
        "who is below complains, and is muted: {muted:?}"
    );
    let mended = Instant::now();
    scene.studio.relay.restart().unwrap();
    let over = scene.over("NodeDown", "relay-1", mended);
    note(
        &format!("relay-1 is killed, NodeDown (muted: {})", Vec::from_iter(muted).join(", ")),
        told,
        Some(over),
    );

    for line in &lines {
        println!("{line}");
    }
    let slack = scene.slack();
    let is_told =
        |text: &String| text.contains("EdgeLoss in tree-1") && text.contains("docs/monitoring.md#edgeloss");
    assert!(slack.iter().any(is_told), "Slack is told, too: {slack:#?}");
    scene.broadcast.end();
}

/// Every tenth packet of media that comes to a node is lost, or none any more.
fn lose(lab: &Lab, ns: &str, is: bool) {
    if !is {
        lab.run(ns, &["nft", "delete", "table", "inet", "loss"]).unwrap();
        return;
    }
    let rules = lab.directory().join("loss.nft");
    let text = "table inet loss { chain in { type filter hook input priority 0; \
                udp dport { 5002, 5004 } numgen inc mod 10 < 1 drop; }; }\n";
    fs::write(&rules, text).unwrap();
    lab.run(ns, &["nft", "-f", rules.to_str().unwrap()]).unwrap();
}
