//! injection-1 -> relay-1 -> relay-2 (on 5102/5104) -> egress-1, all by Redis; then relay-2 is taken out.
//!
//! What the order of the operator's commands means for egress-1, while relay-2 goes on serving it:
//! - **SREM relay-2, then SADD egress-1:** packets that come between the two go to nobody. A gap, nothing twice.
//! - **SADD egress-1, then SREM relay-2:** packets that come between the two reach egress-1 both ways. No gap, some twice.
//! - **Both in one MULTI:** relay-1 sees both at one look and flips its set once, so each packet takes one way or the
//!   other: no gap, nothing twice. A packet on the longer way may be overtaken by the one after it.
//!
//!   relay-1 has never sent anything to egress-1 and does not know its MAC: it asks for it before the flip.
//!
//! In each case nothing is lost from the last command on.

use crate::common::tree::Tree;
use crate::common::{QUIET, TIMEOUT, eventually, lab_for, name};
use lab::redis::RedisConfig;
use lab::relay::{AUDIO, Mode, RelayConfig, RelayProcess, VIDEO};
use lab::topology::{CONTROL, control_host};
use lab::{Chain, Flow, Lab, Redis, Sink, Source, SourceConfig};

const RATE: u64 = 2_000;
const AUDIO_SSRC: u32 = 5555;
const VIDEO_SSRC: u32 = 6666;
const TAKE_OUT: &str = "SREM children:relay-1 relay-2";
const PUT_IN: &str = "SADD children:relay-1 egress-1";
const PARENT: &str = "SET parent:egress-1 relay-1";

modes!(taken_out_in_one_transaction_nothing_is_lost_at_all);
modes!(taken_out_first_it_is_a_gap: in_tc_mode = Tc);
modes!(taken_out_last_some_come_twice: in_tc_mode = Tc);

fn taken_out_in_one_transaction_nothing_is_lost_at_all(mode: Mode) {
    let lab = lab_for("chainmulti", mode);
    let scene = Scene::open(&lab, mode);
    let change = scene.take_out(&[&["MULTI", TAKE_OUT, PUT_IN, PARENT, "EXEC"]]);
    println!("{mode}: in one transaction: {change:?}");
    assert_eq!((change.lost, change.duplicated), (0, 0), "{}", scene.tree.bench.diagnosis());
    scene.close();
}

fn taken_out_first_it_is_a_gap(mode: Mode) {
    let lab = lab_for("chaingap", mode);
    let scene = Scene::open(&lab, mode);
    let change = scene.take_out(&[&[TAKE_OUT], &[PUT_IN, PARENT]]);
    println!("{mode}: SREM, then SADD: {change:?}");
    assert!(change.lost > 0 && change.duplicated == 0, "{change:?}{}", scene.tree.bench.diagnosis());
    scene.close();
}

fn taken_out_last_some_come_twice(mode: Mode) {
    let lab = lab_for("chaintwice", mode);
    let scene = Scene::open(&lab, mode);
    let change = scene.take_out(&[&[PUT_IN, PARENT], &[TAKE_OUT]]);
    println!("{mode}: SADD, then SREM: {change:?}");
    assert!(change.lost == 0 && change.duplicated > 0, "{change:?}{}", scene.tree.bench.diagnosis());
    scene.close();
}

/// What egress-1 saw of the change, both streams together.
#[derive(Debug)]
struct Change {
    lost: u64,
    duplicated: u64,
    #[expect(dead_code, reason = "it is printed")]
    reordered: u64,
}

struct Scene<'lab> {
    tree: Tree<'lab>,
    second: RelayProcess<'lab>,
    sink: Sink,
    source: Source,
}

impl<'lab> Scene<'lab> {
    /// Until media comes to egress-1 through both relays.
    fn open(lab: &'lab Lab, mode: Mode) -> Self {
        let Chain { topology, second } = Chain::bridged(lab, 1).unwrap();
        let hosts = control_host(lab, &["relay-1", "relay-2"]).unwrap();
        let redis = Redis::start(lab, CONTROL, RedisConfig::default()).unwrap();
        let egress = &topology.children[0].endpoint;
        redis.egress(&name(0), &egress.v4.to_string(), [AUDIO, VIDEO]).unwrap();
        let config = RelayConfig::new("relay-2", mode, Vec::new())
            .following(&redis.url(hosts[1].v4), "relay-2", second.v4.into())
            .with(&["--listen", "5102:5104"]);
        let second = RelayProcess::attach(lab, config).unwrap();
        let tree = Tree::follow(lab, topology, mode, redis, hosts[0].v4, |config| config);
        // relay-2's address and ports are said by nobody but relay-2.
        let planted = [
            "SET parent:relay-1 injection-1",
            "SADD children:relay-1 relay-2",
            "SET parent:relay-2 relay-1",
            "SADD children:relay-2 egress-1",
            "SET parent:egress-1 relay-2",
        ];
        tree.redis.cli_lines(&planted).unwrap();
        second.cli().wait_forwarding(1).unwrap();
        tree.wait_forwarding(&["relay-2".to_owned()]);

        let sink = tree.bench.sink(&[0]);
        let relay = &tree.bench.topology.relay;
        let flows = vec![Flow::audio(AUDIO_SSRC, relay.v4(AUDIO)), Flow::video(VIDEO_SSRC, relay.v4(VIDEO))];
        let source = Source::start(lab, "injection-1", SourceConfig::new(flows, RATE)).unwrap();
        tree.bench.wait_packets(&sink, 2, 300);
        Self { tree, second, sink, source }
    }

    /// Types each group of commands and waits for its effect before the next; gives what egress-1 saw of it.
    fn take_out(&self, groups: &[&[&str]]) -> Change {
        let bench = &self.tree.bench;
        bench.assert_flawless("through both relays", &self.sink.report());
        for lines in groups {
            self.tree.redis.cli_lines(lines).unwrap();
            self.tree.wait_forwarding(&self.tree.redis.members("children:relay-1").unwrap());
            std::thread::sleep(QUIET);
        }
        bench.wait_more(&self.sink, 100);
        let flows = self.sink.report();
        assert_eq!(flows.len(), 2, "{flows:#?}");
        Change {
            lost: flows.iter().map(|flow| flow.lost).sum(),
            duplicated: flows.iter().map(|flow| flow.duplicated).sum(),
            reordered: flows.iter().map(|flow| flow.reordered).sum(),
        }
    }

    /// From now on everything comes, once and in order, and none of it through relay-2.
    fn close(self) {
        let Scene { tree, second, sink, source } = self;
        let bench = &tree.bench;
        let through_second = || second.cli().json("status").unwrap()["dataplane"]["packets"].number();
        let sink = bench.sink_again(sink, &[0]);
        let before = through_second();
        bench.wait_packets(&sink, 2, 500);
        let sent = source.stop();
        assert!(sink.wait_quiet(QUIET, TIMEOUT));
        let flows = sink.stop();
        bench.assert_flawless("without relay-2", &flows);
        for flow in &flows {
            assert_eq!(flow.last_counter, sent.packets[&flow.ssrc] - 1, "to the last packet");
            assert_eq!(flow.source.ip(), bench.child(0).relay.v4, "straight from relay-1");
        }
        assert_eq!(through_second(), before, "relay-2 gets nothing any more");
        // Taken out and stopped, it takes its registration with it.
        assert!(second.terminate().unwrap().success(), "{}", second.process().tail());
        eventually("node:relay-2 is gone", || tree.type_in("EXISTS node:relay-2") == "0");
    }
}
