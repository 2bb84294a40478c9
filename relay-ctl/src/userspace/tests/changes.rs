use std::sync::atomic::{AtomicBool, AtomicU32};

use super::*;

const PACKETS: u32 = 20_000;
const CHANGES: u32 = 100;
/// Packets on their way at a time: fits any default receive buffer.
const AHEAD: u32 = 64;

#[test]
fn children_that_stay_lose_and_repeat_nothing_while_others_come_and_go() {
    let (relay, ports) = relay(&[V4]);
    let [a, b, guest, sender] = [V4; 4].map(Node::new);
    let with = || everyone(&[&a, &b, &guest]);
    let without = || everyone(&[&b, &a]);
    relay.publish(without());
    let seen = [AtomicU32::new(0), AtomicU32::new(0)];
    let published = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for (node, seen) in [&a, &b].into_iter().zip(&seen) {
            scope.spawn(move || {
                for number in 0..PACKETS {
                    assert_eq!(receive(node.rtp(AUDIO)).0, rtp(9, number as u16), "packet {number}");
                    seen.store(number + 1, Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let slowest = || seen.iter().map(|seen| seen.load(Relaxed)).min().unwrap();
            for number in 0..PACKETS {
                let start = Instant::now();
                while number >= slowest() + AHEAD {
                    assert!(start.elapsed() < Duration::from_secs(5), "a packet was lost");
                    std::thread::yield_now();
                }
                sender.rtp(AUDIO).send_to(&rtp(9, number as u16), (V4, ports[AUDIO])).unwrap();
                // Changes are spread over the whole run.
                while number * CHANGES / PACKETS > published.load(Relaxed) {
                    std::thread::yield_now();
                }
            }
        });
        for change in 0..CHANGES {
            relay.publish(if change % 2 == 0 { with() } else { without() });
            published.store(change + 1, Relaxed);
            while seen[0].load(Relaxed) < (change + 1) * PACKETS / CHANGES {
                std::thread::yield_now();
                if seen[0].load(Relaxed) >= PACKETS - AHEAD {
                    break;
                }
            }
        }
    });
    assert!(a.is_silent() && b.is_silent(), "repeated packets");
    let (_, stream) = relay.streams()[0];
    assert_eq!((stream.packets, stream.lost(), stream.duplicates), (u64::from(PACKETS), 0, 0));
    assert!(drops(&relay, Reason::NoChildren) == 0 && relay.receive_overflow() == 0);
}

#[test]
fn a_packet_sent_after_publish_goes_by_the_new_plan() {
    let (relay, ports) = relay(&[V4]);
    let [a, b, sender] = [V4; 3].map(Node::new);
    for round in 0..500 {
        let (now, before) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        relay.publish(everyone(&[now]));
        sender.rtp(AUDIO).send_to(&rtp(1, round), (V4, ports[AUDIO])).unwrap();
        assert_eq!(receive(now.rtp(AUDIO)).0, rtp(1, round));
        before.rtp(AUDIO).set_nonblocking(true).unwrap();
        assert!(before.rtp(AUDIO).recv(&mut [0; 1]).is_err());
        before.rtp(AUDIO).set_nonblocking(false).unwrap();
    }
}

#[test]
fn readers_of_statistics_do_not_disturb() {
    let (relay, ports) = relay(&[V4]);
    let [a, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&a]));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                relay.streams();
                relay.child_stats();
                relay.drops();
            }
        });
        for sequence in 0..2000 {
            sender.rtp(AUDIO).send_to(&rtp(1, sequence), (V4, ports[AUDIO])).unwrap();
            assert_eq!(receive(a.rtp(AUDIO)).0, rtp(1, sequence));
        }
        done.store(true, Relaxed);
    });
}
