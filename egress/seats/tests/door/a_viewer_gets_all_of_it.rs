//! From its keyframe on a viewer gets each packet, once, as it was sent, and in numbers without a gap.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use seats::Notice;

use crate::client::{By, Viewer};
use crate::studio::{MOUNTPOINT, Studio, is_whole, number};

fn watches(by: By, begins: bool, loses: fn(u64) -> bool) {
    watches_from(Studio::start(), by, begins, loses);
}

fn watches_from(studio: Studio, by: By, begins: bool, loses: fn(u64) -> bool) {
    let mut viewer = Viewer::join(&studio.server, MOUNTPOINT, by, begins);
    viewer.loses = loses;
    watches_it(studio, viewer);
}

fn watches_it(mut studio: Studio, mut viewer: Viewer) {
    let seat = viewer.seat;
    viewer.until("it sits", |viewer| {
        studio.broadcast.frame();
        viewer.received.video.len() > 300 && viewer.received.audio.len() > 100
    });
    studio.wait("up", |notice| *notice == Notice::Up(seat));
    studio.wait("shown", |notice| *notice == Notice::Shown(seat));
    // What it lost last it gets again.
    viewer.until("all is there", |viewer| is_whole(&viewer.received.video));
    assert!(is_whole(&viewer.received.audio) || (viewer.loses)(10));
    let first = viewer.received.video.values().next().unwrap();
    assert_eq!(number(first) % 15, 0, "the first packet of a keyframe");
    let figures = studio.server.figures();
    assert!(figures.iter().all(|(whose, _)| *whose == seat));

    // It leaves: nothing comes any more.
    studio.server.leave(seat);
    viewer.take_part(Duration::from_millis(200));
    let before = viewer.received.video.len();
    studio.broadcast.frame();
    viewer.take_part(Duration::from_millis(200));
    assert_eq!(viewer.received.video.len(), before);
    assert!(studio.notices.try_iter().all(|n| !matches!(n, Notice::Gone(..) | Notice::Shown(_))), "once");
}

#[test]
fn by_udp() {
    watches(By::Udp, true, |_| false);
}

#[test]
fn by_udp_when_the_server_begins_the_handshake() {
    watches(By::Udp, false, |_| false);
}

#[test]
fn by_tcp() {
    watches(By::Tcp, true, |_| false);
}

#[test]
fn by_a_way_that_loses_packets() {
    watches(By::Udp, true, |packet| packet % 10 == 0);
}

/// IPv4 viewers of a server that listens by IPv6.
#[test]
fn at_a_port_of_both_ip_versions() {
    for by in [By::Udp, By::Tcp] {
        watches_from(Studio::at("[::]:0".parse().unwrap()), by, true, |_| false);
    }
}

#[test]
fn by_ipv6() {
    for by in [By::Udp, By::Tcp] {
        watches_from(Studio::at("[::1]:0".parse().unwrap()), by, true, |_| false);
    }
}

/// Of two addresses of the server it came to the one that the server would not choose itself. It takes nothing from the other.
#[test]
fn from_the_address_that_it_came_to() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let other = Ipv4Addr::new(127, 0, 0, 2);
        let studio = Studio::advertising(listen.parse().unwrap(), other);
        let to = SocketAddr::from((other, studio.server.media_port().port()));
        let viewer = Viewer::join_at(&studio.server, to, MOUNTPOINT, By::Udp, true);
        watches_it(studio, viewer);
    }
}
