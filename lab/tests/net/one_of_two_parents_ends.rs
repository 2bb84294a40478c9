//! relay-1 sends to relay-2 and relay-3, and both of these to relay-4 and relay-5, behind each of which an egress is: relay-2 is the parent
//! of relay-4 and stands by for relay-5, relay-3 the other way round. Whatever becomes of relay-2, every leaf has every packet once.
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

modes!(a_parent_that_is_killed_takes_nothing_along);
modes!(a_parent_whose_interface_goes_down_takes_nothing_along);
modes!(a_parent_that_is_upgraded_takes_nothing_along);
modes!(a_parent_that_is_drained_is_replaced);
modes!(a_child_of_two_that_is_upgraded_has_each_packet_once: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(who_stands_by_comes_and_goes_by_redis_cli: in_tc_mode = Tc);

/// Between two questions to a daemon.
const POLL: Duration = Duration::from_millis(50);

fn a_parent_that_is_killed_takes_nothing_along(mode: Mode) {
    let lab = lab_for("twokill", mode);
    let scene = Scene::open(&lab, mode, 4);
    scene.second().kill9().unwrap();
    // In the kernel it goes on without its daemon: with the machine that goes, too.
    lab.run("relay-2", &["ip", "link", "del", "eth0"]).unwrap();
    scene.goes_on();
    scene.is_unheard("relay-4", "relay-2");
    scene.close("killed");
}

fn a_parent_whose_interface_goes_down_takes_nothing_along(mode: Mode) {
    let lab = lab_for("twodown", mode);
    let scene = Scene::open(&lab, mode, 4);
    lab.set_link("relay-2", "eth0", false).unwrap();
    scene.goes_on();
    scene.is_unheard("relay-5", "relay-2");
    // It is back, and sends again what the other one sends.
    lab.set_link("relay-2", "eth0", true).unwrap();
    scene.are_heard("relay-5", &["relay-2", "relay-3"]);
    scene.goes_on();
    scene.close("interface down and up");
}

fn a_parent_that_is_upgraded_takes_nothing_along(mode: Mode) {
    let lab = lab_for("twoup", mode);
    let mut scene = Scene::open(&lab, mode, 4);
    scene.second().terminate().unwrap();
    scene.goes_on();
    scene.others[0].restart().unwrap();
    scene.are_heard("relay-4", &["relay-2", "relay-3"]);
    scene.goes_on();
    scene.close("upgraded");
}

fn a_parent_that_is_drained_is_replaced(mode: Mode) {
    let lab = lab_for("twodrain", mode);
    let scene = Scene::open(&lab, mode, 5);
    eventually("relay-6 is known to be beside it", || {
        scene.tree.type_in("HGET directory:tree-1 relay-6").contains(r#""parent":"relay-1""#)
    });
    let api = SocketAddr::from(API);
    assert_eq!(http::request(&lab, "relay-2", api, "POST", "/drain", &[], "").unwrap().status, 202);
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = http::get(&lab, "relay-2", api, "/drain").unwrap();
        if answer.body.parse::<Json>().is_ok_and(|shown| shown["state"].text() == "drained") {
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}: {}", scene.second().process().tail());
        std::thread::sleep(POLL);
    }
    // Neither of the two has lost one of its ways: who sends to them already was not chosen.
    assert_eq!(scene.tree.type_in("GET parent:relay-4"), "relay-6");
    for (key, wanted) in [
        ("parents:relay-4", "relay-3"),
        ("parents:relay-5", "relay-6"),
        ("children:relay-6", "relay-4 relay-5"),
        ("children:relay-2", ""),
    ] {
        assert_eq!(scene.tree.redis.members(key).unwrap().join(" "), wanted, "{key}");
    }
    scene.goes_on();
    scene.are_heard("relay-4", &["relay-3", "relay-6"]);
    scene.are_heard("relay-5", &["relay-3", "relay-6"]);
    scene.close("drained and replaced");
}

fn a_child_of_two_that_is_upgraded_has_each_packet_once(mode: Mode) {
    let lab = lab_for("twochild", mode);
    let mut scene = Scene::open(&lab, mode, 4);
    scene.others[2].kill9().unwrap();
    scene.goes_on();
    scene.others[2].restart().unwrap();
    scene.are_heard("relay-4", &["relay-2", "relay-3"]);
    scene.goes_on();
    scene.close("the child upgraded");
}

fn who_stands_by_comes_and_goes_by_redis_cli(mode: Mode) {
    let lab = lab_for("twocli", mode);
    let scene = Scene::open(&lab, mode, 4);
    let tree = |arguments: &[&str]| {
        let arguments = [&["tree"][..], arguments, &["--redis-url", &scene.redis_url]].concat();
        let answer = scene.tree.bench.cli().run(&arguments).unwrap();
        (answer.code, format!("{}{}", answer.stdout, answer.stderr))
    };
    let (_, drawn) = tree(&[]);
    assert!(drawn.contains("standby relay-3") && drawn.contains("standby relay-2"), "{drawn}");
    assert_eq!(scene.tree.type_in("SREM parents:relay-4 relay-3"), "1");
    scene.sources("relay-4", 1);
    let (code, said) = tree(&["attach", "relay-4", "--standby"]);
    assert!(code == Some(0) && said.contains("relay-3 stands by"), "{said}");
    scene.are_heard("relay-4", &["relay-2", "relay-3"]);
    for (arguments, why) in [
        (["attach", "relay-4", "--standby", "relay-2"], "is the parent"),
        (["attach", "relay-2", "--standby", "relay-4"], "loop"),
    ] {
        let (code, said) = tree(&arguments);
        assert!(code != Some(0) && said.contains(why), "{said}");
    }
    let (code, said) = tree(&["detach", "relay-4", "--standby"]);
    assert!(code == Some(0) && said.contains("relay-3 stands by no more"), "{said}");
    assert_eq!(scene.tree.redis.members("children:relay-3").unwrap(), ["relay-5"]);
    scene.sources("relay-4", 1);
    scene.goes_on();
    scene.close("standby taken away and given again");
}

struct Scene<'lab> {
    lab: &'lab Lab,
    mode: Mode,
    tree: Tree<'lab>,
    redis_url: String,
    /// relay-2 and so on.
    others: Vec<RelayProcess<'lab>>,
    sinks: Vec<Sink>,
    source: Source,
    rate: u64,
}

impl<'lab> Scene<'lab> {
    /// Until media comes to both leaves, by both ways. `others`: relays besides relay-1.
    fn open(lab: &'lab Lab, mode: Mode, others: usize) -> Self {
        let rate = from_environment("MEDIA_TREE_RATE", 2_000);
        let Levels { topology, others: places } = Levels::bridged(lab, others, 2).unwrap();
        let relays: Vec<String> = (1..=others + 1).map(|number| format!("relay-{number}")).collect();
        let hosts = control_host(lab, &relays.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let redis = Redis::start(lab, CONTROL, RedisConfig::default()).unwrap();
        for (index, child) in topology.children.iter().enumerate() {
            redis.egress(&name(index), &child.endpoint.v4.to_string(), [AUDIO, VIDEO]).unwrap();
        }
        let attach = |index: usize| {
            let (relay, host) = (&relays[index + 1], hosts[index + 1].v4);
            let config = RelayConfig::new(relay, mode, Vec::new());
            let config = config.following(&redis.url(host), relay, places[index].v4.into());
            RelayProcess::attach(lab, config).unwrap()
        };
        let processes: Vec<_> = (0..others).map(attach).collect();
        let redis_url = redis.url(hosts[0].v4);
        let tree = Tree::follow(lab, topology, mode, redis, hosts[0].v4, |config| config);
        let below_first =
            relays[1..].iter().filter(|relay| !["relay-4", "relay-5"].contains(&relay.as_str()));
        let mut planted = vec!["SET parent:relay-1 injection-1".to_owned()];
        let mut edge = |above: &str, below: &str| {
            planted.push(format!("SADD children:{above} {below}"));
            planted.push(format!("SET parent:{below} {above}"));
        };
        below_first.clone().for_each(|relay| edge("relay-1", relay));
        for (above, below) in
            [("relay-2", "relay-4"), ("relay-3", "relay-5"), ("relay-4", "egress-1"), ("relay-5", "egress-2")]
        {
            edge(above, below);
        }
        for (above, below) in [("relay-3", "relay-4"), ("relay-2", "relay-5")] {
            planted.push(format!("SADD children:{above} {below}"));
            planted.push(format!("SADD parents:{below} {above}"));
        }
        tree.redis.cli_lines(&planted.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        for (relay, children) in processes.iter().zip([2, 2, 1, 1]) {
            relay.cli().wait_forwarding(children).unwrap();
        }
        tree.wait_forwarding(&below_first.cloned().collect::<Vec<_>>());
        let sinks: Vec<Sink> = (0..2).map(|child| tree.bench.sink(&[child])).collect();
        let source = Source::start(lab, "injection-1", SourceConfig::new(tree.bench.flows(), rate)).unwrap();
        sinks.iter().for_each(|sink| tree.bench.wait_packets(sink, 2, 300));
        let scene = Scene { lab, mode, tree, redis_url, others: processes, sinks, source, rate };
        for child in ["relay-4", "relay-5"] {
            scene.are_heard(child, &["relay-2", "relay-3"]);
        }
        scene
    }

    fn second(&self) -> &RelayProcess<'lab> {
        &self.others[0]
    }

    /// A relay says of each of its parents whether anything comes from it: those from which it does.
    fn heard(&self, relay: &str) -> Vec<String> {
        let answer = http::get(self.lab, relay, SocketAddr::from(API), "/metrics").unwrap();
        let lines = answer.body.lines().filter(|line| line.starts_with("media_tree_relay_parent_heard{"));
        let heard = lines.filter(|line| line.ends_with(" 1"));
        heard.filter_map(|line| Some(line.split_once("parent=\"")?.1.split_once('"')?.0.to_owned())).collect()
    }

    fn are_heard(&self, relay: &str, parents: &[&str]) {
        self.until(&format!("{relay} hears {parents:?}"), || self.heard(relay) == parents);
    }

    /// What it says of that is a warning, and the tree's page has it, too.
    fn is_unheard(&self, relay: &str, parent: &str) {
        self.until(&format!("{relay} hears {parent} no more"), || {
            !self.heard(relay).contains(&parent.to_owned())
        });
        let status = http::get(self.lab, relay, SocketAddr::from(API), "/status").unwrap();
        assert!(status.body.contains(&format!("nothing comes from {parent}")), "{}", status.body);
        let entry = format!("HGET directory:tree-1 {relay}");
        let wanted = format!(r#""unheard":["{parent}"]"#);
        self.until("the directory says so", || self.tree.type_in(&entry).contains(&wanted));
    }

    /// A relay takes media from so many addresses.
    fn sources(&self, relay: &str, count: usize) {
        self.until(&format!("{relay} has {count} sources"), || {
            let status = http::get(self.lab, relay, SocketAddr::from(API), "/status").unwrap();
            let status: Json = status.body.parse().unwrap();
            // Of each parent the addresses on the switch are what differs.
            let sources = status["sources"].list().iter().map(|source| source.text().to_owned());
            sources.filter(|source| source.starts_with("10.0.1.")).count() == count
        });
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !done() {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {TIMEOUT:?}{}",
                self.tree.bench.diagnosis()
            );
            std::thread::sleep(POLL);
        }
    }

    /// For another second of packets at least.
    fn goes_on(&self) {
        self.sinks.iter().for_each(|sink| self.tree.bench.wait_more(sink, self.rate / 2));
    }

    /// Every leaf has had each packet once, to the last.
    fn close(self, what: &str) {
        let Scene { mode, tree, source, sinks, rate, .. } = self;
        let sent = source.stop();
        let mut flows: Vec<FlowReport> = Vec::new();
        for sink in sinks {
            assert!(sink.wait_quiet(QUIET, TIMEOUT));
            flows.extend(sink.stop());
        }
        let sum = |of: fn(&FlowReport) -> u64| flows.iter().map(of).sum::<u64>();
        let gap = flows.iter().map(|flow| flow.longest_gap_ns).max().unwrap_or_default() as f64 / 1e6;
        println!(
            "| {mode} | {what} | {rate} packets/s, {:.0} had | {} lost, {} doubled, {} late of {} at 2 leaves | longest gap {gap:.1} ms |",
            sent.rate(),
            sum(|flow| flow.lost),
            sum(|flow| flow.duplicated),
            sum(|flow| flow.reordered),
            sum(|flow| flow.packets),
        );
        assert_eq!(flows.len(), 4, "{flows:#?}");
        for flow in &flows {
            assert_eq!(
                (flow.lost, flow.duplicated, flow.corrupted),
                (0, 0, 0),
                "{what}: lost, doubled, corrupted: {flow:?}{}",
                tree.bench.diagnosis()
            );
            assert_eq!(flow.last_counter, sent.packets[&flow.ssrc] - 1, "to the last packet: {flow:?}");
        }
    }
}
