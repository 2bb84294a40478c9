//! Between two parents an egress takes each packet once, whichever way it comes first, however far one is ahead of the other.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{By, HOST, World, lab, on_both, rtp};

const SSRCS: [u32; 2] = [7777, 8888];

on_both!(a_new_parent_takes_over_without_loss);

fn a_new_parent_takes_over_without_loss(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    lab.address("view", "v1", "10.77.0.3/24").unwrap();
    let parents = [2, 3].map(|last| world.socket("view", (Ipv4Addr::new(10, 77, 0, last), 5004)));
    world.redis.egress("relay-2", "10.77.0.3", [5002, 5004]).unwrap();
    world.attach();
    let sources = || world.get("/status")["sources"].clone();
    world.until("the parent is known", || sources() == json!(["10.77.0.2/32"]));
    world.session("s1", 4001, SSRCS);
    world.lets_through("s1");

    let mut next = 1_000;
    // relay-2 is ahead, then relay-1, that of a moment ago, is behind.
    for (now, ahead) in [(0, 7), (1, -7)] {
        let new = 1 - now;
        let (begun, packets) = (next, taken(&world));
        let over = AtomicBool::new(false);
        // Without a pause, whatever the machine does: of a stream that is silent nothing is waited for.
        let both = |mut next: i32| {
            while !over.load(Ordering::Relaxed) {
                // Whoever is ahead comes first.
                let mut pair = [(now, next), (new, next + ahead)];
                pair.sort_by_key(|(_, sequence)| -sequence);
                pair.iter().for_each(|(parent, sequence)| send(&parents[*parent], *sequence));
                next += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            next
        };
        next = std::thread::scope(|scope| {
            let ends = Ends(&over);
            let sender = scope.spawn(|| both(next));
            let come = |more: u64| {
                let before = taken(&world);
                world.until("more comes", || {
                    taken(&world).iter().zip(before).all(|(now, before)| now - before > more)
                });
            };
            come(50);
            world.redis.cli(&["SET", "parent:egress-1", &format!("relay-{}", new + 1)]).unwrap();
            let alone = json!([format!("10.77.0.{}/32", new + 2)]);
            world.until("the new one is heard alone", || sources() == alone);
            come(50);
            drop(ends);
            sender.join().unwrap()
        });
        let wanted = (next - begun + ahead) as u64;
        world.until("all has been read", || {
            taken(&world).iter().zip(packets).all(|(now, before)| now - before >= wanted)
        });
        let counted = taken(&world).iter().zip(packets).map(|(now, before)| now - before).collect::<Vec<_>>();
        assert_eq!(counted, [wanted; 2], "each once, {ahead} ahead");
        next += 100;
    }
    for kind in ["audio", "video"] {
        let twice = &world.get("/status")["dropped"][kind]["duplicate"];
        assert!(twice.as_u64() > Some(0), "{kind}: {twice}");
    }
}

/// Ends those who send, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn send(parent: &UdpSocket, sequence: i32) {
    for (ssrc, port) in SSRCS.into_iter().zip([5002, 5004]) {
        parent.send_to(&rtp(ssrc, sequence as u16, sequence as u32 * 960), (HOST, port)).unwrap();
    }
}

/// Packets of both streams that were taken.
fn taken(world: &World<'_>) -> [u64; 2] {
    let packets: &Value = &world.get("/mountpoint/s1")["packets"];
    [0, 1].map(|kind| packets[kind].as_u64().unwrap_or_else(|| panic!("{packets}")))
}
