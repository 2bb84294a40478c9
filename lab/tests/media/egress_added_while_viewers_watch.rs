//! egress-2 becomes the relay's child by a plain SADD while viewers watch egress-1: they see every packet and no pause,
//! and viewers of egress-2 see pictures at once.

use std::time::{Duration, Instant};

use lab::relay::Mode;
use lab::{Lab, Studio};

const VIEWERS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
/// At 30 frames a second; what a viewer would call a freeze (webrtc-stats: three times the usual, and 150 ms more).
const FREEZE_MS: u64 = 250;

#[test]
fn nobody_notices() {
    let lab = Lab::new("t-added-").unwrap();
    let studio = Studio::open(&lab, Mode::Xdp, 2, 1).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &[]).unwrap();
    studio.wait_active(0, "show").unwrap();
    let watching = studio.view("show", &[0], VIEWERS, &[]).unwrap();
    let seen_by_all = |frames: u64| {
        watching.wait_until(PATIENCE, |views| {
            views.viewers.len() == VIEWERS && views.viewers.iter().all(|seen| seen.frames >= frames)
        })
    };
    seen_by_all(90).unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));

    // Again and again: once could be luck.
    for round in 1..=3 {
        let before = watching.report();
        let typed = Instant::now();
        studio.join(1).unwrap();
        let active = studio.wait_active(1, "show").unwrap();
        println!(
            "round {round}: media at egress-2 {:?} after SADD ({active:?} of that at its API)",
            typed.elapsed()
        );
        let newcomers = studio.view("show", &[1], VIEWERS, &[]).unwrap();
        let views = newcomers.wait_until(PATIENCE, |views| {
            views.viewers.len() == VIEWERS
                && views.viewers.iter().all(|seen| seen.decoded > 0 && seen.frames > 30)
        });
        let views = views.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
        assert!(views.viewers.iter().all(|seen| seen.video_lost + seen.audio_lost == 0), "{views:#?}");
        newcomers.stop().unwrap();
        studio.leave(1).unwrap();
        let more = before.viewers.iter().map(|seen| seen.frames).max().unwrap_or(0) + 60;
        seen_by_all(more).unwrap();
    }
    let views = watching.stop().unwrap();
    for seen in &views.viewers {
        println!("stayer: {} frames, longest gap {} ms", seen.frames, seen.longest_gap_ms);
        assert_eq!(seen.error, None);
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}{}", studio.diagnosis());
        assert!(seen.longest_gap_ms < FREEZE_MS, "{seen:?}");
    }
    publisher.stop().unwrap();
}
