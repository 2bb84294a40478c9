//! What a viewer has said is not heard again when somebody repeats it, and not at all when somebody has changed it; by which way
//! it comes makes no difference. The viewer loses nothing.

use std::net::UdpSocket;
use std::time::Duration;

use crate::client::{By, Viewer, loopback};
use crate::studio::{MOUNTPOINT, Studio, dropped, is_whole, until};

/// Less than what the door takes of one viewer in a second, so that all of it comes to a worker.
const TIMES: usize = 30;

#[test]
fn reports_are_heard_once() {
    for by in [By::Udp, By::Tcp] {
        let mut studio = Studio::start();
        let mut viewer = Viewer::join(&studio.server, MOUNTPOINT, by, true);
        viewer.until("it has said something", |viewer| {
            studio.broadcast.frame();
            viewer.reports.len() >= 2
        });
        let report = viewer.reports[0].clone();
        for _ in 0..TIMES {
            viewer.send(&report);
        }
        for bit in 0..TIMES {
            // Behind the header, whose SSRC says which numbers are meant.
            let mut changed = viewer.reports[1].clone();
            let at = 8 + (bit * 5) % (changed.len() - 8);
            changed[at] ^= 1 << (bit % 8);
            viewer.send(&changed);
        }
        for length in 2..TIMES {
            viewer.send(&report[..length.min(8 + 19)]);
        }
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..TIMES {
            stranger.send_to(&report, loopback(studio.server.media_port())).unwrap();
        }
        let server = &studio.server;
        let counted = |reason| dropped(server, reason);
        until("what was repeated is counted", || counted("feedback_replayed") >= TIMES as u64);
        let no_report = || counted("feedback_forged") + counted("feedback_replayed") - TIMES as u64;
        until("what was changed is counted", || no_report() == TIMES as u64);
        until("what was cut off is counted", || counted("feedback_malformed") == TIMES as u64 - 2);
        until("what strangers repeat is counted", || counted("media_stranger") == TIMES as u64);

        viewer.take_part(Duration::from_millis(100));
        let before = viewer.received.video.len();
        viewer.until("it goes on watching", |viewer| {
            studio.broadcast.frame();
            viewer.received.video.len() > before + 100
        });
        viewer.until("it has all of it", |v| is_whole(&v.received.video) && is_whole(&v.received.audio));
        // What it says is heard: the server knows how long packets take to it and back.
        viewer.until("its reports are heard", |viewer| {
            let figures = studio.server.figures();
            figures.iter().any(|(seat, figures)| *seat == viewer.seat && figures.rtt.is_some())
        });
    }
}
