//! Viewers need the address of any node, whatever it is, and come to the same egress by each; a break of their network of some seconds
//! changes nothing of that.

use std::time::Duration;

use lab::relay::Mode;
use lab::studio::{EGRESS_API, INJECTION_API, VIEWERS};
use lab::{Lab, Studio};

use super::{PATIENCE, are_unharmed, asked, broadcast, door, until, view, watch, watching};

/// So long a viewer's network is away.
const BREAK: Duration = Duration::from_secs(2);

#[test]
fn any_node_is_the_door() {
    let lab = Lab::new("t-door-").unwrap();
    let studio = Studio::open(&lab, Mode::Tc, 2, 2).unwrap();
    let publisher = broadcast(&studio);

    // By the injection and by each egress; the relay's HTTP is on its own machine only.
    let doors = [studio.injection_address(), studio.egress_address(0), studio.egress_address(1)];
    let viewers = view(&studio, &doors.map(|node| door(node.unwrap())), &[]);
    watch(&studio, &viewers, 6);
    are_unharmed(&viewers);
    let counts = studio.egresses.iter().map(|egress| watching(&egress.node)).collect::<Vec<_>>();
    println!("six viewers by three doors: {counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), 6);

    // The same viewer comes to the same egress, by whichever node, ten times; viewers spread.
    let nodes = [
        ("injection-1", INJECTION_API),
        ("relay-1", 7071),
        ("egress-1", EGRESS_API),
        ("egress-2", EGRESS_API),
    ];
    let place = |ns: &str, port: u16, viewer: &str| {
        let (status, told) = asked(&lab, ns, port, &format!("show?viewer={viewer}"));
        assert_eq!(status, 200, "{told}");
        told["node"].as_str().unwrap().to_owned()
    };
    let mut chosen = std::collections::BTreeSet::new();
    for viewer in ["anna", "ben", "cleo", "dora", "emil", "finn"] {
        let first = place(nodes[0].0, nodes[0].1, viewer);
        for (ns, port) in nodes.into_iter().cycle().take(10) {
            assert_eq!(place(ns, port, viewer), first, "{viewer} at {ns}");
        }
        chosen.insert(first);
    }
    assert_eq!(chosen.len(), 2, "{chosen:?}");
    assert_eq!(asked(&lab, "relay-1", 7071, "nothing").0, 404);

    // Their network breaks for a moment: they go on where they were.
    lab.set_link(VIEWERS, "eth0", false).unwrap();
    let before = viewers.report();
    std::thread::sleep(BREAK);
    lab.set_link(VIEWERS, "eth0", true).unwrap();
    let after = viewers.wait_until(PATIENCE, |views| {
        let pairs = views.viewers.iter().zip(&before.viewers);
        pairs.clone().all(|(seen, before)| seen.frames > before.frames + 60 && seen.silent_ms < 300)
    });
    let after = after.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    assert!(after.viewers.iter().all(|seen| seen.joins == 1 && seen.error.is_none()), "{after:?}");
    let again = studio.egresses.iter().map(|egress| watching(&egress.node)).collect::<Vec<_>>();
    assert_eq!(again, counts, "they are where they were");
    viewers.stop().unwrap();
    until("all have left", &studio, || studio.egresses.iter().all(|egress| watching(&egress.node) == 0));
    publisher.stop().unwrap();
}
