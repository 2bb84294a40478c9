//! A viewer behind TCP that does not read loses packets, which are counted as its own; the others lose none.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use node::media::Kind;
use seats::door::Connection;
use seats::send::Path;
use seats::srtp::Profile;
use seats::worker::Arrival;
use seats::{Notice, Seat};

use crate::common::{STAGE, Server, Viewers, keys, taken};

#[test]
fn a_slow_viewer_loses_its_own() {
    let mut server = Server::start(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let connection = Connection::new(1, stream, peer).unwrap();
    let path = Path::Tcp(Arc::new(connection));
    let keys = keys(2, Profile::Aes128Gcm);
    server.workers.sit(Arrival {
        seat: Seat(2),
        mountpoint: STAGE,
        media: taken(2),
        keys,
        path,
        alive: Default::default(),
    });
    assert_eq!(server.notice(), Notice::Up(Seat(2)));
    let mut viewers = Viewers::sit(&server, [(1, Profile::Aes128Gcm)]);
    server.push(Kind::Video, 1, true);
    let mut pushed = 1;
    let dropped = |server: &Server| server.dropped().iter().map(|(_, count)| *count).sum::<u64>();
    while dropped(&server) == 0 {
        server.push(Kind::Video, 20, false);
        pushed += 20;
        viewers.until(pushed);
        assert!(pushed < 100_000, "it takes all");
    }
    assert_eq!(server.dropped().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["send_tcp_full"]);
    // Figures are those of a second ago at most.
    let of = |seat| {
        let figures = server.workers.figures();
        figures.into_iter().find(|(found, _)| *found == Seat(seat)).map(|(_, figures)| figures.dropped)
    };
    let begin = std::time::Instant::now();
    while of(2).unwrap_or(0) == 0 {
        assert!(begin.elapsed() < crate::common::PATIENCE);
        std::thread::yield_now();
    }
    assert_eq!(of(1), Some(0));
    drop(theirs);
}
