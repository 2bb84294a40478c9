//! 100,000 unknown SSRCs, short packets, noise, RTP before its mountpoint, mountpoints that end while RTP flows: a stream
//! beside all that loses nothing.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{HOST, World, lab, rtp};

/// Strangers that are sent at once; the receive buffer takes many times that.
const BURST: u32 = 100;

#[test]
fn strangers_harm_nobody() {
    let lab = lab();
    let world = World::start(&lab);
    let socket = world.socket("view", (Ipv4Addr::UNSPECIFIED, 0));
    let good = world.socket("view", (Ipv4Addr::UNSPECIFIED, 0));
    let (sent, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let _early = world.broadcast([555, 556]);
    let packets = |session: &str| {
        let packets = world.get(&format!("/mountpoint/{session}"))["packets"].clone();
        [0, 1].map(|at| packets[at].as_u64().unwrap_or_default())
    };
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let started = Instant::now();
            for sequence in 0u16.. {
                let now = started.elapsed().as_secs_f64();
                good.send_to(&rtp(7777, sequence, (now * 48_000.0) as u32), (HOST, 5002)).unwrap();
                good.send_to(&rtp(8888, sequence, (now * 90_000.0) as u32), (HOST, 5004)).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        world.until("RTP before its mountpoint", || {
            world.get("/status")["dropped"]["video"]["unknown_ssrc"].as_u64() > Some(50)
        });
        world.session("s1", 4001, [7777, 8888]);
        world.until("it gets through", || world.get("/mountpoint/s1")["active"] == json!(true));
        let (sent_before, before) = (sent.load(Ordering::Relaxed), packets("s1"));

        let started = Instant::now();
        let mut strangers = 0;
        let counted = || world.get("/status")["dropped"]["video"]["unknown_ssrc"].as_u64().unwrap();
        let first = counted();
        // As many as really got to the egress: what a busy machine's kernel drops would prove nothing.
        while counted() < first + 100_000 {
            assert!(started.elapsed() < Duration::from_secs(60), "{strangers} strangers, {}", counted());
            for burst in 0..50 {
                for ssrc in 0..BURST {
                    let ssrc = 0x4000_0000 + strangers + burst * BURST + ssrc;
                    socket.send_to(&rtp(ssrc, 1, 1), (HOST, 5004)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            strangers += 50 * BURST;
        }
        for size in 1..12 {
            socket.send_to(&vec![0x80; size], (HOST, 5004)).unwrap();
        }
        socket.send_to(&[], (HOST, 5004)).unwrap();
        socket.send_to(&[0; 40], (HOST, 5004)).unwrap();
        println!("{strangers} strangers in {:?}", started.elapsed());
        world.until("noise was counted", || {
            let dropped = &world.get("/status")["dropped"]["video"];
            dropped["short"].as_u64() >= Some(11) && dropped["not_rtp"] == json!(1)
        });

        // Mountpoints come and go beside it while their RTP flows.
        let started = Instant::now();
        for round in 0..100 {
            let new = json!({ "sessionId": "other", "audioSsrc": 555, "videoSsrc": 556 });
            let (status, answer) = world.post("/mountpoint/create", &new);
            assert_eq!(status, 201, "{round}: {answer}");
            if round % 10 == 0 {
                world.until("its RTP", || packets("other").iter().all(|count| *count > 2));
            }
            assert_eq!(world.post("/mountpoint/other/destroy", &json!({})).0, 200);
        }
        println!("100 mountpoints came and went in {:?}", started.elapsed());

        over.store(true, Ordering::Relaxed);
        sending.join().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let sent = sent.load(Ordering::Relaxed) - sent_before;
        let after = packets("s1");
        let kernel = lab.udp_stats("eg").unwrap()["UdpRcvbufErrors"];
        println!(
            "{sent} packets of each kind sent meanwhile; counted {before:?} to {after:?}; dropped by the kernel: {kernel}"
        );
        for at in 0..2 {
            // The one that was under way at the first look counts neither way.
            assert!(after[at] - before[at] + kernel + 2 >= sent, "{sent} sent");
        }
    });
    let status = world.get("/status");
    let untouched =
        json!({ "audioRunning": true, "videoRunning": true, "audioRestarts": 0, "videoRestarts": 0 });
    assert_eq!(status["gstreamer"], untouched);
    assert_eq!(world.get("/mountpoint/s1")["republished"], json!([0, 0]));
    assert_eq!(world.get("/portpool")["allocated"], json!(1));
}
