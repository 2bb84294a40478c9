//! Viewers are dismissed all at once, and a node that stops waits for Janus no longer than a moment.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{World, lab};

#[test]
fn a_janus_that_hangs_does_not_keep_the_node() {
    let lab = lab();
    let world = World::start(&lab);
    for (n, id) in (1u32..).zip(["s1", "s2"]) {
        world.session(id, 4000 + u64::from(n), [100 * n, 100 * n + 1]);
    }
    world.until("both", || world.get("/mountpoints")["count"] == json!(2));
    for _ in 0..5 {
        for id in ["s1", "s2"] {
            let (status, head, answer) = world.request("POST", &format!("/whep/endpoint/{id}"), &[], "");
            assert_eq!(status, 201, "{head} {answer}");
        }
    }
    assert_eq!(world.get("/status")["viewers"]["connecting"], json!(10));
    // One by one, they would take ten seconds each.
    world.janus().process().signal(Signal::SIGSTOP).unwrap();
    let started = Instant::now();
    world.egress.signal(Signal::SIGTERM).unwrap();
    let status = world.egress.wait(Duration::from_secs(30)).unwrap();
    println!("stopped {:?} after SIGTERM", started.elapsed());
    assert!(status.success() && started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    world.janus().process().signal(Signal::SIGCONT).unwrap();
}
