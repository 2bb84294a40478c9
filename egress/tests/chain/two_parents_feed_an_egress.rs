//! An egress with a standby parent takes each packet once, whichever way it comes first, and goes on when either of the two ends.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use serde_json::json;

use crate::common::{By, HOST, World, lab, on_both, rtp};

const SSRCS: [u32; 2] = [7777, 8888];
/// The first packet's number.
const FIRST: i32 = 1_000;
/// Packets of each stream in a turn.
const TURN: i32 = 400;

on_both!(two_parents_feed_an_egress);

fn two_parents_feed_an_egress(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    lab.address("view", "v1", "10.77.0.3/24").unwrap();
    let parents = [2, 3].map(|last| world.socket("view", (Ipv4Addr::new(10, 77, 0, last), 5004)));
    world.redis.egress("relay-2", "10.77.0.3", [5002, 5004]).unwrap();
    world.attach();
    let sources = || world.get("/status")["sources"].clone();
    world.until("the parent is known", || sources() == json!(["10.77.0.2/32"]));
    world.redis.cli(&["SADD", "parents:egress-1", "relay-2"]).unwrap();
    world.until("both are known", || sources() == json!(["10.77.0.2/32", "10.77.0.3/32"]));
    assert_eq!(world.get("/status")["topology"]["standby"], json!(["relay-2"]));
    world.session("s1", 4001, SSRCS);
    world.lets_through("s1");

    // Who sends, and how far relay-2 is ahead.
    let turns: [(&[usize], i32); 7] =
        [(&[0, 1], 7), (&[1], 0), (&[0, 1], -7), (&[0], 0), (&[0, 1], 0), (&[1], 0), (&[0, 1], 90)];
    let mut next = FIRST;
    for (who, ahead) in turns {
        let end = next + TURN;
        // Whoever is ahead begins sooner and ends sooner: all who send in a turn send the same numbers.
        for step in (next - 100)..(end + 100) {
            for parent in who {
                let sequence = step + if *parent == 1 { ahead } else { 0 };
                if (next..end).contains(&sequence) {
                    send(&parents[*parent], sequence);
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        next = end;
        if let [alone] = who {
            let silent = format!("nothing comes from relay-{}", 2 - alone);
            world.until("it is said who is silent", || {
                send(&parents[*alone], next);
                next += 1;
                world.get("/status").to_string().contains(&silent)
            });
        }
        let wanted = [(next - FIRST) as u64; 2];
        world.until("all has been read", || {
            taken(&world).iter().zip(wanted).all(|(taken, wanted)| *taken >= wanted)
        });
        assert_eq!(taken(&world), wanted, "{who:?}, {ahead} ahead: each once");
    }
    for kind in ["audio", "video"] {
        let twice = &world.get("/status")["dropped"][kind]["duplicate"];
        assert!(twice.as_u64() > Some(0), "{kind}: {twice}");
    }
}

fn send(parent: &UdpSocket, sequence: i32) {
    for (ssrc, port) in SSRCS.into_iter().zip([5002, 5004]) {
        parent.send_to(&rtp(ssrc, sequence as u16, sequence as u32 * 960), (HOST, port)).unwrap();
    }
}

/// Packets of both streams that were taken.
fn taken(world: &World<'_>) -> [u64; 2] {
    let packets = &world.get("/mountpoint/s1")["packets"];
    [0, 1].map(|kind| packets[kind].as_u64().unwrap_or_else(|| panic!("{packets}")))
}
