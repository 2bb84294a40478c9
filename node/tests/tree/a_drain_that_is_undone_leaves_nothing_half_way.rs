//! A relay is drained, and the drain is undone in the middle and at the end: its children are its own or somebody else's, never both,
//! and it is its parent's child again. Two that are drained at once, each of which would give its children to the other.

use std::sync::Arc;
use std::time::Instant;

use node::drain::{Drain, Giver};
use node::record::Registration;

use crate::common::*;

/// injection-1 above relay-1 and relay-2, two children below relay-1: one that says who its parent is, and one that takes media
/// from anybody. Neither is in the directory.
async fn stage() -> (Server, Arc<Drain>) {
    let server = Server::start("").await;
    let entry = r#"{"type":"injection","url":"http://i","status":"active"}"#;
    server.run(&format!("HSET directory:tree-1 injection-1 {entry}")).await;
    server.run("SET node:injection-1 there").await;
    for relay in ["relay-1", "relay-2"] {
        let entry = r#"{"type":"relay","url":"http://r","status":"active","parent":"injection-1"}"#;
        server.run(&format!("HSET directory:tree-1 {relay} {entry}")).await;
        server.run(&format!("SET node:{relay} there")).await;
        server.run(&format!("SET parent:{relay} injection-1")).await;
        server.run(&format!("SADD children:injection-1 {relay}")).await;
    }
    server.run("SADD children:relay-1 a b").await;
    server.run("SET parent:a relay-1").await;
    let drain = relay(&server, "relay-1");
    (server, drain)
}

/// A relay, as far as it is drained.
fn relay(server: &Server, id: &str) -> Arc<Drain> {
    let drain = Arc::new(Drain::new(LONG, "children"));
    let registration = Registration { id: id.to_owned(), ..registration() };
    let (giver, giving) = (Giver::new(&config(server).redis, &registration), drain.clone());
    tokio::spawn(async move { giver.run(&giving).await });
    drain
}

async fn members(server: &Server, of: &str) -> Vec<String> {
    let mut members: Vec<String> =
        redis::from_redis_value(server.run(&format!("SMEMBERS children:{of}")).await).unwrap();
    members.sort();
    members
}

#[tokio::test]
async fn nobody_is_named_who_cannot_take_them() {
    let (server, _drain) = stage().await;
    let entry = r#"{"type":"egress","url":"http://e","status":"active"}"#;
    server.run(&format!("HSET directory:tree-1 egress-1 {entry}")).await;
    server.run("SET node:egress-1 there").await;
    let registration = Registration { id: "relay-1".to_owned(), ..registration() };
    let giver = Giver::new(&config(&server).redis, &registration);
    for fit in ["relay-2", "injection-1"] {
        assert_eq!(giver.refuses(fit).await, None, "{fit}");
    }
    for (unfit, why) in [
        ("relay-3", "no node of this name is registered"),
        ("egress-1", "it is an egress"),
        ("relay-1", "it is the node that drains"),
    ] {
        let said = giver.refuses(unfit).await.unwrap_or_default();
        assert!(said.contains(why), "{unfit}: {said}");
    }
    // Killed, and its registration has not expired.
    server.run("SET node:instance:relay-2 it PX 50000").await;
    let giver = Giver::new(&config(&server).redis, &registration);
    assert!(giver.refuses("relay-2").await.unwrap_or_default().contains("nobody has heard of it"));
}

/// Waits for these to be so: relay-1's children, relay-2's, and the parent of `a`.
async fn are(server: &Server, own: &[&str], others: &[&str], parent: &str) {
    let began = Instant::now();
    loop {
        let seen = (
            members(server, "relay-1").await,
            members(server, "relay-2").await,
            server.text("GET parent:a").await.unwrap_or_default(),
        );
        if seen.0 == own && seen.1 == others && seen.2 == parent {
            return;
        }
        assert!(began.elapsed() < LONG, "{seen:?}, not {own:?}, {others:?}, {parent}");
        tokio::time::sleep(ms(5)).await;
    }
}

#[tokio::test]
async fn in_the_middle_each_child_is_somebodys_alone() {
    let (server, drain) = stage().await;
    drain.begin(None, false, Instant::now());
    is_given(&server).await;
    drain.undo();
    let began = Instant::now();
    loop {
        let sets = [members(&server, "relay-1").await, members(&server, "relay-2").await];
        let is_alone =
            |child: &str| sets.iter().filter(|set| set.iter().any(|name| name == child)).count() == 1;
        let parent = server.text("GET parent:a").await.unwrap();
        let index = usize::from(parent == "relay-2");
        // A machine that hangs for a second may have let `a` go first.
        if is_alone("a") && is_alone("b") && sets[index].iter().any(|name| name == "a") {
            break;
        }
        assert!(began.elapsed() < LONG, "{sets:?}, {parent}");
        tokio::time::sleep(ms(20)).await;
    }
}

async fn is_given(server: &Server) {
    let began = Instant::now();
    while members(server, "relay-2").await.is_empty() {
        assert!(began.elapsed() < LONG, "nothing is given");
        tokio::time::sleep(ms(5)).await;
    }
}

#[tokio::test]
async fn at_the_end_it_is_its_parents_child_again_whatever_was_ordered_meanwhile() {
    let (server, drain) = stage().await;
    drain.begin(None, false, Instant::now());
    are(&server, &[], &["a", "b"], "relay-2").await;
    let mut stage = drain.stage();
    stage.wait_for(|stage| stage.drained).await.unwrap();
    assert_eq!(members(&server, "injection-1").await, ["relay-2"]);
    // Somebody names who is to take what there is not any more.
    drain.begin(Some("relay-2".to_owned()), false, Instant::now());
    stage.wait_for(|stage| stage.drained).await.unwrap();
    drain.undo();
    let began = Instant::now();
    while members(&server, "injection-1").await != ["relay-1", "relay-2"] {
        assert!(began.elapsed() < LONG, "it is not put back");
        tokio::time::sleep(ms(20)).await;
    }
    are(&server, &[], &["a", "b"], "relay-2").await;
}

#[tokio::test]
async fn two_that_are_drained_at_once_give_their_children_to_their_parent() {
    let (server, first) = stage().await;
    server.run("SADD children:relay-2 c d").await;
    server.run("SET parent:c relay-2").await;
    let second = relay(&server, "relay-2");
    for drain in [&first, &second] {
        drain.begin(None, false, Instant::now());
    }
    let began = Instant::now();
    while !members(&server, "relay-2").await.contains(&"a".to_owned()) {
        assert!(began.elapsed() < LONG, "nothing is given");
        tokio::time::sleep(ms(5)).await;
    }
    // Now each says so.
    for relay in ["relay-1", "relay-2"] {
        let entry =
            r#"{"type":"relay","url":"http://r","status":"active","parent":"injection-1","draining":true}"#;
        server.run(&format!("HSET directory:tree-1 {relay} {entry}")).await;
    }
    for drain in [first, second] {
        let mut stage = drain.stage();
        let drained = tokio::time::timeout(2 * LONG, stage.wait_for(|stage| stage.drained)).await;
        assert!(drained.is_ok(), "{:?}", drain.view());
    }
    are(&server, &[], &[], "injection-1").await;
    assert_eq!(members(&server, "injection-1").await, ["a", "b", "c", "d"]);
}
