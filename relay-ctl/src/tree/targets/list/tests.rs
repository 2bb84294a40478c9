use node::overview::facts::RegistrationFacts;

use super::*;

const PORTS: Ports = Ports { exporter: 9100 };

fn registered(node_type: NodeType, host: &str, port: u16) -> NodeFacts {
    let registration = RegistrationFacts {
        node_type: Some(node_type),
        tree_id: Some("tree-1".to_owned()),
        status: "active".to_owned(),
        host: Some(host.to_owned()),
        port: Some(port),
        admin: None,
        unheard: None,
    };
    NodeFacts { registration: Some(registration), ..NodeFacts::default() }
}

fn facts(nodes: &[(&str, NodeFacts)]) -> Facts {
    let nodes = nodes.iter().map(|(id, node)| ((*id).to_owned(), node.clone())).collect();
    Facts { tree_id: "tree-1".to_owned(), nodes, ..Facts::default() }
}

fn two() -> Facts {
    facts(&[
        ("relay-1", registered(NodeType::Relay, "10.0.0.5", 7071)),
        ("egress-1", registered(NodeType::Egress, "fd00::7", 7073)),
    ])
}

fn names(list: &List) -> Vec<&str> {
    list.nodes.keys().map(String::as_str).collect()
}

#[test]
fn a_node_is_asked_itself_and_its_machine() {
    let list = List::default().then(&two(), Instant::now());
    let json: serde_json::Value = serde_json::from_str(&list.text(PORTS)).unwrap();
    let labels = |job: &str, id: &str, kind: &str| serde_json::json!({"job": job, "tree_id": "tree-1", "node_id": id, "node_type": kind});
    let wanted = serde_json::json!([
        {"targets": ["[fd00::7]:7073"], "labels": labels("media-tree-egress", "egress-1", "egress")},
        {"targets": ["[fd00::7]:9100"], "labels": labels("node-exporter", "egress-1", "egress")},
        {"targets": ["10.0.0.5:7071"], "labels": labels("media-tree-relay", "relay-1", "relay")},
        {"targets": ["10.0.0.5:9100"], "labels": labels("node-exporter", "relay-1", "relay")},
    ]);
    assert_eq!(json, wanted);
    let alone = list.text(Ports { exporter: 0 });
    assert!(!alone.contains("node-exporter") && alone.contains("7071"), "{alone}");
    assert_eq!(List::read(&list.text(PORTS)), list, "what it writes it can read");
    assert_eq!(List::read(&list.text(PORTS)).of("tree-2"), List::default());
}

#[test]
fn a_node_that_was_killed_is_asked_until_it_is_taken_out() {
    let began = Instant::now();
    let mut facts = two();
    let list = List::default().then(&facts, began);
    // Its registration has expired, and the directory still has it; then it is swept.
    facts.nodes.get_mut("egress-1").unwrap().registration = None;
    let list = list.then(&facts, began + Duration::from_secs(600));
    assert_eq!(names(&list), ["egress-1", "relay-1"]);
    let gone = facts.nodes.remove("egress-1");
    let later = began + Duration::from_secs(610);
    let list = list.then(&facts, later);
    assert_eq!(names(&list), ["egress-1", "relay-1"], "others may be about to write themselves again");
    assert_eq!(names(&list.clone().then(&facts, later + LINGERS)), ["relay-1"]);
    // Whoever is back is as good as new.
    facts.nodes.insert("egress-1".to_owned(), gone.unwrap());
    let list = list.then(&facts, later + Duration::from_secs(20));
    facts.nodes.remove("egress-1");
    let list = list.then(&facts, later + LINGERS);
    assert_eq!(names(&list), ["egress-1", "relay-1"]);
}

#[test]
fn a_redis_that_has_lost_its_data_takes_nobody_out() {
    let now = Instant::now();
    let list = List::default().then(&two(), now);
    let mut empty = facts(&[]);
    let mut later = now;
    let mut kept = list.clone();
    for _ in 0..100 {
        later += LINGERS;
        kept = kept.then(&empty, later);
    }
    assert_eq!(names(&kept), names(&list));
    // One of them is there already.
    empty.nodes.insert("relay-1".to_owned(), registered(NodeType::Relay, "10.0.0.6", 7071));
    let kept = kept.then(&empty, later + LINGERS);
    assert_eq!(names(&kept), names(&list));
    assert!(kept.text(PORTS).contains("10.0.0.6:7071"), "and has moved");
}

#[test]
fn nothing_but_a_node_of_this_tree_is_asked() {
    let mut other = registered(NodeType::Egress, "10.0.0.8", 7073);
    other.registration.as_mut().unwrap().tree_id = Some("tree-2".to_owned());
    let mut by_hand = registered(NodeType::Egress, "10.0.0.9", 7073);
    by_hand.registration.as_mut().unwrap().port = None;
    let strange: Vec<(&str, NodeFacts)> =
        ["a/b", "a@b", "a?b#", "", " ", "a b", "http://a", "a:1", "\n", "é", &"a".repeat(300)]
            .iter()
            .map(|host| ("egress-5", registered(NodeType::Egress, host, 7073)))
            .collect();
    for one in strange.into_iter().chain([("egress-2", other), ("egress-3", by_hand)]) {
        let host = one.1.registration.as_ref().unwrap().host.clone();
        let list = List::default().then(&facts(&[one]), Instant::now());
        assert!(list.is_empty(), "{host:?}: {}", list.text(PORTS));
    }
}

#[test]
fn a_machine_s_own_network_is_not_asked() {
    let then = |host: &str| {
        List::default().then(&facts(&[("r", registered(NodeType::Relay, host, 80))]), Instant::now())
    };
    for host in [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "FEBF::1",
        "::ffff:169.254.169.254",
        // As some resolvers read numbers.
        "2852039166",
        "0xA9FEA9FE",
        "169.254.43518",
        "0251.0376.0251.0376",
        "169.254.169.254.",
        // Of clouds that have it elsewhere.
        "100.100.100.200",
        "fd00:ec2::254",
    ] {
        let list = then(host);
        assert!(list.is_empty(), "{host}: {}", list.text(PORTS));
    }
    for host in ["169.253.0.1", "10.0.0.5", "fec0::1", "::1", "relay-1", "relay-1.example.com.", "r.0xyz"] {
        assert_eq!(then(host).len(), 1, "{host}");
    }
}

#[test]
fn who_is_missing_is_said() {
    let remark = |facts: &Facts| List::default().then(facts, Instant::now()).remark();
    assert_eq!(remark(&two()), None);
    assert!(remark(&facts(&[])).is_some_and(|why| why.contains("tree-1") && why.contains("--tree-id")));
    let many = Facts { nodes_left_out: 7, ..two() };
    assert!(remark(&many).is_some_and(|why| why.contains("7 nodes")));
    let mut strange = two();
    strange.nodes.insert("relay-9".to_owned(), registered(NodeType::Relay, "169.254.169.254", 80));
    assert!(remark(&strange).is_some_and(|why| why.contains("relay-9")));
}

#[test]
fn what_is_no_list_is_passed_over() {
    for text in [
        "",
        "{",
        "[]",
        r#"[{"targets":[],"labels":{}}]"#,
        r#"[{"targets":["a/b:1"],"labels":{"job":"media-tree-relay","node_id":"r","tree_id":"tree-1"}}]"#,
    ] {
        assert!(List::read(text).is_empty(), "{text}");
    }
}

fn with_admin(host: &str, admin: &str) -> Facts {
    let mut node = registered(NodeType::Egress, host, 7073);
    node.registration.as_mut().unwrap().admin = Some(admin.to_owned());
    facts(&[("egress-1", node)])
}

#[test]
fn a_node_with_a_listener_for_operators_is_asked_there() {
    let list = List::default().then(&with_admin("10.0.0.7", "[fd00::7]:7083"), Instant::now());
    let text = list.text(PORTS);
    assert!(text.contains("[fd00::7]:7083") && text.contains("10.0.0.7:9100"), "{text}");
    assert!(!text.contains("7073"), "there are no metrics: {text}");
    assert_eq!((List::read(&text), list.remark()), (list, None));
    // All of it on one machine.
    let text = List::default().then(&with_admin("127.0.0.1", "127.0.0.1:7083"), Instant::now()).text(PORTS);
    assert!(text.contains("127.0.0.1:7083"), "{text}");
}

#[test]
fn a_listener_that_nobody_reaches_is_said_and_not_asked() {
    for listener in ["127.0.0.1:7083", "[::1]:7083", "localhost:7083"] {
        let list = List::default().then(&with_admin("10.0.0.7", listener), Instant::now());
        let text = list.text(PORTS);
        assert!(!text.contains(":7083") && text.contains("10.0.0.7:9100"), "{text}");
        assert_eq!(List::read(&text).text(PORTS), text);
        let why = list.remark().unwrap();
        assert!(why.contains("egress-1") && why.contains(listener) && why.contains("--admin"), "{why}");
    }
    for listener in ["169.254.169.254:80", "a/b:80", "10.0.0.7", "10.0.0.7:0"] {
        let list = List::default().then(&with_admin("10.0.0.7", listener), Instant::now());
        assert!(list.is_empty(), "{listener}: {}", list.text(PORTS));
        assert!(list.remark().is_some_and(|why| why.contains("egress-1")), "{listener}");
    }
}

#[test]
fn a_name_that_is_nowhere_takes_its_node_out() {
    let list = List::default().then(&with_admin("egress.example.com", "10.0.0.7:7083"), Instant::now());
    assert_eq!(list.names(), ["egress.example.com".to_owned()].into());
    let kept = list.clone().without(&BTreeSet::new());
    assert_eq!(kept, list);
    let list = list.clone().without(&list.names());
    assert!(list.is_empty() && list.remark().is_some_and(|why| why.contains("egress-1")));
}
