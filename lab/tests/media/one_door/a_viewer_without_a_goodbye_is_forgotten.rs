//! Viewers that vanish without a word are forgotten within half a minute, their places are free again, and the whole tree knows.

use std::time::{Duration, Instant};

use lab::relay::Mode;
use lab::studio::INJECTION_API;
use lab::{Lab, Studio};

use super::{asked, broadcast, door, until, view, watch, watching};

const FORGOTTEN: Duration = Duration::from_secs(35);

#[test]
fn a_viewer_without_a_goodbye_is_forgotten() {
    let lab = Lab::new("t-gone-").unwrap();
    // One egress with two places.
    let more = [("MAX_VIEWERS", "2"), ("SERVER", "native")];
    let studio = Studio::open_with(&lab, lab::studio::MediaOver::V4, Mode::Tc, [1, 1], &more).unwrap();
    let publisher = broadcast(&studio);
    let doors = [door(studio.injection_address().unwrap())];
    let viewers = view(&studio, &doors, &[]);
    watch(&studio, &viewers, 2);
    let ask = || asked(&lab, "injection-1", INJECTION_API, "show");
    until("it is full", &studio, || ask().0 == 503);

    viewers.process().kill9().unwrap();
    let gone = Instant::now();
    let node = &studio.egresses[0].node;
    until("nobody watches", &studio, || watching(node) == 0);
    println!("forgotten after {:?}", gone.elapsed());
    assert!(gone.elapsed() < FORGOTTEN, "{:?}", gone.elapsed());
    until("there is room again", &studio, || ask().0 == 200);
    publisher.stop().unwrap();
}
