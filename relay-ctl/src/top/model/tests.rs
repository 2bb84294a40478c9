use super::super::samples::reading;
use super::*;
use crate::view::samples::{child, status, stream};

const SECOND: Duration = Duration::from_secs(1);

fn after(old: &Reading, elapsed: Duration, now: Reading) -> Picture {
    picture(now, Some((old, elapsed)))
}

#[test]
fn rates_are_over_the_time_that_passed() {
    // elapsed in ms, packets before and now (of 1,000 bytes), packets and megabits a second
    let table = [
        (1_000, 100, 150, Some(50.0), Some(0.4)),
        (500, 100, 150, Some(100.0), Some(0.8)),
        (4_000, 100, 100, Some(0.0), Some(0.0)),
        // Began anew: neither negative nor huge.
        (1_000, 1_000_000, 30, None, None),
        // No time passed.
        (0, 100, 150, None, None),
    ];
    for (elapsed, before, now, packets, megabits) in table {
        let picture = after(&reading(5, 1, 1, before), Duration::from_millis(elapsed), reading(6, 1, 1, now));
        let wanted = Rate { packets, megabits };
        assert_eq!(picture.streams[0].rate, wanted, "stream, {before} to {now} in {elapsed} ms");
        assert_eq!(picture.children[0].rate, wanted, "child, {before} to {now} in {elapsed} ms");
        assert_eq!(picture.incoming, wanted, "relay, {before} to {now} in {elapsed} ms");
    }
}

#[test]
fn there_are_no_rates_before_there_is_an_interval() {
    let picture = picture(reading(5, 2, 2, 100), None);
    assert_eq!(picture.interval, None);
    assert_eq!(picture.outgoing, Rate::default());
    assert!(picture.streams.iter().all(|row| row.rate == Rate::default() && row.lost.is_none()));
}

#[test]
fn another_run_or_another_relay_has_no_rates_at_first() {
    let mut other = reading(6, 1, 1, 5_000_000_000);
    other.status.node_id = "relay-2".to_owned();
    let table = [(reading(3, 1, 1, 5_000_000_000), "started again"), (other, "another relay")];
    for (now, what) in table {
        let picture = after(&reading(5, 1, 1, 100), SECOND, now);
        assert_eq!(picture.interval, None, "{what}");
        assert_eq!(picture.incoming, Rate::default(), "{what}");
        assert_eq!(picture.streams[0].rate, Rate::default(), "{what}");
        assert_eq!(picture.children[0].rate, Rate::default(), "{what}");
    }
}

#[test]
fn loss_is_of_the_interval() {
    // packets and lost before; packets and lost now; lost and percent in the interval
    let table = [
        ((100, 7), (190, 17), Some(10), Some(10.0)),
        ((100, 7), (200, 7), Some(0), Some(0.0)),
        // Late packets came after all.
        ((100, 7), (200, 4), Some(-3), Some(0.0)),
        // Nothing came and nothing was expected.
        ((100, 7), (100, 7), Some(0), None),
        // Forgotten and begun anew.
        ((100, 7), (5, 0), None, None),
    ];
    for (before, now, lost, percent) in table {
        let of = |(packets, lost): (u64, u64)| Reading {
            status: status(5),
            children: Vec::new(),
            streams: vec![view::Stream { lost, ..stream(1, packets) }],
        };
        let row = after(&of(before), SECOND, of(now)).streams.remove(0);
        assert_eq!((row.lost, row.loss_percent), (lost, percent), "{before:?} to {now:?}");
    }
}

#[test]
fn what_is_new_has_no_rate_and_what_is_gone_no_row() {
    let before = Reading { status: status(5), children: vec![child("a", 10)], streams: vec![stream(1, 10)] };
    let now = Reading { status: status(6), children: vec![child("b", 900)], streams: vec![stream(2, 900)] };
    let picture = after(&before, SECOND, now);
    assert_eq!(picture.children.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(picture.children[0].rate, Rate::default());
    assert_eq!(picture.streams.iter().map(|row| row.ssrc).collect::<Vec<_>>(), [2]);
    assert_eq!(picture.streams[0].rate, Rate::default());
    assert_eq!(picture.outgoing.packets, Some(0.0));
}

#[test]
fn only_drops_that_moved_are_shown() {
    let with = |drops: &[(&str, u64)]| {
        let mut reading = reading(5, 0, 0, 0);
        reading.status.dataplane.drops = drops.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        reading.status.dataplane.passed_to_stack = reading.status.dataplane.drops.clone();
        reading
    };
    let before = with(&[("egress-refused", 5), ("not-writable", 9)]);
    let now = with(&[("egress-refused", 25), ("not-writable", 9), ("no-children", 4)]);
    let picture = after(&before, Duration::from_secs(2), now);
    let wanted = BTreeMap::from([("egress-refused".to_owned(), 10.0), ("no-children".to_owned(), 2.0)]);
    assert_eq!((&picture.drops, &picture.passed_to_stack), (&wanted, &wanted));
}

#[test]
fn rows_are_sorted_as_asked() {
    let of = |ssrc, packets, lost, jitter_ms, last_seen_ms| view::Stream {
        lost,
        jitter_ms,
        last_seen_ms,
        ..stream(ssrc, packets)
    };
    let before = Reading {
        status: status(5),
        children: vec![child("b", 0), child("a", 0)],
        streams: vec![of(3, 0, 0, 1.0, 0), of(1, 0, 0, 1.0, 0), of(2, 0, 0, 1.0, 0)],
    };
    let now = Reading {
        status: status(6),
        children: vec![view::Child { errors: 2, ..child("b", 5) }, child("a", 9)],
        streams: vec![of(3, 50, 0, 1.0, 7), of(1, 10, 9, 2.0, 0), of(2, 20, 0, 9.0, 1)],
    };
    let table = [
        (Sort::Rate, [3, 2, 1], ["a", "b"]),
        (Sort::Loss, [1, 2, 3], ["b", "a"]),
        (Sort::Jitter, [2, 1, 3], ["a", "b"]),
        (Sort::Name, [1, 2, 3], ["a", "b"]),
        (Sort::Silence, [3, 2, 1], ["a", "b"]),
    ];
    let mut picture = after(&before, SECOND, now);
    let mut sort = Sort::default();
    for (wanted, ssrcs, names) in table {
        assert_eq!(sort, wanted);
        picture.sort(sort);
        assert_eq!(picture.streams.iter().map(|row| row.ssrc).collect::<Vec<_>>(), ssrcs, "{sort:?}");
        let have: Vec<&str> = picture.children.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(have, names, "{sort:?}");
        sort = sort.next();
    }
    assert_eq!(sort, Sort::Rate);
}
