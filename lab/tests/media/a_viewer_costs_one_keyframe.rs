//! A new viewer is asked for by Janus, by the egress and by its own decoder, and costs one keyframe; so the next one finds
//! the second free that all of them share.

use std::time::Duration;

use lab::client::first_frames;
use lab::relay::Mode;
use lab::studio::VIEWERS;
use lab::{Lab, Studio};

const TRIES: usize = 5;

fn one_keyframe_each(codec: &str) {
    let lab = Lab::new(&format!("t-one-{codec}-")).unwrap();
    let studio = Studio::open(&lab, Mode::Xdp, 1, 1).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &["--codec", codec]).unwrap();
    studio.wait_active(0, "show").unwrap();
    // Janus asks for some in the beginning.
    std::thread::sleep(Duration::from_secs(2));
    let before = publisher.report().keyframes;
    let seen = first_frames(&lab, VIEWERS, &studio.whep(0, "show").unwrap(), TRIES).unwrap();
    // A request that was held back would be passed on by then.
    std::thread::sleep(Duration::from_millis(1500));
    let keyframes = publisher.report().keyframes - before;
    let took: Vec<f64> = seen.iter().filter_map(|seen| seen.offer_to_frame_ms).collect();
    println!("{codec}: {keyframes} keyframes for {TRIES} viewers; first frames after {took:.0?} ms");
    assert_eq!(keyframes, TRIES as u64, "{}", studio.diagnosis());
    publisher.stop().unwrap();
}

#[test]
fn of_vp8() {
    one_keyframe_each("vp8");
}

#[test]
fn of_h264() {
    one_keyframe_each("h264");
}
