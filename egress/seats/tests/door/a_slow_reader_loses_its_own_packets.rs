//! A viewer by TCP that does not read loses packets of its own, whole ones, and has them counted; nobody else does.

use std::time::Duration;

use crate::client::{By, Viewer};
use crate::studio::{MOUNTPOINT, Studio, number, until};

#[test]
fn and_goes_on_when_it_reads_again() {
    let mut studio = Studio::start();
    let mut slow = Viewer::join(&studio.server, MOUNTPOINT, By::Tcp, true);
    slow.until("it watches", |slow| {
        studio.broadcast.frame();
        !slow.received.video.is_empty()
    });
    let seat = slow.seat;
    studio.watched_while(|server| {
        until("its packets are dropped", || {
            let figures = server.figures();
            figures.iter().any(|(whose, figures)| *whose == seat && figures.dropped > 0)
        });
    });
    let newest = studio.broadcast.newest();
    slow.until("it watches again", |slow| {
        studio.broadcast.frame();
        slow.take_part(Duration::from_millis(5));
        slow.received.video.values().next_back().is_some_and(|packet| number(packet) > newest)
    });
}
