//! A Redis that forgets everything, and is told everything again by those who know it, is noticed by no viewer; a session
//! that is ended is, at once.

use std::time::{Duration, Instant};

use lab::relay::Mode;
use lab::{Lab, Studio};

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than what was lost is held.
const GRACE: Duration = Duration::from_secs(12);

#[test]
fn viewers_go_on() {
    let lab = Lab::new("t-flush-").unwrap();
    let studio = Studio::open(&lab, Mode::Xdp, 1, 1).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    // An egress would take it for VP8 if nobody said otherwise, and make the mountpoint anew.
    let publisher = studio.publish("show", &["--codec", "h264"]).unwrap();
    studio.wait_active(0, "show").unwrap();
    let watching = studio.view("show", &[0], 3, &[]).unwrap();
    let seen_by_all = |frames: u64| {
        let views = watching.wait_until(PATIENCE, |views| {
            views.viewers.len() == 3 && views.viewers.iter().all(|seen| seen.frames >= frames)
        });
        views.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()))
    };
    seen_by_all(60);
    studio.redis.cli(&["FLUSHALL"]).unwrap();
    let flushed = Instant::now();
    // What operators wrote, they write again; sessions are the injection's.
    for (parent, child) in [("injection-1", "relay-1"), ("relay-1", "egress-1")] {
        studio.redis.cli(&["SADD", &format!("children:{parent}"), child]).unwrap();
        studio.redis.cli(&["SET", &format!("parent:{child}"), parent]).unwrap();
    }
    while studio.redis.cli(&["HGET", "session:show", "videoCodec"]).unwrap() != "h264" {
        assert!(flushed.elapsed() < GRACE, "the session is not written again{}", studio.diagnosis());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("the session is in Redis again after {:?}", flushed.elapsed());
    std::thread::sleep(GRACE.saturating_sub(flushed.elapsed()));
    let frames = watching.report().viewers.iter().map(|seen| seen.frames).max().unwrap_or(0);
    for seen in &seen_by_all(frames + 30).viewers {
        assert_eq!((seen.joins, &seen.error), (1, &None), "{seen:?}{}", studio.diagnosis());
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}{}", studio.diagnosis());
        assert!(seen.longest_gap_ms < 1000, "{seen:?}{}", studio.diagnosis());
    }
    let response = studio.injection.send("DELETE", "/session/show", "").unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    let ended = Instant::now();
    while studio.egresses[0].node.get("/mountpoint/show").unwrap().status != 404 {
        assert!(ended.elapsed() < Duration::from_secs(2), "held all the same{}", studio.diagnosis());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("the mountpoint has ended {:?} after the session", ended.elapsed());
    watching.stop().unwrap();
    publisher.stop().unwrap();
}
