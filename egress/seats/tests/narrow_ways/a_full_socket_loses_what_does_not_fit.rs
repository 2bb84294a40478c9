use nix::sys::socket::{setsockopt, sockopt};
use seats::Seat;

use super::{alone_with, run};

/// Ten packets a second, and a queue that holds all that is sent: what waits there fills the media port's buffer.
const QUEUE: &str = "tc qdisc add dev lo root tbf rate 100kbit burst 3kb limit 200mb";

#[test]
fn a_full_socket_loses_what_does_not_fit() {
    alone_with(&[QUEUE], |mut host| {
        setsockopt(&*host.socket, sockopt::SndBuf, &65_536).unwrap();
        for number in 0..300_u64 {
            host.push(number / 100, &[number as u8; 1200]);
        }
        host.batch.flush();
        let counts = host.batch.counts();
        assert!(counts.packets > 0 && counts.full > 0, "{counts:?}");
        assert_eq!(counts.packets + counts.full, 300);
        let failed: Vec<_> = host.batch.failed().collect();
        assert_eq!(failed.iter().map(|(_, packets)| *packets as u64).sum::<u64>(), counts.full);
        assert_eq!(failed.last(), Some(&(Seat(2), 100)));

        // Still full.
        host.push(3, b"late");
        host.batch.flush();
        assert_eq!(host.batch.counts().full, counts.full + 1);
        assert_eq!(host.batch.counts().calls, counts.calls + 1);
        assert_eq!(host.batch.failed().collect::<Vec<_>>(), [(Seat(3), 1)]);

        // The way is free again: what waited in the queue is gone with it.
        run("tc qdisc del dev lo root");
        host.push(3, b"again");
        host.batch.flush();
        assert_eq!(host.batch.counts().packets, counts.packets + 1);
        while host.received() != b"again" {}
    });
}
