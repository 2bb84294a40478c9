//! relay-1 sends to relay-2 and relay-3; relay-2 to relay-4 and relay-5, each with an egress behind it. relay-2 is drained: its
//! children are relay-3's then, and every leaf has every packet once.
//!
//! `MEDIA_TREE_RATE` says how many packets a second there are (2,000).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::tree::{API, Tree, from_environment};
use crate::common::{QUIET, TIMEOUT, eventually, lab_for, name};
use lab::redis::RedisConfig;
use lab::relay::{AUDIO, Json, Mode, RelayConfig, RelayProcess, VIDEO};
use lab::topology::{CONTROL, Levels, control_host};
use lab::{FlowReport, Lab, Redis, Sink, Source, SourceConfig, http};
use nix::sys::signal::Signal;

modes!(its_children_go_to_a_sibling_and_lose_nothing);
modes!(what_it_gave_away_stays_when_it_is_put_back: in_tc_mode = Tc);
modes!(sigterm_empties_it_first: in_tc_mode = Tc);

/// relay-2 and the others.
const OTHERS: usize = 4;

fn its_children_go_to_a_sibling_and_lose_nothing(mode: Mode) {
    let lab = lab_for("drainrelay", mode);
    let scene = Scene::open(&lab, mode, &[]);
    let began = Instant::now();
    assert_eq!(scene.ask("POST", 0), 202);
    scene.is_drained();
    let took = began.elapsed();
    scene.is_without_second();
    let rate = scene.rate;
    let flows = scene.close();
    let sum = |of: fn(&FlowReport) -> u64| flows.iter().map(of).sum::<u64>();
    let gap = flows.iter().map(|flow| flow.longest_gap_ns).max().unwrap_or_default() as f64 / 1e6;
    println!(
        "| {mode} | {rate} packets/s | drained after {:.1} s | {} lost, {} doubled, {} late of {} at {} leaves | longest gap {gap:.1} ms |",
        took.as_secs_f64(),
        sum(|flow| flow.lost),
        sum(|flow| flow.duplicated),
        sum(|flow| flow.reordered),
        sum(|flow| flow.packets),
        flows.len() / 2,
    );
    assert_eq!((sum(|flow| flow.lost), sum(|flow| flow.duplicated)), (0, 0), "lost, doubled: {flows:#?}");
}

fn what_it_gave_away_stays_when_it_is_put_back(mode: Mode) {
    let lab = lab_for("drainundo", mode);
    let scene = Scene::open(&lab, mode, &[]);
    assert_eq!(scene.ask("POST", 0), 202);
    scene.is_drained();
    assert_eq!(scene.ask("DELETE", 0), 200);
    eventually("relay-2 is relay-1's child again", || {
        scene.members("relay-1") == ["relay-2", "relay-3"]
            && scene.tree.type_in("GET parent:relay-2") == "relay-1"
    });
    assert_eq!(scene.members("relay-3"), ["relay-4", "relay-5"]);
    assert!(scene.members("relay-2").is_empty());
}

fn sigterm_empties_it_first(mode: Mode) {
    let lab = lab_for("drainterm", mode);
    let scene = Scene::open(&lab, mode, &["--drain-limit", "60"]);
    let relay = scene.others[0].process();
    relay.signal(Signal::SIGTERM).unwrap();
    assert!(relay.wait(TIMEOUT).unwrap().success(), "{}", relay.tail());
    scene.is_without_second();
    eventually("it is in the tree no more", || scene.tree.type_in("EXISTS node:relay-2") == "0");
    let flows = scene.close();
    assert!(flows.iter().all(|flow| (flow.lost, flow.duplicated) == (0, 0)), "{flows:#?}");
}

struct Scene<'lab> {
    lab: &'lab Lab,
    tree: Tree<'lab>,
    others: Vec<RelayProcess<'lab>>,
    sinks: Vec<Sink>,
    source: Source,
    rate: u64,
}

impl<'lab> Scene<'lab> {
    /// Until media comes to both leaves. `arguments`: of relay-2.
    fn open(lab: &'lab Lab, mode: Mode, arguments: &[&str]) -> Self {
        let rate = from_environment("MEDIA_TREE_RATE", 2_000);
        let Levels { topology, others: places } = Levels::bridged(lab, OTHERS, 2).unwrap();
        let relays: Vec<String> = (1..=OTHERS + 1).map(|number| format!("relay-{number}")).collect();
        let hosts = control_host(lab, &relays.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let redis = Redis::start(lab, CONTROL, RedisConfig::default()).unwrap();
        for (index, child) in topology.children.iter().enumerate() {
            redis.egress(&name(index), &child.endpoint.v4.to_string(), [AUDIO, VIDEO]).unwrap();
        }
        let attach = |index: usize| {
            let (relay, host) = (&relays[index + 1], hosts[index + 1].v4);
            let config = RelayConfig::new(relay, mode, Vec::new());
            let config = config.following(&redis.url(host), relay, places[index].v4.into());
            RelayProcess::attach(lab, if index == 0 { config.with(arguments) } else { config }).unwrap()
        };
        let others: Vec<_> = (0..OTHERS).map(attach).collect();
        let tree = Tree::follow(lab, topology, mode, redis, hosts[0].v4, |config| config);
        let edges = [
            (1, "relay-2"),
            (1, "relay-3"),
            (2, "relay-4"),
            (2, "relay-5"),
            (4, "egress-1"),
            (5, "egress-2"),
        ];
        let mut planted = vec!["SET parent:relay-1 injection-1".to_owned()];
        for (above, below) in edges {
            planted.push(format!("SADD children:relay-{above} {below}"));
            planted.push(format!("SET parent:{below} relay-{above}"));
        }
        tree.redis.cli_lines(&planted.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        for (relay, children) in others.iter().zip([2, 0, 1, 1]) {
            relay.cli().wait_forwarding(children).unwrap();
        }
        tree.wait_forwarding(&["relay-2".to_owned(), "relay-3".to_owned()]);
        let sinks: Vec<Sink> = (0..2).map(|child| tree.bench.sink(&[child])).collect();
        let source = Source::start(lab, "injection-1", SourceConfig::new(tree.bench.flows(), rate)).unwrap();
        sinks.iter().for_each(|sink| tree.bench.wait_packets(sink, 2, 300));
        let scene = Scene { lab, tree, others, sinks, source, rate };
        // It knows who could take its children.
        eventually("relay-3 is known to be beside it", || {
            scene.tree.type_in("HGET directory:tree-1 relay-3").contains(r#""parent":"relay-1""#)
        });
        scene
    }

    /// A request about draining, of one of the others.
    fn ask(&self, method: &str, other: usize) -> u16 {
        let ns = format!("relay-{}", other + 2);
        http::request(self.lab, &ns, SocketAddr::from(API), method, "/drain", &[], "").unwrap().status
    }

    fn is_drained(&self) {
        let shown = || {
            let answer = http::get(self.lab, "relay-2", SocketAddr::from(API), "/drain").unwrap();
            answer.body.parse::<Json>().unwrap()
        };
        let deadline = Instant::now() + TIMEOUT;
        while shown()["state"].text() != "drained" {
            assert!(Instant::now() < deadline, "{:?}: {}", shown(), self.others[0].process().tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn members(&self, of: &str) -> Vec<String> {
        self.tree.redis.members(&format!("children:{of}")).unwrap()
    }

    /// Nobody has anything to do with relay-2 any more, and media goes through relay-3.
    fn is_without_second(&self) {
        assert_eq!(self.members("relay-1"), ["relay-3"]);
        assert_eq!(self.members("relay-3"), ["relay-4", "relay-5"]);
        assert!(self.members("relay-2").is_empty());
        assert_eq!(self.tree.type_in("EXISTS parent:relay-2"), "0");
        for child in ["relay-4", "relay-5"] {
            assert_eq!(self.tree.type_in(&format!("GET parent:{child}")), "relay-3");
        }
        self.tree.wait_forwarding(&["relay-3".to_owned()]);
        self.sinks.iter().for_each(|sink| self.tree.bench.wait_more(sink, 300));
    }

    /// What came to the leaves in all.
    fn close(self) -> Vec<FlowReport> {
        let sent = self.source.stop();
        let mut flows = Vec::new();
        for sink in self.sinks {
            assert!(sink.wait_quiet(QUIET, TIMEOUT));
            flows.extend(sink.stop());
        }
        assert_eq!(flows.len(), 4);
        for flow in &flows {
            assert_eq!(flow.last_counter, sent.packets[&flow.ssrc] - 1, "to the last packet: {flow:?}");
        }
        flows
    }
}
