//! Who asks for keyframes, and how many are asked for on his behalf.

use super::*;

#[test]
fn keyframes_are_asked_for_of_the_picture_only() {
    let world = World::new();
    let mut viewer = world.join(PerKind::from_fn(|kind| Some(taken(kind))));
    for (ssrc, wanted) in [(21, true), (11, false), (99, false)] {
        let pli = node::keyframe::request(Ssrc(1), Ssrc(ssrc));
        assert_eq!(world.hears(&mut viewer, &pli).0.keyframe, wanted, "{ssrc}");
    }
}

#[test]
fn who_asks_for_keyframes_without_end_gets_few() {
    let mut world = World::new();
    let mut viewer = world.join(video(taken(Kind::Video)));
    let pli = node::keyframe::request(Ssrc(1), Ssrc(21));
    let (mut asked, mut too_soon) = (0, 0);
    for number in 0..1000 {
        world.now += MS(100);
        // One of ten is the keyframe that was asked for.
        world.push(Kind::Video, number, u32::from(number) * 9000, number % 10 == 0);
        let asks = world.hears(&mut viewer, &pli).0;
        let later = viewer.wants_keyframe(&world.streams, world.now);
        asked += u32::from(asks.keyframe) + u32::from(later);
        too_soon += asks.too_soon;
    }
    assert_eq!(asked, 4 + 99 / 5);
    assert!(too_soon > 900, "{too_soon}");
}

#[test]
fn who_asked_too_soon_need_not_ask_again() {
    let mut world = World::new();
    let mut viewer = world.join(video(taken(Kind::Video)));
    let pli = node::keyframe::request(Ssrc(1), Ssrc(21));
    for n in 0..5 {
        assert_eq!(world.hears(&mut viewer, &pli).0.keyframe, n < 4);
    }
    let wants =
        |viewer: &mut Viewer, world: &World, ms| viewer.wants_keyframe(&world.streams, world.now + MS(ms));
    assert_eq!(
        [4000, 5000, 5001, 20_000].map(|ms| wants(&mut viewer, &world, ms)),
        [false, true, false, false]
    );
    // Another's request has brought one meanwhile.
    (0..5).for_each(|_| drop(world.hears(&mut viewer, &pli)));
    world.now += MS(100);
    world.push(Kind::Video, 0, 0, true);
    assert!(!wants(&mut viewer, &world, 20_000));
}
