//! Whoever says goodbye (DTLS `close_notify`) is gone at once, either way.

use std::time::Duration;

use seats::Notice;

use crate::client::{By, Viewer};
use crate::studio::{MOUNTPOINT, Studio};

fn watching(studio: &mut Studio) -> Viewer {
    let mut viewer = Viewer::join(&studio.server, MOUNTPOINT, By::Udp, true);
    viewer.until("it watches", |viewer| {
        studio.broadcast.frame();
        !viewer.received.video.is_empty()
    });
    viewer
}

#[test]
fn a_viewers_that_has_just_come() {
    let mut studio = Studio::start();
    let viewer = watching(&mut studio);
    leaves(&studio, viewer);
}

/// Of its DTLS not much is kept any more by then.
#[test]
fn a_viewers_that_was_there_for_a_while() {
    let mut studio = Studio::start();
    let mut viewer = watching(&mut studio);
    viewer.take_part(Duration::from_secs(11));
    leaves(&studio, viewer);
}

fn leaves(studio: &Studio, mut viewer: Viewer) {
    viewer.rtc.close().unwrap();
    viewer.say();
    let seat = viewer.seat;
    let gone = studio.wait("gone", |notice| matches!(notice, Notice::Gone(whose, _) if *whose == seat));
    assert_eq!(gone, Notice::Gone(seat, "it said goodbye".to_owned()));
}

#[test]
fn the_servers() {
    let mut studio = Studio::start();
    let mut left = watching(&mut studio);
    studio.server.leave(left.seat);
    left.until("told to leave", |viewer| !viewer.rtc.is_alive());

    let mut ended = watching(&mut studio);
    studio.server.close(MOUNTPOINT);
    ended.until("its stream has ended", |viewer| !viewer.rtc.is_alive());
    let seat = ended.seat;
    studio.wait("gone", |notice| matches!(notice, Notice::Gone(whose, _) if *whose == seat));

    let mut studio = Studio::start();
    let mut stays = watching(&mut studio);
    drop(studio);
    stays.until("the server ends", |viewer| !viewer.rtc.is_alive());
}
