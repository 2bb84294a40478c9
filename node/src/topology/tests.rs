use super::*;

const GRACE: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn place(host: &str) -> Place {
    Place { host: host.to_owned(), ports: [5002, 5004] }
}

fn children(list: &[(&str, Option<&str>)]) -> BTreeMap<String, Registered> {
    list.iter().map(|(id, host)| ((*id).to_owned(), Ok(host.map(place)))).collect()
}

fn there(list: &[(&str, Option<&str>)]) -> Snapshot {
    let parent = Some("injection-1".to_owned());
    Snapshot { parent, children: children(list), registered: true, ..Snapshot::default() }
}

/// After FLUSHALL.
fn lost(list: &[(&str, Option<&str>)]) -> Snapshot {
    Snapshot { children: children(list), ..Snapshot::default() }
}

/// A node that carries out what it is told.
struct Node {
    follower: Follower,
    have: BTreeMap<String, Place>,
}

impl Node {
    fn new() -> Node {
        Node { follower: Follower::new("relay-1", GRACE), have: BTreeMap::new() }
    }

    fn see(&mut self, snapshot: Snapshot, now: Duration) -> Vec<ChildChange> {
        let changes = self.follower.observe(snapshot, &self.have, now);
        for change in changes.clone() {
            match change {
                ChildChange::Remove { id } => assert!(self.have.remove(&id).is_some(), "{id} is not there"),
                ChildChange::Move { id, place } => assert!(self.have.insert(id, place).is_some()),
                ChildChange::Add { id, place } => assert!(self.have.insert(id, place).is_none()),
            }
        }
        self.follower.registered();
        changes
    }

    fn names(&self) -> Vec<&str> {
        self.have.keys().map(String::as_str).collect()
    }
}

#[test]
fn children_come_and_go_with_the_set() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1")), ("b", Some("10.0.0.2"))]), at(0));
    assert_eq!(node.names(), ["a", "b"]);
    assert_eq!(
        node.see(there(&[("b", Some("10.0.0.2"))]), at(1)),
        [ChildChange::Remove { id: "a".to_owned() }]
    );
    assert!(node.see(there(&[("b", Some("10.0.0.2"))]), at(2)).is_empty());
    assert_eq!(node.follower.view().parent.as_deref(), Some("injection-1"));
}

#[test]
fn a_child_is_taken_when_it_registers() {
    let mut node = Node::new();
    assert!(node.see(there(&[("a", None)]), at(0)).is_empty());
    assert_eq!(node.follower.view().waiting, ["a"]);
    assert_eq!(node.follower.view().children, ["a"]);
    assert_eq!(
        node.see(there(&[("a", Some("10.0.0.1"))]), at(1)),
        [ChildChange::Add { id: "a".to_owned(), place: place("10.0.0.1") }]
    );
    assert!(node.follower.view().waiting.is_empty());
}

#[test]
fn a_child_that_moves_is_moved() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1"))]), at(0));
    assert_eq!(
        node.see(there(&[("a", Some("10.0.0.9"))]), at(1)),
        [ChildChange::Move { id: "a".to_owned(), place: place("10.0.0.9") }]
    );
}

#[test]
fn an_expired_registration_does_not_remove_a_child() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1"))]), at(0));
    assert!(node.see(there(&[("a", None)]), at(70)).is_empty());
    assert_eq!(node.follower.view().stale, ["a"]);
    // Taken out of the set, it goes although its hash is gone.
    assert_eq!(node.see(there(&[]), at(71)), [ChildChange::Remove { id: "a".to_owned() }]);
}

#[test]
fn what_was_lost_is_held_for_the_grace_and_then_obeyed() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1"))]), at(0));
    assert!(node.see(lost(&[]), at(100)).is_empty());
    assert_eq!(node.follower.view().held, ["a"]);
    assert_eq!(node.follower.view().parent.as_deref(), Some("injection-1"));
    assert_eq!(node.follower.due(), Some(at(110)));
    // We have registered again; that does not end the grace.
    let back = |list| Snapshot { parent: None, ..there(list) };
    assert!(node.see(back(&[]), at(109)).is_empty());
    assert_eq!(node.see(back(&[]), at(110)), [ChildChange::Remove { id: "a".to_owned() }]);
    assert_eq!(node.follower.view().parent, None);
    assert_eq!(node.follower.due(), None);
}

#[test]
fn a_topology_that_is_written_again_piece_by_piece_tears_nothing_down() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1")), ("b", Some("10.0.0.2"))]), at(0));
    assert!(node.see(lost(&[("b", Some("10.0.0.2"))]), at(100)).is_empty());
    assert_eq!(node.follower.view().held, ["a"]);
    assert!(node.see(there(&[("a", Some("10.0.0.1")), ("b", Some("10.0.0.2"))]), at(105)).is_empty());
    assert!(node.follower.view().held.is_empty());
    // From here on it is nobody's loss any more.
    assert_eq!(
        node.see(there(&[("b", Some("10.0.0.2"))]), at(106)),
        [ChildChange::Remove { id: "a".to_owned() }]
    );
}

#[test]
fn an_explicit_removal_is_obeyed_even_in_the_grace() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1")), ("b", Some("10.0.0.2"))]), at(0));
    node.see(lost(&[("b", Some("10.0.0.2"))]), at(100));
    assert_eq!(node.see(there(&[]), at(101)), [ChildChange::Remove { id: "b".to_owned() }]);
    assert_eq!(node.names(), ["a"]);
}

#[test]
fn what_a_predecessor_left_is_held_when_nothing_is_known_of_it() {
    let mut node = Node::new();
    node.have.insert("a".to_owned(), place("10.0.0.1"));
    assert!(node.see(lost(&[]), at(0)).is_empty());
    assert_eq!(node.see(there(&[]), at(10)), [ChildChange::Remove { id: "a".to_owned() }]);
    // After a crash the registration is still there: what it says is obeyed at once.
    let mut node = Node::new();
    node.have.insert("a".to_owned(), place("10.0.0.1"));
    assert_eq!(node.see(there(&[]), at(0)), [ChildChange::Remove { id: "a".to_owned() }]);
}

#[test]
fn what_was_taken_out_after_a_graceful_stop_is_obeyed_at_once() {
    let mut node = Node::new();
    node.have.insert("a".to_owned(), place("10.0.0.1"));
    node.have.insert("b".to_owned(), place("10.0.0.2"));
    let stopped = Snapshot { registered: false, ..there(&[("b", Some("10.0.0.2"))]) };
    assert_eq!(node.see(stopped, at(0)), [ChildChange::Remove { id: "a".to_owned() }]);
    assert!(node.follower.view().held.is_empty());
}

#[test]
fn loops_are_refused_by_name() {
    let mut node = Node::new();
    assert!(
        node.see(there(&[("relay-1", Some("10.0.0.1")), ("injection-1", Some("10.0.0.2"))]), at(0))
            .is_empty()
    );
    let refused = &node.follower.view().refused;
    assert!(refused["relay-1"].contains("this node itself"));
    assert!(refused["injection-1"].contains("parent"));
}

#[test]
fn a_registration_that_is_not_whole_changes_nothing_and_is_said() {
    let mut node = Node::new();
    node.see(there(&[("a", Some("10.0.0.1"))]), at(0));
    let mut broken = there(&[]);
    broken.children.insert("a".to_owned(), Err("its registration has no host".to_owned()));
    assert!(node.see(broken, at(1)).is_empty());
    assert!(node.follower.view().refused["a"].contains("no host"));
    assert_eq!(node.names(), ["a"]);
}

/// Of the parent, as it registers.
fn origin(host: &str) -> Origin {
    Origin { place: place(host), addresses: [host.parse().unwrap()].into() }
}

fn fed_by(parent: Option<&str>, origin: Heard) -> Snapshot {
    Snapshot { parent: parent.map(str::to_owned), origin, registered: true, ..Snapshot::default() }
}

#[test]
fn media_comes_from_the_parent_wherever_it_registers() {
    let mut node = Node::new();
    assert_eq!(*node.follower.upstream(), Upstream::default());
    for host in ["10.0.0.1", "10.0.0.2"] {
        node.see(fed_by(Some("a"), Some(Ok(origin(host)))), at(0));
        assert_eq!(node.follower.upstream().origin, Some(origin(host)));
    }
    node.see(fed_by(Some("b"), Some(Ok(origin("10.0.0.3")))), at(1));
    assert_eq!(node.follower.upstream().parent.as_deref(), Some("b"));
    assert_eq!(node.follower.upstream().origin, Some(origin("10.0.0.3")));
}

#[test]
fn what_was_known_of_a_parent_is_kept_until_another_is_named() {
    let mut node = Node::new();
    node.see(fed_by(Some("a"), Some(Ok(origin("10.0.0.1")))), at(0));
    let gone = [
        ("expired", fed_by(Some("a"), None), true),
        ("not whole", fed_by(Some("a"), Some(Err("its registration has no host".to_owned()))), true),
        ("taken out", fed_by(None, None), true),
        ("lost", lost(&[]), true),
        ("another, which never registered", fed_by(Some("b"), None), false),
    ];
    for (what, snapshot, kept) in gone {
        node.see(snapshot, at(100));
        let upstream = node.follower.upstream();
        assert_eq!(upstream.origin.is_some(), kept, "{what}");
        assert!(upstream.problem.is_some() || what == "taken out" || what == "lost", "{what}: {upstream:?}");
    }
    // The one before does not come back by itself.
    node.see(fed_by(Some("a"), None), at(101));
    assert_eq!(node.follower.upstream().origin, None);
}

/// The same with these standby parents.
fn beside(snapshot: Snapshot, standby: &[(&str, Heard)]) -> Snapshot {
    let standby = standby.iter().map(|(id, heard)| ((*id).to_owned(), heard.clone())).collect();
    Snapshot { standby, ..snapshot }
}

#[test]
fn standby_parents_come_and_go_with_the_set_and_what_was_known_of_one_is_kept() {
    let mut node = Node::new();
    let parent = || fed_by(Some("a"), Some(Ok(origin("10.0.0.1"))));
    node.see(beside(parent(), &[("b", Some(Ok(origin("10.0.0.2")))), ("c", None)]), at(0));
    let standby = &node.follower.upstream().standby;
    assert_eq!(standby["b"], Standby { origin: Some(origin("10.0.0.2")), problem: None });
    assert!(standby["c"].origin.is_none() && standby["c"].problem.is_some());
    assert_eq!(node.follower.view().standby, ["b", "c"]);
    // Another parent is no reason to forget who stands by.
    let other = fed_by(Some("d"), Some(Ok(origin("10.0.0.4"))));
    node.see(beside(other, &[("b", None)]), at(1));
    let upstream = node.follower.upstream();
    assert_eq!(upstream.parent.as_deref(), Some("d"));
    assert_eq!(upstream.standby.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(upstream.standby["b"].origin, Some(origin("10.0.0.2")), "media beats bookkeeping");
    assert!(upstream.standby["b"].problem.is_some());
    node.see(parent(), at(2));
    assert!(node.follower.upstream().standby.is_empty() && node.follower.view().standby.is_empty());
}

#[test]
fn standby_parents_that_redis_lost_are_held_for_the_grace() {
    let mut node = Node::new();
    let parent = || fed_by(Some("a"), Some(Ok(origin("10.0.0.1"))));
    node.see(beside(parent(), &[("b", Some(Ok(origin("10.0.0.2"))))]), at(0));
    node.see(lost(&[]), at(1));
    assert_eq!(
        (node.follower.view().standby.clone(), node.follower.due()),
        (vec!["b".to_owned()], Some(at(11)))
    );
    assert_eq!(node.follower.upstream().standby["b"].origin, Some(origin("10.0.0.2")));
    // It is there again, and taken out by somebody.
    node.see(beside(parent(), &[("b", None)]), at(2));
    node.see(parent(), at(3));
    assert!(node.follower.upstream().standby.is_empty());
    // It does not come back.
    node.see(beside(parent(), &[("b", None)]), at(20));
    node.see(lost(&[]), at(21));
    node.see(lost(&[]), at(31));
    assert!(node.follower.upstream().standby.is_empty() && node.follower.view().standby.is_empty());
}

#[test]
fn a_loop_by_way_of_a_standby_parent_is_refused() {
    let mut node = Node::new();
    let looped = beside(there(&[("b", Some("10.0.0.2"))]), &[("b", Some(Ok(origin("10.0.0.2"))))]);
    assert!(node.see(looped, at(0)).is_empty());
    assert!(node.follower.view().refused["b"].contains("standby parent"));
    let all = ["relay-1", "injection-1", "c", "d", "e", "no name"].map(|id| (id, None));
    node.see(beside(there(&[]), &all), at(1));
    let view = node.follower.view();
    assert_eq!(view.standby, ["c", "d", "e"]);
    let refused = &view.standby_refused;
    assert!(refused["relay-1"].contains("this node itself"), "{refused:?}");
    assert!(refused["injection-1"].contains("parent already") && refused["no name"].contains("no name"));
    let many = ["a", "b", "c", "d"].map(|id| (id, None));
    node.see(beside(there(&[]), &many), at(2));
    assert!(node.follower.view().standby_refused["d"].contains("at most 3"));
    assert_eq!(node.follower.upstream().standby.len(), 3);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn snapshots() -> impl Strategy<Value = Vec<(Snapshot, u64)>> {
        let registered = prop_oneof![
            3 => (1u8..4).prop_map(|host| Ok(Some(place(&format!("10.0.0.{host}"))))),
            1 => Just(Ok(None)),
            1 => Just(Err("broken".to_owned())),
        ];
        let children = prop::collection::btree_map("[a-e]", registered, 0..5);
        let snapshot = (prop::option::of("[a-e]"), children, prop::bool::weighted(0.8)).prop_map(
            |(parent, children, registered)| Snapshot { parent, children, registered, ..Snapshot::default() },
        );
        prop::collection::vec((snapshot, 0u64..15), 1..60)
    }

    proptest! {
        /// Whatever happened before, a grace after the last loss the node has what the keys say.
        #[test]
        fn it_ends_up_with_what_the_keys_say(history in snapshots()) {
            let mut node = Node::new();
            let mut now = 0;
            for (snapshot, pause) in &history {
                now += pause;
                node.see(snapshot.clone(), at(now));
                // Nobody who is in the set, has registered and may be a child is missing.
                let parent = node.follower.view().parent.clone();
                for (id, registered) in &snapshot.children {
                    if let Ok(Some(place)) = registered && parent.as_ref() != Some(id) {
                        prop_assert_eq!(node.have.get(id), Some(place));
                    }
                }
            }
            let mut last = history[history.len() - 1].0.clone();
            last.registered = true;
            node.see(last.clone(), at(now));
            node.see(last.clone(), at(now + 10));
            for id in node.have.keys() {
                prop_assert!(last.children.contains_key(id), "{} is not in the set", id);
            }
            prop_assert!(node.follower.view().held.is_empty());
            prop_assert!(node.see(last, at(now + 11)).is_empty(), "a second look finds nothing to do");
        }

        /// While our registration is there, what is not in the set is gone after one look.
        #[test]
        fn removal_is_immediate_when_nothing_was_lost(names in prop::collection::btree_set("[a-e]", 0..5)) {
            let mut node = Node::new();
            let all = ["a", "b", "c", "d", "e"].map(|id| (id, Some("10.0.0.1")));
            node.see(there(&all), at(0));
            let rest: Vec<(&str, Option<&str>)> =
                all.into_iter().filter(|(id, _)| names.contains(*id)).collect();
            node.see(there(&rest), at(1));
            prop_assert_eq!(node.names(), rest.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_child_of_which_nothing_is_known_for_a_day_is_said_and_stays() {
    let mut node = Node::new();
    let day = UNKNOWN_AFTER.as_secs();
    node.see(there(&[("a", Some("10.0.0.1")), ("b", None), ("c", None)]), at(0));
    node.see(there(&[("a", None), ("b", None), ("c", Some("10.0.0.3"))]), at(10));
    node.see(there(&[("a", None), ("b", None), ("c", None)]), at(day - 1));
    assert_eq!(node.follower.view().unknown_children("relay-1"), None);
    node.see(there(&[("a", None), ("b", None), ("c", None)]), at(day));
    assert_eq!(node.follower.view().unknown, ["b"]);
    node.see(there(&[("a", None), ("b", None), ("c", None)]), at(day + 10));
    assert_eq!(node.follower.view().unknown, ["a", "b"]);
    let said = node.follower.view().unknown_children("relay-1").unwrap();
    assert!(said.contains("SREM children:relay-1 a b"), "{said}");
    assert_eq!(node.names(), ["a", "c"], "media beats bookkeeping");
    node.see(there(&[("a", Some("10.0.0.1")), ("b", None)]), at(day + 20));
    assert_eq!(node.follower.view().unknown, ["b"]);
    node.see(there(&[("a", Some("10.0.0.1"))]), at(day + 30));
    node.see(there(&[("a", Some("10.0.0.1")), ("b", None)]), at(day + 40));
    assert_eq!(node.follower.view().unknown, [""; 0], "it was taken out, and begins anew");
}
