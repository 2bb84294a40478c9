//! A viewer that moves to another network is sent to there, from the next packet on, in the same numbers.

use std::net::UdpSocket;
use std::time::Duration;

use seats::{Credentials, Notice};

use crate::client::{By, VIDEO, Viewer};
use crate::stranger::{answer, check};
use crate::studio::{MOUNTPOINT, Studio};

fn watching(studio: &mut Studio, by: By) -> Viewer {
    let mut viewer = Viewer::join(&studio.server, MOUNTPOINT, by, true);
    viewer.until("it watches", |viewer| {
        studio.broadcast.frame();
        viewer.received.video.len() > 30
    });
    viewer
}

/// Sequence number, if that is a packet of the viewer's video.
fn video(packet: &[u8]) -> Option<u16> {
    (packet.len() > 12 && packet[8..12] == VIDEO.ssrc.to_be_bytes())
        .then(|| u16::from_be_bytes([packet[2], packet[3]]))
}

#[test]
fn by_an_ice_restart() {
    let mut studio = Studio::start();
    let mut viewer = watching(&mut studio, By::Udp);
    let theirs = Credentials { user: "theirs".to_owned(), password: "another one of theirs".to_owned() };
    let ours = studio.server.restart(viewer.seat, theirs.clone()).unwrap();
    let before = viewer.received.video.len();
    viewer.until("media goes on meanwhile", |viewer| {
        studio.broadcast.frame();
        viewer.received.video.len() > before + 30
    });

    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    elsewhere.connect(studio.server.media_port()).unwrap();
    elsewhere.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    elsewhere.send(&check(&ours)).unwrap();
    let mut packet = [0; 2000];
    assert!(elsewhere.recv(&mut packet).unwrap() > 20, "the check's answer");
    answer(&elsewhere, &theirs.password);
    let first = loop {
        studio.broadcast.frame();
        let length = elsewhere.recv(&mut packet).unwrap();
        if let Some(sequence) = video(&packet[..length]) {
            break sequence;
        }
    };
    viewer.take_part(Duration::from_millis(100));
    let last = *viewer.received.video.keys().next_back().unwrap();
    assert_eq!(first, (last as u16).wrapping_add(1));

    // It is still who it was: nobody has left or come.
    let seat = viewer.seat;
    assert!(studio.notices.try_iter().all(|n| n == Notice::Up(seat) || n == Notice::Shown(seat)));
}

#[test]
fn to_none_when_it_hangs_up() {
    let mut studio = Studio::start();
    let viewer = watching(&mut studio, By::Tcp);
    let seat = viewer.seat;
    drop(viewer);
    studio.wait("gone", |notice| matches!(notice, Notice::Gone(whose, _) if *whose == seat));
}
