//! With which picture somebody begins, and goes on who was too far behind.

use super::*;

#[test]
fn a_newcomer_begins_with_a_keyframe() {
    // How long ago the last keyframe came, most that it may be, and whether the picture begins with it.
    for (age, cache, begins) in [(1900, 2000, true), (2100, 2000, false), (100, 0, false), (0, 0, true)] {
        let mut world = World::new();
        world.push(Kind::Video, 1, 0, true);
        world.now += MS(age);
        world.push(Kind::Video, 2, age as u32 * 90, false);
        let mut viewer = world.join(video(taken(Kind::Video)));
        assert_eq!(viewer.waits(&world.streams, MS(cache), world.now), !begins, "{age} {cache}");
        world.now += MS(500);
        world.push(Kind::Video, 3, (age as u32 + 500) * 90, true);
        let mut got = Vec::new();
        assert!(!viewer.waits(&world.streams, MS(cache), world.now));
        viewer.round(&world.streams, at(world.now), &mut |out| got.push(original_of(&keep(out))));
        assert_eq!(got, if begins { vec![1, 2, 3] } else { vec![3] }, "{age} {cache}");
    }
}

#[test]
fn who_waits_in_vain_gets_what_there_is() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    for n in 0..60 {
        world.push(Kind::Video, n, u32::from(n) * 9000, false);
        world.rounds(&mut viewers);
        world.now += MS(100);
    }
    assert_eq!(viewers[0].1.first().map(original_of), Some(51));
}

#[test]
fn who_is_too_far_behind_goes_on_with_a_keyframe() {
    let mut world = World::new();
    let mut viewers = [(world.join(PerKind::from_fn(|kind| Some(taken(kind)))), Vec::new())];
    world.push(Kind::Audio, 0, 0, false);
    world.push(Kind::Video, 0, 0, true);
    world.rounds(&mut viewers);
    // Ten pictures a second, three seconds without a round; two are kept.
    for n in 1..=30 {
        world.now += MS(100);
        world.push(Kind::Audio, n, u32::from(n) * 4800, false);
        world.push(Kind::Video, n, u32::from(n) * 9000, n == 25);
    }
    Kind::BOTH.iter().for_each(|kind| world.streams[*kind].history.forget(world.now));
    world.rounds(&mut viewers);
    let seen = |ssrc| {
        let of = viewers[0].1.iter().filter(move |got| got.fields().ssrc == Ssrc(ssrc));
        of.map(|got| got.number - 1000).collect::<Vec<_>>()
    };
    assert_eq!(seen(21), [0, 25, 26, 27, 28, 29, 30]);
    assert_eq!(seen(11), [0], "sound goes on with what comes next");
    assert_eq!(viewers[0].0.figures().dropped, 24 + 30);
}
