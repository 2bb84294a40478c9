//! Viewers of a mountpoint that ends are told of, all of them and nobody else; who comes too late is told so, too.

use std::collections::BTreeSet;

use node::media::Kind;
use seats::srtp::Profile;
use seats::{Notice, Seat};

use crate::common::{STAGE, Server, Viewers, keys, taken};

#[test]
fn a_mountpoint_ends_for_all_who_watch() {
    let mut server = Server::start(2);
    let mut viewers = Viewers::sit(&server, (1..=5).map(|seat| (seat, Profile::Aes128Gcm)));
    server.workers.rise(Seat(3));
    server.push(Kind::Audio, 1, false);
    viewers.until(4);
    assert!(server.workers.knows(STAGE));
    server.workers.close(STAGE);
    assert!(!server.workers.knows(STAGE));
    let gone: BTreeSet<u64> = (0..4)
        .map(|_| match server.notice() {
            Notice::Gone(Seat(seat), _) => seat,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(gone, BTreeSet::from([1, 2, 4, 5]));
    // BYE (RFC 3550 section 6.6) is the last that they hear.
    let mut byes = BTreeSet::new();
    while byes.len() < 4 {
        let came = viewers.next();
        if came.packet[1] == 203 {
            assert!(byes.insert(came.seat));
        }
    }
    let path = seats::send::Path::Udp(server.address);
    let media = taken(9);
    let keys = keys(9, Profile::Aes128Gcm);
    server.workers.sit(seats::worker::Arrival {
        seat: Seat(9),
        mountpoint: STAGE,
        media,
        keys,
        path,
        alive: Default::default(),
    });
    assert!(matches!(server.notice(), Notice::Gone(Seat(9), why) if why.contains("has ended")));
}
