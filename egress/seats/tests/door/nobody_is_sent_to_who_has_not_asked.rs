//! Who knows a seat's password may send checks that seem to come from somebody else. That one gets no media, and of all else no more
//! than three times the bytes that were sent in its name, until it has answered itself.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use seats::{Credentials, Server};

use crate::client::{By, VIDEO, Viewer};
use crate::stranger::{answer, check, hello, peer};
use crate::studio::{MOUNTPOINT, Studio};

/// How long the victim is sent things in its name.
const FOR: Duration = Duration::from_millis(1500);

/// Somebody whose address is abused: it reads, and says nothing of itself.
struct Victim {
    socket: UdpSocket,
    /// Bytes that came from the server, and that were sent to it in its name.
    got: usize,
    forged: usize,
}

impl Victim {
    fn of(server: &Server) -> Victim {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.media_port()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        Victim { socket, got: 0, forged: 0 }
    }

    fn forge(&mut self, packet: &[u8]) {
        self.socket.send(packet).unwrap();
        self.forged += packet.len();
    }

    fn reads(&mut self) {
        let mut packet = [0; 2000];
        while let Ok(length) = self.socket.recv(&mut packet) {
            self.got += length;
        }
    }

    fn got_no_more_than_is_right(&self) {
        assert!(self.got > 0, "it is asked");
        assert!(self.got <= 3 * self.forged, "{} bytes for {}", self.got, self.forged);
    }
}

#[test]
fn while_it_watches() {
    let mut studio = Studio::start();
    let mut viewer = Viewer::join(&studio.server, MOUNTPOINT, By::Udp, true);
    viewer.until("it watches", |viewer| {
        studio.broadcast.frame();
        viewer.received.video.len() > 30
    });
    let theirs = peer().ice;
    let ours: Credentials = studio.server.restart(viewer.seat, theirs.clone()).unwrap();
    let mut victim = Victim::of(&studio.server);
    let (began, before) = (Instant::now(), viewer.received.video.len());
    while began.elapsed() < FOR {
        victim.forge(&check(&ours));
        studio.broadcast.frame();
        viewer.take_part(Duration::from_millis(5));
        victim.reads();
    }
    victim.got_no_more_than_is_right();
    assert!(viewer.received.video.len() > before + 100, "it is sent to where it was");

    // It was the viewer after all.
    victim.forge(&check(&ours));
    victim.socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    answer(&victim.socket, &theirs.password);
    viewer.until("it is sent to there", |_| {
        studio.broadcast.frame();
        let mut packet = [0; 2000];
        victim
            .socket
            .recv(&mut packet)
            .is_ok_and(|length| length > 12 && packet[8..12] == VIDEO.ssrc.to_be_bytes())
    });
}

#[test]
fn while_it_comes_in() {
    let mut studio = Studio::start();
    for begins in [true, false] {
        let invitation = studio.server.invite(MOUNTPOINT).unwrap();
        let peer = seats::Peer { begins, ..peer() };
        studio.server.admit(invitation.seat, peer, Duration::from_secs(10)).unwrap();
        let (mut victim, began, hello) = (Victim::of(&studio.server), Instant::now(), hello());
        victim.forge(&check(&invitation.ice));
        while began.elapsed() < FOR {
            studio.broadcast.frame();
            // It counts for nothing: flights are longer than what they answer.
            victim.socket.send(&hello).unwrap();
            victim.reads();
        }
        victim.got_no_more_than_is_right();
        studio.server.leave(invitation.seat);
    }
}
