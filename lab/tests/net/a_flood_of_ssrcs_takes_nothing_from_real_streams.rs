//! Somebody who may send does so with a new SSRC in every packet, 20,000 of them, more than the table of streams holds: real
//! streams keep their entries, one that begins meanwhile gets its own, and requests for their keyframes go up.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::common::{Bench, any_socket, lab_for, socket};
use lab::relay::{Json, Mode, VIDEO};
use lab::{Topology, monotonic_ns, rtp};

modes!(real_streams_are_known_all_the_time);

const OLD: u32 = 8888;
const NEW: u32 = 9999;
/// The real sender's RTP port; feedback is expected at the next.
const SENDER: u16 = 6004;
/// SSRCs of the flood, and how many come a second.
const FLOOD: u32 = 20_000;
const RATE: u64 = 4_000;
/// When the new stream begins: by then the table would be full.
const LATER: Duration = Duration::from_millis(5_500);
/// How soon it has to have an entry.
const SOON: Duration = Duration::from_secs(2);

/// Sends until told to stop; goes on from the first SSRC when it has sent all.
fn flood(sender: &UdpSocket, to: std::net::SocketAddr, stop: &AtomicBool) -> u64 {
    let begun = monotonic_ns();
    let mut sent = 0;
    while !stop.load(Relaxed) {
        let due = (monotonic_ns() - begun) * RATE / 1_000_000_000;
        while sent < due {
            let _ = sender.send_to(&rtp::packet(1_000_000 + sent as u32 % FLOOD, sent as u16), to);
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    sent
}

fn real_streams_are_known_all_the_time(mode: Mode) {
    let lab = lab_for("flood", mode);
    let bench = Bench::attach(&lab, Topology::bridged(&lab, 1).unwrap(), mode, 1);
    let injection = &bench.topology.injection;
    let sender = socket(&lab, "injection-1", injection.v4(SENDER));
    let above = socket(&lab, "injection-1", injection.v4(SENDER + 1));
    above.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let flooder = any_socket(&lab, "injection-1", false);
    let below = any_socket(&lab, "egress-1", false);
    let (relay, feedback) = (bench.topology.relay.v4(VIDEO), bench.topology.relay.v4(VIDEO + 1));

    let stop = AtomicBool::new(false);
    let (sent, answered) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&flooder, relay, &stop));
        let begun = Instant::now();
        let (mut sent, mut answered) = ([0_u16; 2], None);
        while begun.elapsed() < LATER + SOON + Duration::from_millis(500) {
            let late = begun.elapsed() >= LATER;
            for (ssrc, sent) in [OLD, NEW].into_iter().zip(&mut sent).take(1 + usize::from(late)) {
                *sent += 1;
                sender.send_to(&rtp::packet(ssrc, *sent), relay).unwrap();
            }
            if late && answered.is_none() {
                below.send_to(&rtp::pli(NEW), feedback).unwrap();
            }
            let mut buffer = [0; 64];
            if let Ok((length, _)) = above.recv_from(&mut buffer)
                && buffer[8..length] == NEW.to_be_bytes()
            {
                answered.get_or_insert(begun.elapsed().saturating_sub(LATER));
            }
        }
        stop.store(true, Relaxed);
        assert!(flooding.join().unwrap() > u64::from(FLOOD), "the flood was none");
        (sent, answered)
    });
    println!("{mode}: a keyframe of the new stream was asked for {answered:?} after its first packet");
    let answered = answered.unwrap_or_else(|| panic!("nobody asked{}", bench.relay.process().tail()));
    assert!(answered < SOON, "{answered:?}");

    let streams = bench.cli().json("streams").unwrap();
    let packets = |ssrc: u32| {
        let found =
            streams["streams"].list().iter().find(|stream| stream["ssrc"].number() == u64::from(ssrc));
        found.map(|stream: &Json| stream["packets"].number())
    };
    assert_eq!(packets(OLD), Some(u64::from(sent[0])), "its entry is the one it had");
    assert!(packets(NEW).is_some());
    let status = bench.cli().json("status").unwrap();
    assert!(status["dataplane"]["packets"].number() > u64::from(FLOOD), "what went is in the sums");
}
