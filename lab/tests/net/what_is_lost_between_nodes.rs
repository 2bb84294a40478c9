//! injection-1 -> relay-1 -> relay-2 -> relay-3 -> eight judges, with a link before each relay that loses, and 20 ms from node to
//! node and back: what does not come to the leaves within 150 ms, and how much longer the rest takes.
//!
//! Requests (RTCP) are lost like media, both ways. The source answers NACKs by code of the lab's own. A table is printed; the long
//! runs take from the environment:
//!
//! | variable | means | default |
//! |---|---|---|
//! | `MEDIA_TREE_SECONDS` | how long | 60 |
//! | `MEDIA_TREE_RATE` | packets a second, audio and video together | 2,000 |
//! | `MEDIA_TREE_LOSS` | of 10,000 packets on each link | 100 |
//! | `MEDIA_TREE_BURST` | packets lost in a row | 1 |
//! | `MEDIA_TREE_ROUND_TRIP` | ms from node to node and back | 20 |
//! | `MEDIA_TREE_SEED` | which packets are lost | 1 |

use std::time::Duration;

use crate::common::tree::from_environment;
use crate::common::{AUDIO_SSRC, TIMEOUT, VIDEO_SSRC, lab_for};
use lab::link::{Delay, Line, Loss, Way};
use lab::relay::{AUDIO, Mode, RelayConfig, RelayProcess, VIDEO, child_argument};
use lab::{Flow, FlowReport, Latencies, Limit, Sink, Source, SourceConfig};

/// One after the other.
const RELAYS: usize = 3;
const LEAVES: usize = 8;
/// What comes later than this, after what came soonest, is of no use.
const IN_TIME: Duration = Duration::from_millis(150);
/// Nothing has come for so long: nothing is being repaired any more.
const SETTLED: Duration = Duration::from_millis(500);
/// Where the source sends from; it hears RTCP on the next ports.
const FROM: [u16; 2] = [6002, 6004];

modes!(of_a_hundred_one_on_each_link);

/// What is tried.
#[derive(Clone, Copy)]
struct Trial {
    mode: Mode,
    /// On each link, of RTP and RTCP, both ways.
    loss: Loss,
    round_trip: Duration,
    rate: u64,
    time: Duration,
}

/// What one leaf got.
struct Leaf {
    wanted: u64,
    missing: u64,
    late: u64,
    doubled: u64,
    /// How much longer than the soonest of its flow.
    added: Latencies,
    /// The same, of those that came behind a higher number.
    repaired: Latencies,
}

fn of_a_hundred_one_on_each_link(mode: Mode) {
    Trial { loss: Loss::of(0.01, 1), ..Trial::short(mode) }.leaves_about(0.0297);
}

#[test]
#[ignore = "a minute and more; see the variables above"]
fn for_long() {
    for mode in [Mode::Xdp, Mode::Tc, Mode::Userspace] {
        Trial::from_environment(mode).run("long");
    }
}

impl Trial {
    fn short(mode: Mode) -> Self {
        Self {
            mode,
            loss: Loss::NONE,
            round_trip: Duration::from_millis(20),
            rate: 2_000,
            time: Duration::from_secs(10),
        }
    }

    fn from_environment(mode: Mode) -> Self {
        let loss = from_environment("MEDIA_TREE_LOSS", 100) as f64 / 10_000.0;
        let burst = from_environment("MEDIA_TREE_BURST", 1) as u32;
        Self {
            mode,
            loss: Loss::of(loss, from_environment("MEDIA_TREE_SEED", 1)).in_bursts_of(burst),
            round_trip: Duration::from_millis(from_environment("MEDIA_TREE_ROUND_TRIP", 20)),
            rate: from_environment("MEDIA_TREE_RATE", 2_000),
            time: Duration::from_secs(from_environment("MEDIA_TREE_SECONDS", 60)),
        }
    }

    /// Without repair this share is missing at every leaf, give or take a fifth, and nothing is there twice.
    fn leaves_about(self, share: f64) {
        for (number, leaf) in self.run("none").iter().enumerate() {
            let missing = leaf.missing as f64 / leaf.wanted as f64;
            assert!((missing - share).abs() < share / 5.0, "leaf {}: {missing}", number + 1);
            assert_eq!((leaf.doubled, leaf.late), (0, 0), "leaf {}", number + 1);
        }
    }

    /// Sends through the relays; gives what each leaf got, of the right streams only, and prints a row of the table.
    fn run(self, repair: &str) -> Vec<Leaf> {
        let lab = lab_for("lossy", self.mode);
        let delay = Delay::round_trip(self.round_trip);
        let Line { relays: places, children, mut links, .. } =
            Line::new(&lab, RELAYS, LEAVES, Some(delay)).unwrap();
        let leaves = children.iter().enumerate();
        let leaves =
            leaves.map(|(index, leaf)| child_argument(&format!("egress-{}", index + 1), leaf.endpoint.v4(0)));
        let mut below: Vec<String> = leaves.collect();
        let mut relays = Vec::new();
        for (index, place) in places.iter().enumerate().rev() {
            let name = format!("relay-{}", index + 1);
            relays.push(RelayProcess::attach(&lab, RelayConfig::new(&name, self.mode, below)).unwrap());
            below = vec![child_argument(&name, place.above.v4(0))];
        }
        let sinks: Vec<Sink> = (0..LEAVES)
            .map(|leaf| {
                let leaf = &children[leaf].endpoint;
                Sink::bind(&lab, &leaf.namespace, vec![leaf.v4(AUDIO), leaf.v4(VIDEO)]).unwrap()
            })
            .collect();
        for (number, link) in links.iter_mut().enumerate() {
            for way in [Way::Down, Way::Up] {
                let seed = self.loss.seed << 8 | (2 * number as u64 + way as u64);
                link.lose(way, Loss { seed, ..self.loss }.and_of_rtcp()).unwrap();
            }
        }
        let top = &places[0].above;
        let flows = [
            (Flow::audio(AUDIO_SSRC, top.v4(AUDIO)), FROM[0]),
            (Flow::video(VIDEO_SSRC, top.v4(VIDEO)), FROM[1]),
        ];
        let flows = flows.map(|(flow, source_port)| Flow { source_port, ..flow });
        let config =
            SourceConfig::new(flows.to_vec(), self.rate).limit(Limit::Duration(self.time)).answering();
        let source = Source::start(&lab, "injection-1", config).unwrap();
        let patience = self.time + TIMEOUT;
        assert!(
            sinks[0].wait_until(patience, |_| source.has_ended()),
            "the source does not end: {:?}",
            source.sent()
        );
        sinks.iter().for_each(|sink| assert!(sink.wait_quiet(SETTLED, TIMEOUT)));
        let sent = source.stop();
        for (number, link) in links.iter().enumerate() {
            assert_eq!(link.carried().unwrap().lost, 0, "link {} lost some by itself", number + 1);
        }
        let leaves: Vec<Leaf> = sinks.into_iter().map(Leaf::of).collect();
        let shares = links.iter().map(|link| format!("{:.2}", 100.0 * link.lost(Way::Down).unwrap().share()));
        self.print(repair, &leaves, &shares.collect::<Vec<_>>().join(" "), sent.answered);
        leaves
    }

    fn print(self, repair: &str, leaves: &[Leaf], lost: &str, answered: u64) {
        let worst = leaves.iter().max_by_key(|leaf| leaf.missing + leaf.late).unwrap();
        let (mut added, mut repaired) = (Latencies::default(), Latencies::default());
        for leaf in leaves {
            added.merge(&leaf.added);
            repaired.merge(&leaf.repaired);
        }
        let quantiles = |of: &Latencies| {
            [0.5, 0.99, 1.0].map(|share| format!("{:.1}", of.quantile(share).as_secs_f64() * 1e3)).join(" ")
        };
        println!(
            "| mode | repair | % lost on each link | in a row | round trip, ms | packets/s | s | worst leaf: missing + late of | % | twice | \
             added, ms: p50 p99 most | late ones | source sent again |"
        );
        println!(
            "| {} | {repair} | {lost} | {} | {} | {} | {} | {} + {} of {} | {:.4} | {} | {} | {}: {} | {answered} |",
            self.mode,
            self.loss.burst,
            self.round_trip.as_millis(),
            self.rate,
            self.time.as_secs(),
            worst.missing,
            worst.late,
            worst.wanted,
            100.0 * (worst.missing + worst.late) as f64 / worst.wanted as f64,
            leaves.iter().map(|leaf| leaf.doubled).sum::<u64>(),
            quantiles(&added),
            repaired.len(),
            quantiles(&repaired),
        );
    }
}

impl Leaf {
    /// Both streams and no others came, each to its own port and as it was sent.
    fn of(sink: Sink) -> Self {
        let took = sink.took();
        assert_eq!((sink.not_rtp(), sink.receiver_drops()), (0, 0), "not RTP, and lost by the judge");
        let flows = sink.stop();
        let where_to: Vec<(u16, u32)> = flows.iter().map(|flow| (flow.socket.port(), flow.ssrc)).collect();
        assert_eq!(where_to, [(AUDIO, AUDIO_SSRC), (VIDEO, VIDEO_SSRC)], "{flows:?}");
        let sum = |of: fn(&FlowReport) -> u64| flows.iter().map(of).sum::<u64>();
        assert_eq!((sum(|flow| flow.corrupted), sum(|flow| flow.renumbered)), (0, 0), "{flows:?}");
        let mut leaf = Self {
            wanted: sum(|flow| flow.last_counter - flow.first_counter + 1),
            missing: sum(|flow| flow.lost),
            late: 0,
            doubled: sum(|flow| flow.duplicated),
            added: Latencies::default(),
            repaired: Latencies::default(),
        };
        for (flow, took) in flows.iter().zip(&took) {
            let soonest = Duration::from_nanos(flow.sent.unwrap().min_latency_ns);
            leaf.late += took.all.longer_than(soonest + IN_TIME);
            leaf.added.merge(&took.all.less(soonest));
            leaf.repaired.merge(&took.overtaken.less(soonest));
        }
        leaf
    }
}
