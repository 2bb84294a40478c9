//! Random changes of everything a node reads from Redis, typed by redis-cli while media flows: the children that are
//! never taken out lose nothing, and in the end the relay forwards to exactly those in the set.
//!
//! `MEDIA_TREE_CHANGES` says how many (500), `MEDIA_TREE_SEED` which ones.

use std::time::{Duration, Instant};

use crate::common::tree::{Tree, from_environment};
use crate::common::{QUIET, TIMEOUT, lab_for, name};
use lab::random::Random;
use lab::redis::RedisConfig;
use lab::redis::egress_fields;
use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{Sink, Source, SourceConfig, Topology};

const STAYERS: usize = 2;
const CHILDREN: usize = 6;
/// Where a child is when it is not at its usual ports.
const OTHER_PORTS: [u16; 2] = [6002, 6004];
const RATE: u64 = 8_000;

modes!(stayers_notice_nothing: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn stayers_notice_nothing(mode: Mode) {
    let changes = from_environment("MEDIA_TREE_CHANGES", 500);
    let seed = from_environment("MEDIA_TREE_SEED", 0x7265_6469_7321);
    println!("{mode}: {changes} changes, MEDIA_TREE_SEED={seed}");
    let lab = lab_for("redischange", mode);
    let topology = Topology::one_nic(&lab, CHILDREN).unwrap();
    // Whoever is named as the parent, the media of this test comes from the injection.
    let sources = topology.injection.v4.to_string();
    let tree = Tree::grow_with(&lab, topology, mode, STAYERS, RedisConfig::default(), |config| {
        config.with(&["--source", &sources])
    });
    let bench = &tree.bench;
    let stayers = bench.sink(&Vec::from_iter(0..STAYERS));
    let others = everywhere(&tree);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&stayers, 2 * STAYERS, 100);

    let began = Instant::now();
    let mut random = Random::new(seed);
    let before = looks(&tree);
    for number in 0..changes {
        change(&tree, &mut random);
        pause(number);
    }
    let typing = began.elapsed();
    let looked = looks(&tree) - before;

    // Whatever is in the set now; all of them registered, and none of them the parent.
    let ended = Instant::now();
    for index in 0..CHILDREN {
        register(&tree, index, [AUDIO, VIDEO]);
    }
    tree.type_in("SET parent:relay-1 injection-1");
    let members = tree.redis.members("children:relay-1").unwrap();
    tree.wait_forwarding(&members);
    let converged = ended.elapsed();

    // Those in the set get media, at the ports that they registered last, and the others do not.
    bench.wait_more(&stayers, RATE / 20);
    let now = everywhere_again(&tree, others);
    bench.wait_more(&stayers, 500);
    let mut reached: Vec<String> = now.report().iter().map(|flow| who(&tree, flow.socket)).collect();
    reached.sort();
    reached.dedup();
    let mut wanted: Vec<String> = members.clone();
    wanted.retain(|member| (STAYERS..CHILDREN).any(|index| name(index) == *member));
    assert_eq!(reached, wanted, "{}", bench.diagnosis());

    let sent = source.stop();
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("stayer", &stayers.stop(), &sent);
    bench.assert_flawless("those in the set at the end", &now.stop());
    println!(
        "| {mode} | {changes} random changes by redis-cli in {:.1} s, {looked} looks | - | - | {:.3} |",
        typing.as_secs_f64(),
        converged.as_secs_f64()
    );
}

/// One change, by one redis-cli.
fn change(tree: &Tree, random: &mut Random) {
    let other = name(STAYERS + random.below(CHILDREN - STAYERS));
    let any = random.below(CHILDREN);
    match random.below(14) {
        0..=2 => drop(tree.type_in(&format!("SADD children:relay-1 {other}"))),
        3..=5 => drop(tree.type_in(&format!("SREM children:relay-1 {other}"))),
        6 => {
            let all: Vec<String> = (STAYERS..CHILDREN).map(name).collect();
            let command = ["SADD", "SREM"][random.below(2)];
            tree.type_in(&format!("{command} children:relay-1 {}", all.join(" ")));
        }
        7 => {
            // A child that becomes the parent is refused as a child.
            let parent = ["injection-1", "relay-0", other.as_str()][random.below(3)];
            tree.type_in(&format!("SET parent:relay-1 {parent}"));
        }
        8 => drop(tree.type_in("DEL parent:relay-1")),
        9 => {
            let index = STAYERS + random.below(CHILDREN - STAYERS);
            register(tree, index, [[AUDIO, VIDEO], OTHER_PORTS][random.below(2)]);
        }
        10 => drop(tree.type_in(&format!("DEL node:{}", name(any)))),
        11 => register(tree, any, [AUDIO, VIDEO]),
        12 => drop(tree.type_in(&format!("HSET node:{} audioPort nonsense", name(any)))),
        _ => {
            let (channel, event) = [
                ("topology:relay-1", r#"{"type":"child-added","nodeId":"relay-1","childId":"egress-9"}"#),
                (
                    "topology:relay-1",
                    r#"{"type":"children-removed","nodeId":"relay-1","childIds":["egress-1"]}"#,
                ),
                ("topology:relay-1", r#"{"type":"parent-changed","nodeId":"relay-1","newParent":"nobody"}"#),
                ("topology:tree-1", r#"{"type":"topology-reset"}"#),
                ("topology:relay-1", r#"{"type":"unheard-of"}"#),
                ("topology:relay-1", "{not-json"),
            ][random.below(6)];
            tree.redis.cli(&["PUBLISH", channel, event]).unwrap();
        }
    }
}

/// By turns a burst of changes as fast as they can be typed, which are seen together, and more that are seen one by one.
fn pause(number: u64) {
    const TURN: u64 = 40;
    const BURST: u64 = 10;
    /// Longer than the relay's pause after a single look.
    const APART: Duration = Duration::from_millis(12);
    /// Longer than its pause after such a burst.
    const REST: Duration = Duration::from_millis(170);
    match number % TURN {
        burst if burst < BURST - 1 => {}
        burst if burst < BURST => std::thread::sleep(REST),
        _ => std::thread::sleep(APART),
    }
}

fn register(tree: &Tree, index: usize, ports: [u16; 2]) {
    let host = tree.bench.child(index).endpoint.v4.to_string();
    let words = egress_fields(&name(index), &host, ports);
    tree.redis.cli(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

fn looks(tree: &Tree) -> u64 {
    tree.json("/status")["redis"]["looks"].number()
}

/// A sink at all ports of all children but the stayers.
fn everywhere(tree: &Tree) -> Sink {
    let ports = [AUDIO, VIDEO, OTHER_PORTS[0], OTHER_PORTS[1]];
    let endpoints = tree.bench.topology.children[STAYERS..].iter().map(|child| &child.endpoint);
    let addresses = endpoints.flat_map(|endpoint| ports.map(|port| endpoint.v4(port))).collect();
    Sink::bind(tree.bench.lab, "egress", addresses).unwrap()
}

/// Ends it, after a last word on what may never happen, and begins a new one.
fn everywhere_again(tree: &Tree, sink: Sink) -> Sink {
    for flow in sink.stop() {
        assert_eq!((flow.duplicated, flow.corrupted, flow.renumbered), (0, 0, 0), "{flow:?}");
    }
    everywhere(tree)
}

fn who(tree: &Tree, socket: std::net::SocketAddr) -> String {
    assert!([AUDIO, VIDEO].contains(&socket.port()), "{socket} is not where a child is now");
    let children = &tree.bench.topology.children;
    name(children.iter().position(|child| child.endpoint.v4 == socket.ip()).unwrap())
}
