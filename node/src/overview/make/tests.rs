use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::directory::{Entry, Particulars};
use crate::flow::Flow;
use crate::overview::facts::RegistrationFacts;
use crate::overview::view::EdgeState;

/// A tree, by a line for each node: `TYPE NAME < PARENT`, each with an entry and a registration, both keys agreeing.
fn facts(lines: &str) -> Facts {
    let mut facts = Facts { tree_id: "tree-1".to_owned(), at: 7, ..Facts::default() };
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (node, parent) =
            line.split_once(" < ").map_or((line, None), |(node, parent)| (node, Some(parent)));
        let (kind, id) = node.split_once(' ').unwrap();
        let kinds = [NodeType::Injection, NodeType::Relay, NodeType::Egress];
        let kind = *kinds.iter().find(|known| known.name() == kind).unwrap();
        let at = facts.nodes.entry(id.to_owned()).or_default();
        at.entry = Some(entry(kind, id, parent));
        at.registration = Some(registration(kind));
        at.parent = parent.map(str::to_owned);
        if let Some(parent) = parent {
            facts.nodes.entry(parent.to_owned()).or_default().children.insert(id.to_owned());
        }
    }
    facts
}

fn entry(node_type: NodeType, id: &str, parent: Option<&str>) -> Entry {
    Entry {
        node_type,
        url: format!("http://{id}:7000"),
        zone: String::new(),
        status: "active".to_owned(),
        parent: parent.map(str::to_owned),
        particulars: Particulars {
            max_viewers: if node_type == NodeType::Egress { 300 } else { 0 },
            ..Particulars::default()
        },
    }
}

fn registration(kind: NodeType) -> RegistrationFacts {
    let status = "active".to_owned();
    RegistrationFacts {
        node_type: Some(kind),
        tree_id: Some("tree-1".to_owned()),
        status,
        host: Some("10.0.0.1".to_owned()),
        port: Some(7071),
        admin: None,
        unheard: None,
    }
}

const TREE: &str = "injection i
    relay r1 < i
    egress e1 < r1
    egress e2 < r1
    relay r2 < r1
    egress e3 < r2";

fn with(facts: &mut Facts, id: &str, change: impl FnOnce(&mut Particulars)) {
    change(&mut facts.nodes.get_mut(id).unwrap().entry.as_mut().unwrap().particulars);
}

fn of<'a>(overview: &'a Overview, id: &str) -> &'a NodeView {
    overview.nodes.iter().find(|node| node.id == id).unwrap()
}

fn edge<'a>(overview: &'a Overview, from: &str, to: &str) -> &'a super::super::view::Edge {
    overview.edges.iter().find(|edge| edge.from == from && edge.to == to).unwrap()
}

fn flow(packets: u64, lost: u64) -> Option<Flow> {
    Some(Flow { ms: 10_000, packets, bytes: packets * 1000, lost, repaired: 0 })
}

/// Nobody has heard of e1 for so many seconds.
fn unheard(facts: &mut Facts, seconds: u64) {
    let registration = &mut facts.nodes.get_mut("e1").unwrap().registration;
    registration.as_mut().unwrap().unheard = Some(Duration::from_secs(seconds));
}

#[test]
fn each_node_is_drawn_behind_its_parent() {
    let overview = make(&facts(TREE));
    let rows: Vec<String> = overview.nodes.iter().map(|node| format!("{}{}", node.depth, node.id)).collect();
    assert_eq!(rows, ["0i", "1r1", "2e1", "2e2", "2r2", "3e3"]);
    assert!(overview.healthy && overview.problems.is_empty() && overview.notes.is_empty(), "{overview:?}");
    assert_eq!(overview.edges.len(), 5);
    assert!(overview.nodes.iter().all(|node| node.state == State::Ok && node.why.is_empty()));
}

#[test]
fn what_is_wrong_with_a_node_is_said_and_why() {
    type Change = fn(&mut Facts);
    let table: [(Change, &str, State, bool, &str); 12] = [
        (|f| unheard(f, 7), "e1", State::Doubtful, false, "for 7 s"),
        (|f| unheard(f, 5), "e1", State::Ok, true, ""),
        (|f| f.nodes.get_mut("e1").unwrap().registration = None, "e1", State::Gone, false, "expired"),
        (
            |f| {
                f.nodes.get_mut("r1").unwrap().children.insert("e9".to_owned());
                f.nodes.entry("e9".to_owned()).or_default();
            },
            "e9",
            State::Unknown,
            false,
            "children:r1",
        ),
        (|f| with(f, "e1", |e| e.cut_off = true), "e1", State::CutOff, false, "from its parent r1"),
        (|f| with(f, "e1", |e| e.draining = true), "e1", State::Draining, true, "takes nobody"),
        (
            |f| with(f, "e1", |e| (e.viewers, e.max_viewers) = (5, 5)),
            "e1",
            State::Full,
            true,
            "all of its 5 places",
        ),
        (
            |f| f.nodes.get_mut("e1").unwrap().registration.as_mut().unwrap().status = "degraded".to_owned(),
            "e1",
            State::Degraded,
            false,
            "http://e1:7000/status",
        ),
        (
            |f| {
                f.nodes.get_mut("r1").unwrap().children.remove("e1");
                let node = f.nodes.get_mut("e1").unwrap();
                (node.parent, node.entry.as_mut().unwrap().parent) = (None, None);
            },
            "e1",
            State::Unattached,
            true,
            "nobody's child",
        ),
        (
            |f| {
                f.nodes.get_mut("r1").unwrap().children.remove("e1");
                f.nodes.get_mut("e1").unwrap().parent = None;
                with(f, "e1", |e| e.cut_off = true);
            },
            "e1",
            State::CutOff,
            false,
            "it has no parent (parent:e1 is not set)",
        ),
        (
            |f| {
                f.nodes.get_mut("e1").unwrap().registration.as_mut().unwrap().tree_id =
                    Some("tree-2".to_owned())
            },
            "e1",
            State::Unknown,
            false,
            "tree-2",
        ),
        (|f| f.nodes.get_mut("e1").unwrap().entry = None, "e1", State::Ok, true, "directory"),
    ];
    for (change, id, state, healthy, why) in table {
        let mut facts = facts(TREE);
        change(&mut facts);
        let overview = make(&facts);
        let node = of(&overview, id);
        assert_eq!((node.state, overview.healthy), (state, healthy), "{why}: {overview:#?}");
        let said = if healthy { &overview.notes } else { &overview.problems };
        let is_said = said.iter().any(|said| said.starts_with(id) && said.contains(why));
        assert!(is_said != why.is_empty(), "{why}: {said:?}");
    }
}

#[test]
fn operators_ask_a_node_where_it_hears_them() {
    let operators = |listener: Option<&str>| {
        let mut facts = facts(TREE);
        let registration = facts.nodes.get_mut("e1").unwrap().registration.as_mut().unwrap();
        registration.admin = listener.map(str::to_owned);
        registration.status = "degraded".to_owned();
        let overview = make(&facts);
        let node = of(&overview, "e1");
        (node.operators().unwrap().to_owned(), node.why[0].clone())
    };
    let (url, why) = operators(Some("10.1.0.7:7083"));
    assert_eq!(url, "http://10.1.0.7:7083");
    assert!(why.contains("http://10.1.0.7:7083/status"), "{why}");
    for none in [None, Some("a b"), Some("x@y:80"), Some("a?b:1")] {
        assert_eq!(operators(none).0, "http://e1:7000", "{none:?}");
    }
}

#[test]
fn what_a_dead_node_said_last_is_true_no_more() {
    let mut facts = facts(TREE);
    with(&mut facts, "e1", |e| (e.viewers, e.max_viewers, e.flow) = (12, 300, flow(9, 0)));
    assert_eq!(make(&facts).viewers, 12);
    unheard(&mut facts, 7);
    let overview = make(&facts);
    assert_eq!(
        (overview.viewers, of(&overview, "e1").viewers),
        (0, 12),
        "they are elsewhere, as far as is known"
    );
    facts.nodes.get_mut("e1").unwrap().registration = None;
    let overview = make(&facts);
    let node = of(&overview, "e1");
    assert_eq!((overview.viewers, node.viewers, node.flow), (0, 0, None));
    assert_eq!(edge(&overview, "r1", "e1").packets_per_second, None);
}

#[test]
fn a_drain_that_cannot_go_on_is_a_problem() {
    let mut facts = facts(TREE);
    with(&mut facts, "r2", |r2| r2.draining = true);
    assert!(make(&facts).healthy);
    with(&mut facts, "r2", |r2| r2.drain_problem = Some("nobody takes the children".to_owned()));
    assert_eq!(make(&facts).problems, ["r2: it drains, and is not empty: nobody takes the children"]);
}

#[test]
fn a_tree_that_takes_no_viewers_is_not_healthy() {
    let mut facts = facts(TREE);
    for id in ["e1", "e2"] {
        with(&mut facts, id, |entry| entry.draining = true);
    }
    let nobody =
        |facts: &Facts| make(facts).problems.iter().any(|why| why.starts_with("no egress takes viewers"));
    // The directory sends nobody to one that says nothing of its places.
    for (viewers, max_viewers, wanted) in [(0, 0, true), (8, 9, false), (9, 9, true), (9, 7, true)] {
        with(&mut facts, "e3", |e3| (e3.viewers, e3.max_viewers) = (viewers, max_viewers));
        assert_eq!(nobody(&facts), wanted, "{viewers} of {max_viewers}: {:?}", make(&facts).problems);
    }
    for id in ["e1", "e2"] {
        with(&mut facts, id, |e| (e.draining, e.viewers, e.max_viewers) = (false, 9, 9));
    }
    assert!(make(&facts).healthy, "full is no fault");
}

#[test]
fn keys_that_redis_has_lost_are_missed_while_nodes_go_on() {
    let mut facts = facts(TREE);
    for node in facts.nodes.values_mut() {
        (node.parent, node.children) = (None, BTreeSet::new());
    }
    let problems = make(&facts).problems;
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(problems[0].contains("SET parent:e1 r1, SADD children:r1 e1"), "{problems:?}");
    // They have let go.
    for id in ["r1", "r2", "e1", "e2", "e3"] {
        facts.nodes.get_mut(id).unwrap().entry.as_mut().unwrap().parent = None;
    }
    assert!(make(&facts).healthy);
}

#[test]
fn what_is_left_of_a_node_that_nobody_wants_is_no_problem() {
    let mut facts = facts(&format!("{TREE}\negress old"));
    facts.nodes.get_mut("old").unwrap().registration = None;
    let overview = make(&facts);
    assert_eq!((of(&overview, "old").state, overview.healthy), (State::Gone, true));
    assert!(overview.notes.iter().any(|note| note.starts_with("old: ")), "{overview:?}");
}

#[test]
fn an_edge_carries_what_its_child_gets_and_loses_what_its_parent_had() {
    let mut facts = facts(TREE);
    for (id, flows) in
        [("i", flow(1000, 0)), ("r1", flow(990, 10)), ("e1", flow(990, 10)), ("e2", flow(890, 110))]
    {
        with(&mut facts, id, |entry| entry.flow = flows);
    }
    let overview = make(&facts);
    let of = |from, to| edge(&overview, from, to);
    assert_eq!((of("i", "r1").packets_per_second, of("i", "r1").loss), (Some(99.0), Some(0.01)));
    assert_eq!(of("r1", "e1").loss, Some(0.0), "it was lost further up");
    assert_eq!(of("r1", "e2").loss, Some(0.1));
    assert_eq!(of("r1", "e1").bits_per_second, Some(792_000.0));
    assert_eq!(of("r1", "r2").packets_per_second, None, "it does not count");
    assert!(overview.healthy, "{:?}", overview.problems);
}

#[test]
fn an_edge_says_what_was_lost_on_it_before_and_after_repair() {
    let mut facts = facts(TREE);
    let repaired =
        |packets: u64, lost: u64, repaired: u64| Some(Flow { repaired, ..flow(packets, lost).unwrap() });
    for (id, flows) in
        [("r1", repaired(1000, 0, 20)), ("e1", repaired(1000, 0, 20)), ("e2", repaired(990, 10, 60))]
    {
        with(&mut facts, id, |entry| entry.flow = flows);
    }
    let overview = make(&facts);
    let of = |from, to| {
        let edge = edge(&overview, from, to);
        (edge.loss_before_repair, edge.loss)
    };
    assert_eq!(of("i", "r1"), (Some(0.02), Some(0.0)));
    assert_eq!(of("r1", "e1"), (Some(0.0), Some(0.0)), "that was further up");
    assert_eq!(of("r1", "e2"), (Some(0.05), Some(0.01)));
}

#[test]
fn what_was_never_sent_by_an_edge_is_not_lost_on_it() {
    let flows = |lost: Flow| {
        let mut facts = facts(TREE);
        with(&mut facts, "r1", |entry| entry.flow = flow(1000, 0));
        with(&mut facts, "e1", |entry| entry.flow = Some(lost));
        facts
    };
    let missing = flow(700, 300).unwrap();
    let loss = |facts: &Facts| edge(&make(facts), "r1", "e1").loss;
    assert_eq!(loss(&flows(missing)), Some(0.3));
    // It was taken out and put in again, or has moved: what it missed before is in its ten seconds.
    let mut new = flows(missing);
    with(&mut new, "r1", |entry| entry.new_children = vec!["e1".to_owned()]);
    assert_eq!(loss(&new), None);
    assert!(edge(&make(&new), "r1", "e1").packets_per_second.is_some());
    with(&mut new, "e1", |entry| entry.flow = flow(0, 0));
    assert_eq!(edge(&make(&new), "r1", "e1").state, EdgeState::Ok, "it has had no time");
    // The parent has started anew, and the child has not.
    let mut restarted = flows(missing);
    let short = Flow { ms: 2_000, ..flow(200, 0).unwrap() };
    with(&mut restarted, "r1", |entry| entry.flow = Some(short));
    assert_eq!(loss(&restarted), None);
    // A publisher has begun anew, with other numbers: all that was sent has come.
    assert_eq!(loss(&flows(flow(1000, 7333).unwrap())), None);
}

#[test]
fn an_edge_by_which_nothing_comes_is_a_problem() {
    let mut facts = facts(TREE);
    with(&mut facts, "r1", |entry| entry.flow = flow(1000, 0));
    with(&mut facts, "e1", |entry| entry.flow = flow(0, 0));
    with(&mut facts, "e2", |entry| {
        entry.flow = Some(Flow { ms: 2000, packets: 0, bytes: 0, lost: 0, repaired: 0 })
    });
    let overview = make(&facts);
    assert_eq!(edge(&overview, "r1", "e1").state, EdgeState::Silent);
    assert_eq!(edge(&overview, "r1", "e2").state, EdgeState::Ok, "it has been there for two seconds");
    assert_eq!(overview.problems.len(), 1, "{:?}", overview.problems);
    assert!(
        overview.problems[0].starts_with("r1 to e1: r1 gets 100 packets a second"),
        "{:?}",
        overview.problems
    );
    // An injection may send elsewhere.
    with(&mut facts, "i", |entry| entry.flow = flow(1000, 0));
    with(&mut facts, "r1", |entry| entry.flow = flow(0, 0));
    assert!(make(&facts).healthy);
}

#[test]
fn keys_that_do_not_agree_are_said_with_what_mends_them() {
    let mut facts = facts(TREE);
    facts.nodes.get_mut("e1").unwrap().parent = Some("r2".to_owned());
    facts.nodes.get_mut("e3").unwrap().parent = None;
    let overview = make(&facts);
    let whys: Vec<&str> = overview.problems.iter().map(String::as_str).collect();
    assert_eq!(whys.len(), 2, "{whys:?}");
    assert!(whys[0].starts_with("r1 to e1: parent:e1 names r2") && whys[0].contains("SREM children:r1 e1"));
    assert!(
        whys[1].starts_with("r2 to e1: children:r2 does not have it")
            && whys[1].contains("SADD children:r2 e1")
    );
    assert_eq!(of(&overview, "e1").parent.as_deref(), Some("r2"), "it takes media from nobody else");
    assert_eq!(of(&overview, "e3").parent.as_deref(), Some("r2"), "children: alone is how many begin");
    assert_eq!(edge(&overview, "r2", "e3").state, EdgeState::Ok);
}

#[test]
fn a_loop_is_said_once_and_drawn_all_the_same() {
    let mut facts = facts("injection i\nrelay a < c\nrelay b < a\nrelay c < b\negress e < b");
    let overview = make(&facts);
    assert_eq!(overview.nodes.len(), 5);
    assert_eq!(overview.problems, ["media would go round in a loop: a > b > c > a"]);
    // Its own child.
    facts.nodes.get_mut("i").unwrap().children.insert("i".to_owned());
    assert!(make(&facts).problems.contains(&"media would go round in a loop: i > i".to_owned()));
}

#[test]
fn a_tree_without_an_injection_is_none_to_publish_to() {
    assert!(make(&facts("relay r")).problems.iter().any(|why| why.starts_with("no injection")));
    let mut dead = facts(TREE);
    dead.nodes.get_mut("i").unwrap().registration = None;
    let problems = make(&dead).problems;
    assert!(problems.iter().any(|why| why.starts_with("no injection")), "{problems:?}");
    assert!(problems.iter().any(|why| why.starts_with("i: its registration has expired")), "{problems:?}");
}

#[test]
fn sessions_say_who_carries_them_and_whether_their_injection_lives() {
    let mut facts = facts(TREE);
    let carriers = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>());
    let session = |id: &str, injection: &str, carriers| SessionFacts {
        id: id.to_owned(),
        injection: Some(injection.to_owned()),
        carriers,
        is_live: Some(true),
        ..SessionFacts::default()
    };
    facts.nodes.get_mut("e3").unwrap().registration = None;
    facts.sessions = vec![session("a", "i", carriers(&["e1", "e3"])), session("b", "i9", None)];
    let overview = make(&facts);
    assert_eq!((overview.sessions[0].egresses, overview.sessions[0].orphan), (Some(1), false), "e3 is dead");
    assert_eq!((overview.sessions[1].egresses, overview.sessions[1].orphan), (None, true));
    assert!(
        overview.notes.contains(&"session b: its injection i9 is gone".to_owned()),
        "{:?}",
        overview.notes
    );
}

#[test]
fn a_tree_that_is_broken_as_a_whole_has_not_a_thousand_sentences() {
    let lines: String = (0..1000).map(|n| format!("egress e{n} < r\n")).collect();
    let mut facts = facts(&format!("injection i\nrelay r < i\n{lines}"));
    facts.nodes.values_mut().for_each(|node| node.registration = None);
    let overview = make(&facts);
    assert_eq!(overview.problems.len(), MOST_SENTENCES + 1);
    assert!(overview.problems.last().unwrap().starts_with("and "), "{:?}", overview.problems.last());
}

/// Whatever somebody writes into Redis: all nodes are there once, the parents of all rows are above them or nobody's, and it ends.
#[test]
fn any_graph_can_be_drawn() {
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..1000 {
        let count = 1 + random(12);
        let name = |n: u64| format!("n{n}");
        let mut facts = Facts { tree_id: "tree-1".to_owned(), ..Facts::default() };
        for n in 0..count {
            let kind = [NodeType::Injection, NodeType::Relay, NodeType::Egress][random(3) as usize];
            let node = NodeFacts {
                entry: (random(4) > 0).then(|| entry(kind, &name(n), None)),
                registration: (random(4) > 0).then(|| registration(kind)),
                children: (0..random(4)).map(|_| name(random(count))).collect(),
                parent: (random(2) > 0).then(|| name(random(count + 2))),
                standby: (0..random(3)).map(|_| name(random(count + 2))).collect(),
                mountpoints: 0,
            };
            facts.nodes.insert(name(n), node);
        }
        let overview = make(&facts);
        let ids: BTreeSet<&String> = overview.nodes.iter().map(|node| &node.id).collect();
        assert_eq!(ids.len(), overview.nodes.len());
        assert_eq!(overview.nodes.len(), facts.nodes.len());
        assert_eq!(overview.healthy, overview.problems.is_empty());
        for (at, node) in overview.nodes.iter().enumerate().filter(|(_, node)| node.depth > 0) {
            let above = overview.nodes[..at].iter().find(|above| Some(&above.id) == node.parent.as_ref());
            assert_eq!(above.map(|above| above.depth + 1), Some(node.depth), "{overview:#?}");
        }
    }
}

#[test]
fn numbers_that_nothing_can_count_to_are_shown_all_the_same() {
    let mut facts = facts(TREE);
    for id in ["i", "r1", "e1"] {
        with(&mut facts, id, |entry| {
            entry.flow =
                Some(Flow { ms: 0, packets: u64::MAX, bytes: u64::MAX, lost: u64::MAX, repaired: u64::MAX });
            (entry.viewers, entry.max_viewers) = (u32::MAX, u32::MAX);
        });
    }
    let overview = make(&facts);
    assert_eq!(overview.viewers, 3 * u64::from(u32::MAX));
    assert!(overview.edges.iter().all(|edge| edge.loss.is_none_or(|loss| (0.0..=1.0).contains(&loss))));
    assert!(serde_json::to_string(&overview).is_ok_and(|text| !text.contains("null")));
}

/// The sample tree in which r2 stands by for e1, as both keys say.
fn standing_by() -> Facts {
    let mut facts = facts(TREE);
    facts.nodes.get_mut("e1").unwrap().standby.insert("r2".to_owned());
    facts.nodes.get_mut("r2").unwrap().children.insert("e1".to_owned());
    facts
}

#[test]
fn a_standby_parent_is_an_edge_and_no_second_place_in_the_tree() {
    let overview = make(&standing_by());
    assert!(overview.healthy && overview.notes.is_empty(), "{overview:?}");
    let rows: Vec<String> = overview.nodes.iter().map(|node| format!("{}{}", node.depth, node.id)).collect();
    assert_eq!(rows, ["0i", "1r1", "2e1", "2e2", "2r2", "3e3"]);
    let e1 = of(&overview, "e1");
    assert_eq!((e1.parent.as_deref(), e1.standby.join(" ")), (Some("r1"), "r2".to_owned()));
    assert!(edge(&overview, "r2", "e1").standby && !edge(&overview, "r1", "e1").standby);
    assert_eq!(overview.edges.len(), 6);
}

#[test]
fn what_comes_by_either_way_is_no_loss_of_the_other() {
    let mut facts = standing_by();
    for (id, packets, lost) in [("r1", 1000, 0), ("r2", 1000, 0), ("e1", 1000, 0)] {
        with(&mut facts, id, |said| said.flow = flow(packets, lost));
    }
    let overview = make(&facts);
    assert_eq!(edge(&overview, "r1", "e1").loss, Some(0.0));
    let standby = edge(&overview, "r2", "e1");
    assert_eq!((standby.state, standby.loss, standby.packets_per_second), (EdgeState::Ok, None, None));
    // By one of the ways nothing comes.
    with(&mut facts, "e1", |said| said.unheard = vec!["r2".to_owned()]);
    let overview = make(&facts);
    assert_eq!(
        ["r1", "r2"].map(|from| edge(&overview, from, "e1").state),
        [EdgeState::Ok, EdgeState::Silent]
    );
    // Nothing comes at all, from neither.
    with(&mut facts, "e1", |said| said.flow = flow(0, 0));
    let overview = make(&facts);
    assert_eq!(edge(&overview, "r2", "e1").state, EdgeState::Silent);
}

#[test]
fn keys_that_do_not_agree_on_who_stands_by_are_said() {
    let mut facts = standing_by();
    facts.nodes.get_mut("r2").unwrap().children.remove("e1");
    let overview = make(&facts);
    let why = edge(&overview, "r2", "e1").why.clone().unwrap_or_default();
    assert!(why.contains("SADD children:r2 e1"), "{why}");
    // Sent to, and neither its parent nor standing by.
    let mut facts = standing_by();
    facts.nodes.get_mut("e1").unwrap().standby.clear();
    let why = edge(&make(&facts), "r2", "e1").why.clone().unwrap_or_default();
    assert!(why.contains("names r1"), "{why}");
}

#[test]
fn a_loop_by_way_of_a_standby_parent_is_said_once() {
    let mut facts = facts(TREE);
    facts.nodes.get_mut("r1").unwrap().standby.insert("r2".to_owned());
    facts.nodes.get_mut("r2").unwrap().children.insert("r1".to_owned());
    let overview = make(&facts);
    let loops: Vec<&String> = overview.problems.iter().filter(|why| why.contains("loop")).collect();
    assert_eq!(loops, ["media would go round in a loop: r1 > r2 > r1"]);
    assert!(!make(&standing_by()).problems.iter().any(|why| why.contains("loop")), "two ways are no loop");
}
