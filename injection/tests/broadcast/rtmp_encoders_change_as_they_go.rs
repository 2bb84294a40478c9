use std::time::Duration;

use serde_json::json;

use crate::common::handmade::{AUDIO, BASELINE, DATA, Encoder, Tag, VIDEO, again, recording};
use crate::common::receiver::Packet;
use crate::common::{Receiver, Scene, rtmp, until_within};

/// When it changes, in ms.
const CHANGE: u32 = 3000;
/// How long each publishes at most, in s.
const LENGTH: u32 = 40;
/// A busy machine takes some seconds for a publication.
const LATE: Duration = Duration::from_secs(30);

/// What an encoder does while it publishes.
struct Case {
    name: &'static str,
    tags: Vec<Tag>,
    /// Whether what it becomes takes another pipeline.
    another: bool,
}

/// Cases A2, A3 and A7 of the field, all at once, each with a session of its own: no connection ends, audio and video come to the
/// end, and to receivers each is one stream without a jump.
#[test]
fn test() {
    let scene = Scene::with("rtmp-change", &[rtmp::PORT]);
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let mut cases = cases();
    let mut n = 0;
    while !cases.is_empty() {
        let some: Vec<Case> = cases.drain(..cases.len().min(4)).collect();
        let encoders: Vec<(u32, Encoder)> = some
            .iter()
            .map(|case| {
                n += 1;
                let wish = json!({ "sessionId": case.name, "audioSsrc": 1000 + n, "videoSsrc": 2000 + n });
                assert_eq!(scene.ask("POST", "/session/create", &wish.to_string()).0, 201);
                (n, Encoder::start(scene.lab, case.name, case.tags.clone()))
            })
            .collect();
        for (case, (n, encoder)) in some.iter().zip(&encoders) {
            stays(&scene, &receiver, case, *n, encoder);
        }
    }
}

/// Three seconds after its change an encoder's media come, of both kinds, and have come all the time.
fn stays(scene: &Scene, receiver: &Receiver, case: &Case, n: u32, encoder: &Encoder) {
    let name = case.name;
    let packets = |kind: usize, ssrc: u32| -> Vec<Packet> {
        receiver.packets(kind).into_iter().filter(|packet| packet.header.ssrc.0 == ssrc).collect()
    };
    let of_both = || [packets(0, 1000 + n), packets(1, 2000 + n)];
    until_within(LATE, &format!("{name} has changed"), || {
        encoder.goes_on();
        encoder.pictures() > CHANGE / 40 + 75
    });
    let pipelines = if case.another { 2 } else { 1 };
    until_within(LATE, &format!("{name} comes in sound and picture"), || {
        encoder.goes_on();
        let session = scene.session(name);
        let lately =
            |packets: &Vec<Packet>| packets.last().is_some_and(|last| last.at.elapsed().as_millis() < 500);
        let made = scene.injection.log().matches(&format!("session {name}: by RTMP come")).count();
        made == pipelines && session["publisher"]["state"] == "publishing" && of_both().iter().all(lately)
    });
    // Whatever it takes here: to others one encoder publishes.
    assert_eq!(scene.session(name)["publications"], 1, "{name}");
    assert_eq!(scene.session(name)["publisher"]["codecs"].as_array().unwrap().len(), 2, "{name}");
    for (kind, packets) in of_both().into_iter().enumerate() {
        without_a_jump(name, kind, &packets);
    }
}

/// One stream in order; as far as a frame is late, its timestamp may be, and no farther.
fn without_a_jump(name: &str, kind: usize, packets: &[Packet]) {
    let rate = [48_000.0, 90_000.0][kind];
    for pair in packets.windows(2) {
        let [a, b] = [pair[0], pair[1]];
        // What waits at the beginning comes at once, and a busy machine loses some of it.
        let after = b.header.sequence.wrapping_sub(a.header.sequence);
        assert!((1..1000).contains(&after), "{name} {kind}: {a:?} {b:?}");
        let ticks = b.header.timestamp.wrapping_sub(a.header.timestamp) as i32;
        let step = f64::from(ticks) / rate;
        let passed = (b.at - a.at).as_secs_f64();
        // B-frames go back a little, and frames are left out for a moment where a busy machine does not keep up.
        assert!((-0.2..passed + 2.0).contains(&step), "{name} {kind}: {step} s after {passed} s");
    }
}

fn cases() -> Vec<Case> {
    let plain = recording(2, BASELINE, &[]);
    let whole = again(&plain, LENGTH + 2);
    let without_metadata =
        |tags: &[Tag]| -> Vec<Tag> { tags.iter().filter(|tag| tag.kind != DATA).cloned().collect() };
    // A medium begins later than the other.
    let late = |kind: u8, by: u32| -> Vec<Tag> {
        let config = whole.iter().find(|tag| tag.kind == kind && tag.is_config()).unwrap().clone();
        let (mut all, mut given) = (Vec::new(), false);
        for tag in whole.iter().filter(|tag| tag.kind != kind || tag.timestamp >= by || tag.kind == DATA) {
            if tag.kind == kind && !given {
                given = true;
                all.push(Tag { timestamp: by, ..config.clone() });
            }
            all.push(tag.clone());
        }
        all
    };
    // From a keyframe on it is another recording's.
    let then = |video: &[&str], audio: &[&str]| -> Vec<Tag> {
        let other = again(&recording(2, video, audio), LENGTH);
        let from = whole.iter().find(|tag| tag.is_key() && tag.timestamp >= CHANGE).unwrap().timestamp;
        let first = whole.iter().filter(|tag| tag.timestamp < from).cloned();
        let second = other.into_iter().filter(|tag| tag.kind != DATA);
        first.chain(second.map(|tag| Tag { timestamp: tag.timestamp + from, ..tag })).collect()
    };
    let jump = |by: i64| -> Vec<Tag> {
        let after = |tag: &Tag| if tag.timestamp < CHANGE { 0 } else { by };
        let moved = whole.iter().map(|tag| Tag {
            timestamp: (i64::from(tag.timestamp) + 100_000 + after(tag)) as u32,
            ..tag.clone()
        });
        moved.collect()
    };
    let case = |name, tags, another| Case { name, tags, another };
    vec![
        case("late-audio-announced", late(AUDIO, CHANGE), false),
        case("late-video-announced", late(VIDEO, CHANGE), false),
        case("late-audio", without_metadata(&late(AUDIO, CHANGE)), true),
        case("another-size", then(&["-profile:v", "baseline", "size=480x270"], &[]), false),
        case("another-sound", then(BASELINE, &["-ar", "48000", "-ac", "1"]), false),
        case("another-profile", then(&["-profile:v", "high", "-preset", "veryfast"], &[]), true),
        case("jump-9", jump(9000), false),
        case("jump-7", jump(7000), false),
        case("jump-back", jump(-50_000), false),
        case("jump-day", jump(86_400_000), false),
    ]
}
