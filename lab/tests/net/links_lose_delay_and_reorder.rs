//! The lab's own links: how much they lose, delay and reorder, that it is the same with the same seed, and that they lose nothing
//! else.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::common::{AUDIO_SSRC, Bench, QUIET, TIMEOUT, VIDEO_SSRC, lab_for, receive, socket};
use lab::link::{Carried, Delay, Line, Link, Loss, Lost, Reorder, Way};
use lab::relay::{AUDIO, Mode, RelayConfig, RelayProcess, VIDEO, child_argument};
use lab::{Flow, Lab, Limit, Sink, Source, SourceConfig, Topology, rtp};

const RATE: u64 = 5_000;
const SSRC: u32 = 8888;
/// As many as a socket takes in without anybody reading.
const AT_ONCE: u16 = 100;
const PACKETS: u16 = 10_000;
/// Neither RTP nor RTCP, so it comes through: STUN's first byte.
const MARK: [u8; 20] = [0; 20];

modes!(copies_of_relays_are_lost_and_nothing_else);

/// Two hosts with a link between them.
struct Pair<'lab> {
    lab: &'lab Lab,
    name: &'static str,
    link: Link,
    upper: UdpSocket,
    lower: UdpSocket,
}

impl<'lab> Pair<'lab> {
    fn join(lab: &'lab Lab, name: &'static str, delay: Option<Delay>) -> Self {
        let (above, below) = (format!("above-{name}"), format!("below-{name}"));
        lab.add_namespace(&above).unwrap();
        lab.add_namespace(&below).unwrap();
        let link = Link::join(lab, name, (&above, "eth0"), (&below, "eth0"), delay).unwrap();
        lab.address(&above, "eth0", "10.0.1.1/24").unwrap();
        lab.address(&below, "eth0", "10.0.1.2/24").unwrap();
        let upper = socket(lab, &above, "10.0.1.1:5004".parse().unwrap());
        let lower = socket(lab, &below, "10.0.1.2:5004".parse().unwrap());
        upper.connect("10.0.1.2:5004").unwrap();
        lower.connect("10.0.1.1:5004").unwrap();
        // Packets that wait for a neighbour's address are overtaken by the first that need not.
        upper.send(&MARK).unwrap();
        assert_eq!(receive(&lower).0, MARK);
        Self { lab, name, link, upper, lower }
    }

    /// Sends these numbers down; gives those that do not come.
    fn lost_of(&self, sequence: impl Iterator<Item = u16>) -> BTreeSet<u16> {
        lost_of(&self.upper, &self.lower, sequence)
    }
}

fn lost_of(from: &UdpSocket, to: &UdpSocket, sequence: impl Iterator<Item = u16>) -> BTreeSet<u16> {
    let sequence: Vec<u16> = sequence.collect();
    let mut lost: BTreeSet<u16> = sequence.iter().copied().collect();
    for some in sequence.chunks(AT_ONCE.into()) {
        for number in some {
            from.send(&rtp::packet(SSRC, *number)).unwrap();
        }
        from.send(&MARK).unwrap();
        loop {
            let (packet, _) = receive(to);
            if packet == MARK {
                break;
            }
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            assert!(lost.remove(&number), "{number} came twice");
        }
    }
    lost
}

#[test]
fn the_same_packets_are_lost_with_the_same_seed() {
    let lab = Lab::new("t-linkseed-").unwrap();
    let lose = |name: &'static str, loss: Loss| {
        let mut pair = Pair::join(&lab, name, None);
        pair.link.lose(Way::Down, loss).unwrap();
        (pair.lost_of(0..PACKETS), pair.link.lost(Way::Down).unwrap())
    };
    for (burst, tolerance, names) in [(1, 0.008, ["1", "2", "3"]), (10, 0.025, ["4", "5", "6"])] {
        let loss = Loss::of(0.05, 7).in_bursts_of(burst);
        let (first, counted) = lose(names[0], loss);
        assert_eq!(
            (counted.rtp, counted.rtp_lost, counted.again),
            (u64::from(PACKETS), first.len() as u64, 0),
            "what it counts is what does not come"
        );
        println!("{burst} in a row: {} of {PACKETS} lost: {:.4}", first.len(), counted.share());
        assert!((counted.share() - 0.05).abs() < tolerance, "{counted:?}");
        let (second, _) = lose(names[1], loss);
        assert_eq!(first, second);
        let (other, _) = lose(names[2], Loss { seed: 8, ..loss });
        assert_ne!(first, other);
        let runs = runs(&first);
        assert!(runs.iter().all(|run| *run >= burst as usize), "{runs:?}");
    }
}

/// Lengths of the runs of numbers without a hole; the last may have been cut off.
fn runs(numbers: &BTreeSet<u16>) -> Vec<usize> {
    let mut runs = vec![0];
    for (number, next) in numbers.iter().zip(numbers.iter().skip(1)) {
        *runs.last_mut().unwrap() += 1;
        if next - number > 1 {
            runs.push(0);
        }
    }
    runs.pop();
    runs
}

#[test]
fn what_is_sent_again_has_another_chance() {
    let lab = Lab::new("t-linkagain-").unwrap();
    let mut pair = Pair::join(&lab, "1", None);
    pair.link.lose(Way::Down, Loss::of(0.2, 3)).unwrap();
    let lost = pair.lost_of(0..PACKETS);
    let again = pair.lost_of(lost.iter().copied());
    let share = again.len() as f64 / lost.len() as f64;
    assert!((share - 0.2).abs() < 0.05, "{share}");
    let Lost { again: came, again_lost, .. } = pair.link.lost(Way::Down).unwrap();
    assert_eq!((came, again_lost), (lost.len() as u64, again.len() as u64));
}

#[test]
fn only_rtp_is_lost_and_rtcp_if_asked_for_one_way_or_the_other() {
    let lab = Lab::new("t-linkways-").unwrap();
    let mut pair = Pair::join(&lab, "1", None);
    pair.link.lose(Way::Down, Loss::of(1.0, 0)).unwrap();
    assert_eq!(pair.lost_of(0..50).len(), 50);
    assert_eq!(lost_of(&pair.lower, &pair.upper, 0..50).len(), 0, "the other way");
    let asks = |from: &UdpSocket, to: &UdpSocket| {
        from.send(&rtp::pli(SSRC)).unwrap();
        from.send(&MARK).unwrap();
        receive(to).0 != MARK
    };
    assert!(asks(&pair.upper, &pair.lower), "RTCP came");
    assert_eq!(receive(&pair.lower).0, MARK);
    pair.link.lose(Way::Down, Loss::of(1.0, 0).and_of_rtcp()).unwrap();
    assert!(!asks(&pair.upper, &pair.lower), "RTCP is lost");
    pair.link.lose(Way::Down, Loss::NONE).unwrap();
    assert_eq!(pair.lost_of(50..100).len(), 0, "and nothing any more");
    let down = Lost { rtp: 100, rtp_lost: 50, rtcp: 2, rtcp_lost: 1, ..Lost::default() };
    assert_eq!(pair.link.lost(Way::Down).unwrap(), down);
    assert_eq!(pair.link.lost(Way::Up).unwrap(), Lost { rtp: 50, ..Lost::default() });
}

#[test]
fn a_delay_loses_nothing_on_a_busy_machine() {
    let lab = Lab::new("t-linkdelay-").unwrap();
    let delay = Delay::round_trip(Duration::from_millis(20));
    let pair = Pair::join(&lab, "1", Some(delay));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                // A judge that panics stops nobody.
                let until = Instant::now() + 4 * TIMEOUT;
                while !stop.load(Relaxed) && Instant::now() < until {
                    std::hint::spin_loop();
                }
            });
        }
        let flow = judged(&pair, 0.0);
        stop.store(true, Relaxed);
        assert_eq!(flow.reordered, 0, "{flow:?}");
    });
    let Carried { up, worst_lag, .. } = pair.link.carried().unwrap();
    println!("{up} frames came up; the hop was late by {worst_lag:?} at most");
}

#[test]
fn some_are_held_back_and_overtaken() {
    let lab = Lab::new("t-linkorder-").unwrap();
    let delay = Delay::round_trip(Duration::from_millis(20));
    let reorder = Reorder { share: 0.05, by: Duration::from_millis(3), seed: 5 };
    let held = ["1", "2"].map(|name| {
        let pair = Pair::join(&lab, name, Some(delay.reordered(reorder)));
        let flow = judged(&pair, reorder.share);
        let held = pair.link.carried().unwrap().held;
        // Where the source pauses, nobody is behind one to overtake it.
        assert!(flow.reordered <= held && flow.reordered >= held * 9 / 10, "{held} held: {flow:?}");
        held
    });
    assert_eq!(held[0], held[1], "the same with the same seed");
    let share = held[0] as f64 / (3 * RATE) as f64;
    assert!((share - reorder.share).abs() < 0.01, "{share}");
}

/// Three seconds of probes go down, of which so many are held back; gives what came of them.
fn judged(pair: &Pair<'_>, held_back: f64) -> lab::FlowReport {
    let (lab, to) = (pair.lab, "10.0.1.2:5002".parse().unwrap());
    let sink = Sink::bind(lab, &format!("below-{}", pair.name), vec![to]).unwrap();
    let config = SourceConfig::new(vec![Flow::audio(AUDIO_SSRC, to)], RATE).limit(Limit::Packets(3 * RATE));
    let source = Source::start(lab, &format!("above-{}", pair.name), config).unwrap();
    // A source without a CPU takes its time.
    let sent = source.wait(4 * TIMEOUT).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    let took = sink.took().remove(0);
    let flow = sink.stop().remove(0);
    println!(
        "{} packets/s: p50 {:?}, p99 {:?}, most {:?}; {} overtaken",
        sent.rate() as u64,
        took.all.quantile(0.5),
        took.all.quantile(0.99),
        took.all.quantile(1.0),
        flow.reordered
    );
    assert_eq!((flow.packets, flow.lost, flow.duplicated, flow.corrupted), (3 * RATE, 0, 0, 0), "{flow:?}");
    assert_eq!(pair.link.carried().unwrap().lost, 0);
    let times = flow.sent.unwrap();
    assert!(times.min_latency_ns >= 10_000_000, "{times:?}");
    // The judge's own CPU may be late as well.
    assert!(took.all.quantile(0.5) < Duration::from_millis(15), "{:?}", took.all.quantile(0.5));
    assert_eq!(took.overtaken.is_empty(), held_back == 0.0);
    flow
}

/// relay-1 sends to relay-2, and a tenth of that is lost between them: what does not come is what the link has lost.
fn copies_of_relays_are_lost_and_nothing_else(mode: Mode) {
    let lab = lab_for("linkrelay", mode);
    let Line { injection, relays, children, mut links } = Line::new(&lab, 2, 1, None).unwrap();
    links[1].lose(Way::Down, Loss::of(0.1, 1)).unwrap();
    let child = child_argument("egress-1", children[0].endpoint.v4(0));
    // Else it would ask for what is lost.
    let second = RelayConfig::new("relay-2", mode, vec![child]).with(&["--repair-within", "0"]);
    let _second = RelayProcess::attach(&lab, second).unwrap();
    let below = child_argument("relay-2", relays[1].above.v4(0));
    let topology = Topology { injection, relay: relays[0].above.clone(), children };
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, vec![below]));
    let sink = bench.sink(&[0]);
    let config = SourceConfig::new(bench.flows(), 2_000).limit(Limit::Packets(6_000));
    let sent = Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    let flows = sink.stop();
    let came: u64 = flows.iter().map(|flow| flow.packets).sum();
    let lost = links[1].lost(Way::Down).unwrap();
    println!("{mode}: {lost:?}");
    assert_eq!(links[0].lost(Way::Down).unwrap().rtp_lost, 0);
    assert_eq!((lost.rtp, lost.again), (sent.total(), 0), "{}", bench.diagnosis());
    assert_eq!(came + lost.rtp_lost, sent.total(), "{}", bench.diagnosis());
    assert!((lost.share() - 0.1).abs() < 0.025, "{lost:?}");
    for flow in &flows {
        assert_eq!((flow.duplicated, flow.corrupted, flow.renumbered), (0, 0, 0), "{flow:?}");
        let port = if flow.ssrc == VIDEO_SSRC { VIDEO } else { AUDIO };
        assert_eq!(flow.socket.port(), port, "{flow:?}");
    }
}
