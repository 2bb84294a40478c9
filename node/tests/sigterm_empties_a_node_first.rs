//! SIGTERM: the node ends when it is empty, or when it has had its time. One test: signals are the whole process'.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Idle;
use node::daemon::Signals;
use node::drain::{Drain, Drains, ended};
use tokio::task::JoinHandle;

const FOREVER: Duration = Duration::from_secs(3600);

fn node(limit: Duration) -> (Arc<Idle>, JoinHandle<()>) {
    let node = Arc::new(Idle { drain: Drain::new(limit, "viewers"), ..Idle::default() });
    (node.clone(), tokio::spawn(ended(Signals::listen().unwrap(), node)))
}

fn signal(which: &str) {
    let pid = std::process::id().to_string();
    assert!(Command::new("kill").args([which, &pid]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_empties_a_node_first() {
    // Empty: it ends.
    let (idle, over) = node(FOREVER);
    let mut stage = idle.drain().stage();
    signal("-TERM");
    stage.wait_for(|stage| stage.order.as_ref().is_some_and(|order| order.is_last)).await.unwrap();
    idle.drain().left(2, None);
    assert!(!over.is_finished(), "two are left");
    idle.drain().done();
    over.await.unwrap();

    // Those who are left have nowhere else to go, and have had none before: what was tried then is tried again.
    let (idle, over) = node(FOREVER);
    idle.drain().begin(None, false, Instant::now());
    idle.drain().left(2, None);
    idle.drain().stuck(true);
    let mut stage = idle.drain().stage();
    signal("-TERM");
    stage.wait_for(|stage| stage.order.as_ref().is_some_and(|order| order.is_last)).await.unwrap();
    assert!(!over.is_finished() && !stage.borrow().is_stuck);
    idle.drain().stuck(true);
    over.await.unwrap();

    // Told twice, it does not wait.
    let (idle, over) = node(FOREVER);
    let mut stage = idle.drain().stage();
    signal("-TERM");
    stage.wait_for(|stage| stage.order.is_some()).await.unwrap();
    signal("-TERM");
    over.await.unwrap();

    // Its time is over.
    let (idle, over) = node(Duration::from_millis(50));
    signal("-TERM");
    over.await.unwrap();
    assert!(idle.drain().is_on());

    // At once: without a limit, and by Ctrl-C.
    let (idle, over) = node(Duration::ZERO);
    signal("-TERM");
    over.await.unwrap();
    assert!(!idle.drain().is_on());
    let (idle, over) = node(FOREVER);
    let asked = Instant::now();
    signal("-INT");
    over.await.unwrap();
    assert!(!idle.drain().is_on() && asked.elapsed() < FOREVER);
}
