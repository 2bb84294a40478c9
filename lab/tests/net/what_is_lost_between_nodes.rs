//! injection-1 -> relay-1 -> relay-2 -> relay-3 -> eight judges, with a link before each relay that loses, and 20 ms from node to
//! node and back: what does not come to the leaves within 150 ms, and how much longer the rest takes; with repair
//! and without.
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
//! | `MEDIA_TREE_REORDER` | of 10,000 packets on each link, overtaken for 3 ms | 0 |
//! | `MEDIA_TREE_SEED` | which packets are lost | 1 |
//! | `MEDIA_TREE_REPAIR` | 0: relays keep nothing and ask for nothing | 1 |

use std::time::Duration;

use crate::common::tree::from_environment;
use crate::common::{AUDIO_SSRC, TIMEOUT, VIDEO_SSRC, lab_for};
use lab::link::{Delay, Line, Loss, Reorder, Way};
use lab::relay::{AUDIO, Mode, RelayConfig, RelayProcess, VIDEO, child_argument};
use lab::{Flow, FlowReport, Latencies, Limit, Sink, Source, SourceConfig};

/// One after the other.
const RELAYS: usize = 3;
const LEAVES: usize = 8;
/// What comes later than this, after what came soonest, is of no use.
const IN_TIME: Duration = Duration::from_millis(150);
/// Nothing has come for so long: nothing is being repaired any more.
const SETTLED: Duration = Duration::from_millis(500);
/// How much longer a packet takes that is overtaken.
const OVERTAKEN_FOR: Duration = Duration::from_millis(3);
/// Where the source sends from; it hears RTCP on the next ports.
const FROM: [u16; 2] = [6002, 6004];

/// One of ten thousand may be missing.
const RESIDUAL: f64 = 0.0001;
/// Where five in a hundred are lost, and ten seconds are too short to count one of ten thousand: `for_long` does.
const RESIDUAL_OF_A_SHORT_TRIAL: f64 = 0.0005;
/// Relays keep nothing and ask for nothing.
const UNREPAIRED: [&str; 4] = ["--history", "0", "--repair-within", "0"];

modes!(without_repair_three_links_lose_three_times_as_much: in_xdp_mode = Xdp);
modes!(one_in_a_hundred_on_each_link_is_repaired);
modes!(ten_in_a_row_are_repaired: in_xdp_mode = Xdp, in_userspace_mode = Userspace);
modes!(five_in_a_hundred_on_each_link_are_repaired: in_tc_mode = Tc, in_userspace_mode = Userspace);

/// What is tried.
#[derive(Clone, Copy)]
struct Trial {
    /// Trials that run beside each other have names of their own.
    name: &'static str,
    mode: Mode,
    /// On each link, of RTP and RTCP, both ways.
    loss: Loss,
    round_trip: Duration,
    /// Share of the packets on each link.
    reordered: f64,
    rate: u64,
    time: Duration,
    repair: bool,
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

fn without_repair_three_links_lose_three_times_as_much(mode: Mode) {
    let trial = Trial { loss: Loss::of(0.01, 1), repair: false, ..Trial::short("lossy", mode) };
    for leaf in trial.run() {
        let missing = leaf.missing as f64 / leaf.wanted as f64;
        assert!((missing - 0.0297).abs() < 0.006, "{missing}");
        assert_eq!(leaf.doubled, 0);
    }
}

fn one_in_a_hundred_on_each_link_is_repaired(mode: Mode) {
    Trial { loss: Loss::of(0.01, 1), ..Trial::short("lossyone", mode) }.is_repaired();
}

fn ten_in_a_row_are_repaired(mode: Mode) {
    Trial { loss: Loss::of(0.01, 1).in_bursts_of(10), ..Trial::short("lossyten", mode) }.is_repaired();
}

fn five_in_a_hundred_on_each_link_are_repaired(mode: Mode) {
    Trial { loss: Loss::of(0.05, 1), ..Trial::short("lossyfive", mode) }
        .is_repaired_but(RESIDUAL_OF_A_SHORT_TRIAL);
}

#[test]
#[ignore = "minutes; see the variables above"]
fn for_long() {
    for mode in [Mode::Xdp, Mode::Tc, Mode::Userspace] {
        let trial = Trial::from_environment(mode);
        if trial.repair {
            trial.is_repaired();
        } else {
            trial.run();
        }
    }
}

impl Trial {
    fn short(name: &'static str, mode: Mode) -> Self {
        Self {
            name,
            mode,
            loss: Loss::NONE,
            round_trip: Duration::from_millis(20),
            reordered: 0.0,
            rate: 2_000,
            time: Duration::from_secs(10),
            repair: true,
        }
    }

    fn from_environment(mode: Mode) -> Self {
        let loss = from_environment("MEDIA_TREE_LOSS", 100) as f64 / 10_000.0;
        let burst = from_environment("MEDIA_TREE_BURST", 1) as u32;
        Self {
            name: "lossylong",
            mode,
            loss: Loss::of(loss, from_environment("MEDIA_TREE_SEED", 1)).in_bursts_of(burst),
            round_trip: Duration::from_millis(from_environment("MEDIA_TREE_ROUND_TRIP", 20)),
            reordered: from_environment("MEDIA_TREE_REORDER", 0) as f64 / 10_000.0,
            rate: from_environment("MEDIA_TREE_RATE", 2_000),
            time: Duration::from_secs(from_environment("MEDIA_TREE_SECONDS", 60)),
            repair: from_environment("MEDIA_TREE_REPAIR", 1) != 0,
        }
    }

    /// Every leaf has all but one of ten thousand in time, and nothing twice.
    fn is_repaired(self) {
        self.is_repaired_but(RESIDUAL);
    }

    /// The same with another share.
    fn is_repaired_but(self, most: f64) {
        for (number, leaf) in self.run().iter().enumerate() {
            let Leaf { missing, late, wanted, doubled, .. } = leaf;
            let residual = (missing + late) as f64 / *wanted as f64;
            assert!(
                residual <= most,
                "leaf {}: {missing} missing and {late} late of {wanted}: {residual:.5}",
                number + 1
            );
            assert_eq!(*doubled, 0, "leaf {}: twice", number + 1);
        }
    }

    /// Sends through the relays; gives what each leaf got, of the right streams only, and prints a row of the table.
    fn run(self) -> Vec<Leaf> {
        let lab = lab_for(self.name, self.mode);
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
            let config = RelayConfig::new(&name, self.mode, below);
            let config = if self.repair { config } else { config.with(&UNREPAIRED) };
            relays.push(RelayProcess::attach(&lab, config).unwrap());
            below = vec![child_argument(&name, place.above.v4(0))];
        }
        let sinks: Vec<Sink> = (0..LEAVES)
            .map(|leaf| {
                let leaf = &children[leaf].endpoint;
                Sink::bind(&lab, &leaf.namespace, vec![leaf.v4(AUDIO), leaf.v4(VIDEO)]).unwrap()
            })
            .collect();
        for (number, link) in links.iter_mut().enumerate() {
            let seed = self.loss.seed << 8 | number as u64;
            link.delay(delay.reordered(Reorder { share: self.reordered, by: OVERTAKEN_FOR, seed })).unwrap();
            for way in [Way::Down, Way::Up] {
                let seed = self.loss.seed << 8 | (2 * number as u64 + way as u64);
                link.lose(way, Loss { seed, ..self.loss }.and_of_rtcp()).unwrap();
            }
        }
        let top = &places[0].above;
        let flows = [
            (Flow::audio(AUDIO_SSRC, top.v4(AUDIO)), FROM[0], 48_000),
            (Flow::video(VIDEO_SSRC, top.v4(VIDEO)), FROM[1], 90_000),
        ];
        // Media time goes as fast as the clock: by it a relay tells what has come before from a sender that has begun again.
        let per_flow = (self.rate / 2).max(1) as u32;
        let flows = flows.map(|(flow, source_port, clock_rate)| Flow {
            source_port,
            timestamp_step: clock_rate / per_flow,
            ..flow
        });
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
        self.print(&leaves, &shares.collect::<Vec<_>>().join(" "), sent.answered);
        if self.repair && leaves.iter().any(|leaf| leaf.missing + leaf.late > 0) {
            println!(
                "missing at each leaf: {:?}",
                leaves.iter().map(|leaf| leaf.missing).collect::<Vec<_>>()
            );
            // The nearest to the leaves first.
            for relay in &relays {
                let status = relay.cli().run(&["status", "--json"]).unwrap().stdout;
                println!("{status}{}", relay.cli().run(&["children", "--json"]).unwrap().stdout);
            }
        }
        leaves
    }

    fn print(self, leaves: &[Leaf], lost: &str, answered: u64) {
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
            "| {} | {} | {lost} | {} | {} | {} | {} | {} + {} of {} | {:.4} | {} | {} | {}: {} | {answered} |",
            self.mode,
            if self.repair { "yes" } else { "no" },
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
