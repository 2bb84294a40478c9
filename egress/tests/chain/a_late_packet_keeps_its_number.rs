//! A packet that comes late, as one does that was sent again, goes on with its own number to all who watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::common::crowd::Crowd;
use crate::common::parent::Parent;
use crate::common::{By, World, lab, on_both};

const SSRCS: [u32; 2] = [7777, 8888];
const VIEWERS: u64 = 2;
/// Packets of video in a row that are late.
const LATE: u64 = 3;

on_both!(a_late_packet_keeps_its_number);

fn a_late_packet_keeps_its_number(by: By) {
    let lab = lab();
    // With the native server: longer than this machine may take to have viewers say what they miss.
    let more: &[_] = if by == By::Native { &[("MEDIA_HISTORY", "10")] } else { &[] };
    let world = World::start_by(&lab, by, more);
    world.session("s1", 4001, SSRCS);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let holds_back = Arc::new(AtomicU64::new(u64::MAX));
    let held = holds_back.clone();
    let is_held = move |kind: usize, nth: u64| {
        let from = held.load(Ordering::Relaxed);
        kind == 1 && nth.checked_sub(from).is_some_and(|since| since < LATE)
    };
    let parent = Parent::start(&world, SSRCS, Box::new(is_held));
    parent.answers(false);
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let crowd = Crowd::watch(&world, "s1", VIEWERS);
    let lost = || crowd.count("lost");
    for round in 1..=3 {
        // Not the one that is being sent at this moment.
        let from = parent.sent()[1] + 2;
        holds_back.store(from, Ordering::Relaxed);
        world.until("all miss them", || lost() == LATE * VIEWERS);
        // The last first, as answers to several requests may come.
        (from..from + LATE).rev().for_each(|nth| parent.sends_again(1, nth));
        world.until("nobody misses them", || lost() == 0);
        let seen = crowd.report();
        assert_eq!(seen["late"], json!(round * LATE * VIEWERS), "{seen}");
        assert_eq!((&seen["repeated"], &seen["ssrcChanges"]), (&json!(0), &json!(0)), "{seen}");
    }
    let republished = &world.get("/mountpoint/s1")["republished"];
    assert_eq!(republished, &json!([0, 0]), "a late packet is no new publication");
}
