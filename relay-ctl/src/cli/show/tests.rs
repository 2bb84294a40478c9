use node::tree::RedisView;

use super::*;
use crate::cli::maps::Entry;
use crate::view::samples;

#[test]
fn the_tree_and_redis_are_shown() {
    let mut view = samples::status(5);
    view.topology.parent = Some("injection-1".to_owned());
    view.topology.stale = vec!["egress-2".to_owned()];
    view.topology.refused.insert("relay-1".to_owned(), "it is this node itself".to_owned());
    view.warnings = vec!["no keyspace notifications: the server does not allow CONFIG".to_owned()];
    view.redis = Some(RedisView {
        server: "redis://10.0.0.2:6379".to_owned(),
        connected: true,
        registered: true,
        looks: 12,
        ..RedisView::default()
    });
    let text = status(&view);
    let wanted = [
        "relay-1 in tree-1 on eth0: healthy",
        "parent      injection-1",
        "stale       1 egress-2",
        "refused     relay-1: it is this node itself",
        "redis       redis://10.0.0.2:6379 connected, registered, no notifications, polled",
        "12 reads, 0 events, 0 reconnects",
        "warning     no keyspace notifications: the server does not allow CONFIG",
    ];
    for line in wanted {
        assert!(text.contains(line), "'{line}' is not in\n{text}");
    }
}

#[test]
fn standby_parents_are_shown() {
    let mut view = samples::status(5);
    view.topology.parent = Some("relay-1".to_owned());
    assert!(!status(&view).contains("standby"), "{}", status(&view));
    view.topology.standby = vec!["relay-2".to_owned(), "relay-3".to_owned()];
    assert!(status(&view).contains("parent      relay-1\nstandby     relay-2 relay-3"), "{}", status(&view));
}

#[test]
fn what_was_repaired_is_one_line_and_none_where_nothing_was_lost() {
    let mut view = samples::status(5);
    view.repair = Some(Repair::default());
    assert!(!status(&view).contains("repair"), "{}", status(&view));
    let refused = [("old".to_owned(), 2), ("unknown".to_owned(), 3)].into();
    view.repair = Some(Repair {
        missing: 9,
        late: 1,
        repaired: 6,
        given_up: 2,
        answered: 4,
        refused,
        ..Repair::default()
    });
    let wanted = "repair      9 missing: 6 repaired, 1 late, 2 given up; sent again to children 4, refused 5";
    assert!(status(&view).contains(wanted), "{}", status(&view));
}

#[test]
fn programs_are_shown_where_there_are_some() {
    let mut view = samples::status(5);
    view.dataplane.programs = vec!["relay_xdp".to_owned()];
    assert!(status(&view).contains("programs    relay_xdp"), "{}", status(&view));
    view.dataplane.programs.clear();
    assert!(!status(&view).contains("programs"), "{}", status(&view));
}

#[test]
fn what_went_to_the_stack_is_not_among_the_drops() {
    let mut view = samples::status(5);
    view.dataplane.drops.insert("no-children".to_owned(), 3);
    view.dataplane.passed_to_stack.insert("not-ip".to_owned(), 7);
    view.dataplane.passed_to_stack.insert("not-udp".to_owned(), 1237);
    let text = status(&view);
    assert!(text.contains("drops       no-children 3"), "{text}");
    assert!(
        text.contains("not media   not-ip 7, not-udp 1237 (passed to the host's network stack)"),
        "{text}"
    );
}

#[test]
fn maps_are_shown_as_tables_with_the_key_first() {
    let entry = |slot: u32, ports: [u16; 2]| {
        Entry(vec![("slot", slot.into()), ("ports", ports.to_vec().into()), ("rtcp", true.into())])
    };
    let entries = vec![entry(3, [5002, 5004]), entry(769, [6002, 6004])];
    let text = maps(&[
        Contents { map: "CHILDREN", holds: "what a copy is made from", entries },
        Contents { map: "ROUTES", holds: "streams with a set of their own", entries: Vec::new() },
    ]);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let wanted = [
        "CHILDREN: what a copy is made from",
        "slot  ports      rtcp",
        "3     5002/5004  yes",
        "769   6002/6004  yes",
        "",
        "ROUTES: streams with a set of their own",
        "  (nothing)",
    ];
    assert_eq!(lines, wanted, "{text}");
}

#[test]
fn a_child_says_when_it_is_stale_or_held() {
    let stale = Child { stale: true, ..samples::child("egress-1", 1) };
    let held = Child { held: true, ..samples::child("egress-2", 1) };
    let text = children(&Children { children: vec![stale, held] });
    assert!(text.contains("forwarding (stale)") && text.contains("forwarding (held)"), "{text}");
}

#[test]
fn a_stream_has_its_session_and_that_cannot_steer_the_terminal() {
    let mut stream = samples::stream(1111, 5);
    stream.session = Some("morning\u{1b}[2Jshow".to_owned());
    let text = streams(&Streams { streams: vec![stream] });
    assert!(text.contains("session") && text.contains("morning\u{fffd}[2Jshow"), "{text}");
}

#[test]
fn a_child_that_some_copies_were_too_big_for_says_so() {
    let child = crate::view::Child {
        interface: Some("eth1".to_owned()),
        errors: 3,
        too_big: 3,
        ..crate::view::samples::child("egress-1", 5)
    };
    let text = super::children(&crate::view::Children { children: vec![child] });
    assert!(text.contains("egress-1: 3 copies were larger than the MTU of the route to it (eth1)"), "{text}");
    let fine = crate::view::Children { children: vec![crate::view::samples::child("egress-1", 5)] };
    assert!(!super::children(&fine).contains("MTU"));
}

#[test]
fn the_numbers_of_a_child_come_before_a_reason_that_may_be_long() {
    let reason =
        "no route to 10.9.9.9; add one with `ip route add 10.9.9.9 via <gateway>`, or bring the interface up";
    let child = crate::view::Child {
        state: crate::view::ChildState::Unreachable,
        problem: Some(reason.to_owned()),
        errors: 12_345,
        ..crate::view::samples::child("egress-1", 5)
    };
    let text = super::children(&crate::view::Children { children: vec![child] });
    let line = text.lines().nth(1).unwrap();
    assert!(line.find("12345").unwrap() < 100, "{text}");
    assert!(line.trim_end().ends_with(reason), "{text}");
}
