//! Packets that are lost between the parent and an egress are asked for, and come to viewers; what does not come is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::crowd::Crowd;
use crate::common::parent::Parent;
use crate::common::{By, World, lab, on_both};

const SSRCS: [u32; 2] = [7777, 8888];
const VIEWERS: u64 = 2;
/// Packets that are lost before it is enough, of sound and pictures together.
const ENOUGH: u64 = 60;

on_both!(what_is_missing_is_asked_for);

/// One packet of ten, some of them in a row, while `losing`.
fn loses(losing: &Arc<AtomicBool>) -> Box<crate::common::parent::Fate> {
    let losing = losing.clone();
    Box::new(move |_, nth| losing.load(Ordering::Relaxed) && matches!(nth % 30, 7 | 17 | 18))
}

fn begin<'lab>(by: By, lab: &'lab lab::Lab, within: &str) -> (World<'lab>, Parent, Crowd, Arc<AtomicBool>) {
    // Not the address that the routing table would choose.
    lab.address("eg", "v0", "10.77.0.9/24").unwrap();
    let world = World::start_by(lab, by, &[("NODE_HOST", "10.77.0.9"), ("REPAIR_WITHIN", within)]);
    world.attach();
    world.session("s1", 4001, SSRCS);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let losing = Arc::<AtomicBool>::default();
    let parent = Parent::start(&world, SSRCS, loses(&losing));
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let crowd = Crowd::watch(&world, "s1", VIEWERS);
    (world, parent, crowd, losing)
}

fn figure(world: &World<'_>, what: &str) -> u64 {
    world.get("/status")["repair"][what].as_u64().unwrap_or_else(|| panic!("{}", world.get("/status")))
}

fn what_is_missing_is_asked_for(by: By) {
    let lab = lab();
    // Longer than this machine may take to answer.
    let (world, parent, crowd, losing) = begin(by, &lab, "3000");
    losing.store(true, Ordering::Relaxed);
    let lost = || parent.lost().iter().sum::<u64>();
    world.until("enough is lost", || lost() >= ENOUGH);
    losing.store(false, Ordering::Relaxed);
    let all = lost();
    // One that was answered sooner than ever before is taken for late.
    world.until("all have come", || figure(&world, "repaired") + figure(&world, "late") == all);
    assert!(figure(&world, "repaired") > all / 2, "{}", world.get("/status")["repair"]);
    let before = crowd.count("packets");
    world.until("viewers have all", || crowd.count("packets") > before + 100 && crowd.count("lost") == 0);
    let seen = crowd.report();
    assert_eq!((&seen["repeated"], &seen["ssrcChanges"]), (&json!(0), &json!(0)), "{seen}");
    for (what, wanted) in [("missing", all), ("asked", all), ("givenUp", 0), ("useless", 0)] {
        assert_eq!(figure(&world, what), wanted, "{what}: {}", world.get("/status")["repair"]);
    }
    assert!(world.get("/status")["repair"]["roundTripMs"].as_f64() > Some(0.0));
    let requests = parent.requests();
    let ways = |to: u16, from: &str| {
        requests
            .iter()
            .filter(|request| (request.to, request.from.to_string()) == (to, from.to_owned()))
            .count()
    };
    let by_rtcp = ways(5003, "10.77.0.9:5003") + ways(5005, "10.77.0.9:5005");
    let besides = ways(5002, "10.77.0.9:5002") + ways(5004, "10.77.0.9:5004");
    assert_eq!(by_rtcp + besides, requests.len(), "from the registered address: {requests:?}");
    println!("{all} lost; {by_rtcp} requests, {besides} of them repeated at the other port as well");
    assert!(by_rtcp > besides, "{requests:?}");
    let mountpoint = world.get("/mountpoint/s1");
    assert_eq!(mountpoint["republished"], json!([0, 0]));
}

/// The parent does not answer: each packet is asked for some times, by all ways, and then no more.
#[test]
fn what_does_not_come_is_given_up() {
    let lab = lab();
    let (world, parent, _crowd, losing) = begin(By::Native, &lab, "150");
    parent.answers(false);
    losing.store(true, Ordering::Relaxed);
    let lost = || parent.lost().iter().sum::<u64>();
    world.until("enough is lost", || lost() >= ENOUGH);
    losing.store(false, Ordering::Relaxed);
    let all = lost();
    world.until("all are given up", || figure(&world, "givenUp") + figure(&world, "useless") == all);
    let figures = world.get("/status")["repair"].clone();
    assert_eq!((&figures["missing"], &figures["repaired"]), (&json!(all), &json!(0)), "{figures}");
    let requests = parent.requests();
    let mut times = BTreeMap::<(u32, u16, u16), u64>::new();
    for request in &requests {
        request
            .numbers
            .iter()
            .for_each(|number| *times.entry((request.ssrc, *number, request.to)).or_default() += 1);
    }
    // Within 150 ms, 30 ms apart at the least.
    assert!(times.values().all(|times| (1..=5).contains(times)), "{times:?}");
    let muxed = times.keys().filter(|(_, _, to)| to % 2 == 0).count();
    let rtcp = times.keys().filter(|(_, _, to)| to % 2 == 1).count();
    assert!(muxed > 0 && muxed <= rtcp, "a repetition goes to both ports: {muxed}, {rtcp}");
    // And they are not asked for any more.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(parent.requests().len(), requests.len());
    let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
    let count = |name: &str| -> f64 {
        let of = metrics.lines().filter(|line| line.starts_with(&format!("media_tree_egress_{name}{{")));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert_eq!(count("repair_given_up_total"), all as f64);
}

/// A parent that sends everything twice, and what it was not asked for again.
#[test]
fn what_comes_twice_reaches_viewers_once() {
    let lab = lab();
    let (world, parent, crowd, _losing) = begin(By::Janus, &lab, "150");
    let twice = || -> u64 {
        let dropped: &Value = &world.get("/status")["dropped"]["video"]["duplicate"];
        dropped.as_u64().unwrap()
    };
    for count in 1..=20 {
        let last = parent.sent()[1];
        parent.sends_again(1, last - 3);
        world.until("it is taken for what it is", || twice() == count);
    }
    let seen = crowd.report();
    assert_eq!((&seen["lost"], &seen["repeated"]), (&json!(0), &json!(0)), "{seen}");
}

#[test]
fn none_is_asked_for_where_that_is_off() {
    let lab = lab();
    let (world, parent, _crowd, losing) = begin(By::Native, &lab, "0");
    losing.store(true, Ordering::Relaxed);
    world.until("enough is lost", || parent.lost().iter().sum::<u64>() >= ENOUGH);
    assert_eq!((parent.requests().len(), &world.get("/status")["repair"]), (0, &Value::Null));
}
