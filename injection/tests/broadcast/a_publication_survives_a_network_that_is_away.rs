use std::time::{Duration, Instant};

use crate::common::{Receiver, Scene, until};

/// How long the network is away.
const AWAY: Duration = Duration::from_secs(4);

/// Four seconds without a network end nothing: the same publication goes on within a second. Meanwhile its place is for
/// whoever wants it.
#[test]
fn test() {
    let scene = Scene::start("away");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let publisher = scene.publisher("s1", "vp8");
    until("media", || (0..2).all(|kind| receiver.count()[kind] > 40));

    scene.cut();
    let cut = Instant::now();
    until("it is seen to be silent", || scene.session("s1")["publisher"]["state"] == "silent");
    eprintln!("silent {:?} after the cut", cut.elapsed());
    // Time itself is what is tried here.
    std::thread::sleep(AWAY.saturating_sub(cut.elapsed()));
    let before = receiver.count();
    let healing = Instant::now();
    scene.heal();
    until("media again", || (0..2).all(|kind| receiver.count()[kind] > before[kind]));
    eprintln!("media {:?} after the network came back", healing.elapsed());
    assert!(healing.elapsed() < Duration::from_secs(1), "{:?}", healing.elapsed());
    until("it publishes", || scene.session("s1")["publisher"]["state"] == "publishing");
    assert_eq!(scene.session("s1")["publications"], 1, "{}", publisher.log());
    assert_eq!(publisher.status().unwrap(), None, "{}", publisher.log());
    // Pictures were lost: one that needs none before it comes by itself.
    until("a keyframe", || receiver.packets(1).iter().any(|packet| packet.keyframe && packet.at > healing));

    // Somebody else takes the place while nothing comes from there.
    scene.cut();
    until("it is silent again", || scene.session("s1")["publisher"]["state"] == "silent");
    let newcomer = scene.publisher_from("node", "s1", &["vp8"]);
    until("the newcomer publishes", || {
        let session = scene.session("s1");
        session["publications"] == 2 && session["publisher"]["state"] == "publishing"
    });
    scene.heal();
    assert_eq!(newcomer.status().unwrap(), None, "{}", newcomer.log());
    // It does not come back between.
    let before = receiver.count();
    until("the newcomer's media", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 50));
    assert_eq!(scene.session("s1")["publications"], 2);
    // To a receiver it is one stream with a gap of what was lost on the way.
    for pair in receiver.packets(0).windows(2) {
        let ahead = pair[1].header.sequence.wrapping_sub(pair[0].header.sequence);
        assert!((1..1000).contains(&ahead), "{pair:?}");
    }
}
