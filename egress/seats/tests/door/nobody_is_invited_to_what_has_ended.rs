//! A mountpoint ends while others are invited to it: whoever was, is gone with it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use node::media::{Codec, PerKind, Ssrc, VideoCodec};
use seats::{Config, Credentials, Peer, Refusal, Seat, Server, StreamSpec};

#[test]
fn nobody_is_invited_to_what_has_ended() {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: Vec::new(),
        threads: NonZeroUsize::MIN,
        history: Duration::from_secs(1),
        keyframe_cache: Duration::ZERO,
    };
    let server = Server::start(config, |_| {}).unwrap();
    let streams = PerKind {
        audio: StreamSpec { ssrc: Ssrc(1), codec: Codec::Opus },
        video: StreamSpec { ssrc: Ssrc(2), codec: Codec::Video(VideoCodec::Vp8) },
    };
    for mountpoint in 0..500 {
        server.open(mountpoint, streams);
        let (server, begun, is_over) = (&server, &AtomicBool::new(false), &AtomicBool::new(false));
        let invited: Vec<Seat> = thread::scope(|scope| {
            let inviting = scope.spawn(move || {
                let mut invited = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    invited.extend(server.invite(mountpoint).map(|invitation| invitation.seat));
                    begun.store(true, Ordering::Relaxed);
                }
                invited
            });
            while !begun.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            server.close(mountpoint);
            is_over.store(true, Ordering::Relaxed);
            inviting.join().unwrap()
        });
        for seat in invited {
            let ice = Credentials { user: "theirs".into(), password: "a password of theirs".into() };
            let peer = Peer { ice, fingerprints: Vec::new(), begins: true, media: PerKind::default() };
            let admitted = server.admit(seat, peer, Duration::from_secs(9));
            assert_eq!(admitted, Err(Refusal::NoSeat), "of mountpoint {mountpoint}");
        }
    }
}
