//! Packets that are lost between the parent and an egress are asked for, and come to viewers; what does not come is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::crowd::Crowd;
use crate::common::parent::{Parent, Request};
use crate::common::{By, HOST, World, lab, on_both, rtp};

const SSRCS: [u32; 2] = [7777, 8888];
const VIEWERS: u64 = 2;
/// Packets that are lost before it is enough, of sound and pictures together.
const ENOUGH: u64 = 60;

on_both!(what_is_missing_is_asked_for);

/// One packet of ten, some of them in a row, while `losing`.
fn loses(losing: &Arc<AtomicBool>, kinds: &'static [usize]) -> Box<crate::common::parent::Fate> {
    let losing = losing.clone();
    Box::new(move |kind, nth| {
        losing.load(Ordering::Relaxed) && kinds.contains(&kind) && matches!(nth % 30, 7 | 17 | 18)
    })
}

fn begin<'lab>(by: By, lab: &'lab lab::Lab, within: &str) -> (World<'lab>, Parent, Crowd, Arc<AtomicBool>) {
    begin_losing(by, lab, within, &[0, 1])
}

/// The same, and of these kinds only packets are lost.
fn begin_losing<'lab>(
    by: By,
    lab: &'lab lab::Lab,
    within: &str,
    kinds: &'static [usize],
) -> (World<'lab>, Parent, Crowd, Arc<AtomicBool>) {
    // Not the address that the routing table would choose.
    lab.address("eg", "v0", "10.77.0.9/24").unwrap();
    let world = World::start_by(lab, by, &[("NODE_HOST", "10.77.0.9"), ("REPAIR_WITHIN", within)]);
    world.attach();
    world.session("s1", 4001, SSRCS);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let losing = Arc::<AtomicBool>::default();
    let parent = Parent::start(&world, SSRCS, loses(&losing, kinds));
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

/// A stranger who hears what is asked for sends it himself; and asks for packets, which an egress has none of to give.
#[test]
fn a_stranger_repairs_nothing_and_is_answered_nothing() {
    let lab = lab();
    lab.address("view", "v1", "10.77.0.3/24").unwrap();
    // Sound: a picture's packets are of no use any more after the next keyframe.
    let (world, parent, crowd, losing) = begin_losing(By::Native, &lab, "5000", &[0]);
    parent.answers(false);
    losing.store(true, Ordering::Relaxed);
    let lost = || parent.lost().iter().sum::<u64>();
    world.until("some are lost", || lost() >= 5);
    losing.store(false, Ordering::Relaxed);
    let all = lost();
    let asked = || {
        let of = |request: &Request| {
            request.numbers.iter().map(|number| (request.ssrc, *number)).collect::<Vec<_>>()
        };
        parent.requests().iter().flat_map(of).collect::<BTreeSet<_>>()
    };
    world.until("all are asked for", || asked().len() as u64 == all);
    let stranger = world.socket("view", (Ipv4Addr::new(10, 77, 0, 3), 0));
    let dropped = |reason: &str| -> u64 {
        let dropped = world.get("/status")["dropped"].clone();
        ["audio", "video"].iter().map(|kind| dropped[kind][reason].as_u64().unwrap()).sum()
    };
    for (ssrc, number) in asked() {
        stranger.send_to(&rtp(ssrc, number, 0), (HOST, 5002)).unwrap();
    }
    world.until("all are counted", || dropped("stranger") == all);
    assert_eq!(figure(&world, "repaired") + figure(&world, "late"), 0, "{}", world.get("/status")["repair"]);
    // A generic NACK (RFC 4585 section 6.2.1), at each of its ports.
    for (ssrc, port) in SSRCS.into_iter().flat_map(|ssrc| (5002..=5005).map(move |port| (ssrc, port))) {
        let ssrc = ssrc.to_be_bytes();
        let nack = [&[0x81, 205, 0, 3, 0, 0, 0, 1][..], &ssrc, &[0, 10, 0xff, 0xff]].concat();
        stranger.send_to(&nack, (HOST, port)).unwrap();
    }
    world.until("they are counted", || dropped("rtcp") == 4);
    // What was forged takes nobody's place.
    parent.answers(true);
    world.until("all have come", || figure(&world, "repaired") + figure(&world, "late") == all);
    let before = crowd.count("packets");
    world.until("viewers have all", || crowd.count("packets") > before + 100 && crowd.count("lost") == 0);
    assert_eq!((dropped("stranger"), figure(&world, "givenUp")), (all, 0));
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 2048]).is_err(), "he is asked for nothing and sent nothing");
}

#[test]
fn none_is_asked_for_where_that_is_off() {
    let lab = lab();
    let (world, parent, _crowd, losing) = begin(By::Native, &lab, "0");
    losing.store(true, Ordering::Relaxed);
    world.until("enough is lost", || parent.lost().iter().sum::<u64>() >= ENOUGH);
    assert_eq!((parent.requests().len(), &world.get("/status")["repair"]), (0, &Value::Null));
}
