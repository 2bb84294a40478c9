//! What is sent again, and how much of it.

use super::*;

#[test]
fn what_is_asked_for_again_is_sent_again() {
    let mut world = World::new();
    let media = |rtx| video(Taken { rtx, ..taken(Kind::Video) });
    let mut viewers = [Some(124), None].map(|rtx| (world.join(media(rtx)), Vec::new()));
    for number in [0u16, 1, 2, 4] {
        world.push(Kind::Video, number, 0, number == 0);
    }
    world.rounds(&mut viewers);
    // One that is there, twice; one that never came; one that was not sent yet; one from before the first.
    let request = nack(21, &[1002, 1003, 1005, 999]);
    let [with, without] = &mut viewers;
    let (asks, got) = world.hears(&mut with.0, &request);
    assert_eq!((asks, got.len()), (Asks::default(), 1));
    let fields = rtp::Header { payload_type: 124, sequence: 5000, timestamp: 0, ssrc: Ssrc(22) };
    assert_eq!((got[0].number, got[0].fields()), (5000, fields));
    assert_eq!(got[0].payload, [&1002u16.to_be_bytes()[..], &with.1[2].payload].concat());
    assert_eq!(world.hears(&mut with.0, &request).1[0].number, 5001, "again, in a number of its own");
    let (_, got) = world.hears(&mut without.0, &request);
    assert_eq!(got, [without.1[2].clone()], "the same in every byte");
    let figures = without.0.figures();
    assert_eq!((figures.packets, figures.resent, figures.unanswered), (5, 1, 1));
}

#[test]
fn what_is_sent_again_is_sent_twice_where_that_is_little() {
    let mut world = World::new();
    let media = |rtx| video(Taken { rtx, ..taken(Kind::Video) });
    let mut viewers = [Some(124), None].map(|rtx| (world.join(media(rtx)), Vec::new()));
    for number in 0..40 {
        world.push(Kind::Video, number, 0, number == 0);
    }
    world.rounds(&mut viewers);
    for (viewer, _) in &mut viewers {
        let (_, first) = world.hears(viewer, &nack(21, &[1002, 1005, 1007]));
        assert_eq!(first.len(), 3);
        let mut copies = Vec::new();
        viewer.once_more(&world.streams, at(world.now), &mut |out| copies.push(keep(out)));
        assert_eq!(copies, [], "a moment later");
        viewer.once_more(&world.streams, at(world.now + MS(20)), &mut |out| copies.push(keep(out)));
        let payloads = |all: &[Got]| all.iter().map(|got| got.payload.clone()).collect::<Vec<_>>();
        assert_eq!(payloads(&copies), payloads(&first[..2]), "one of sixteen");
        let numbers = first.iter().chain(&copies).map(|got| got.number).collect::<Vec<_>>();
        // In numbers of their own, or the same in every byte.
        let wanted = match first[0].fields().payload_type {
            124 => [5000, 5001, 5002, 5003, 5004],
            _ => [1002, 1005, 1007, 1002, 1005],
        };
        assert_eq!(numbers, wanted);
        assert_eq!(viewer.figures().resent, 3, "as often as it asked");
    }
}

#[test]
fn nobody_is_sent_more_again_than_there_is_budget_for() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    for number in 0..400 {
        world.push(Kind::Video, number, 0, number == 0);
    }
    world.rounds(&mut viewers);
    let all: Vec<u16> = (1000..1400).collect();
    let (asks, got) = world.hears(&mut viewers[0].0, &nack(21, &all));
    assert_eq!((got.len(), asks.over_budget), (256, 144));
    assert_eq!(viewers[0].0.figures().unanswered, 144);
}
