//! Whoever watches gets every packet, once and in order, however many watch with however many threads, and while others come and go.

use node::media::Kind;
use seats::Seat;
use seats::srtp::Profile;

use crate::common::{Server, Viewers, ssrcs};

/// What they get of a keyframe fits the buffer of the one socket that they share here.
const CROWD: u64 = 100;
const KEYFRAME: usize = 20;
const FRAMES: usize = 40;

#[test]
fn a_crowd_loses_nothing() {
    let mut server = Server::start(3);
    let profile = |seat| [Profile::Aes128Gcm, Profile::Aes128Cm, Profile::Aes256Gcm][seat as usize % 3];
    server.push(Kind::Video, KEYFRAME, true);
    let mut viewers = Viewers::sit(&server, (1..=CROWD).map(|seat| (seat, profile(seat))));
    let mut passing = Viewers::sit(&server, [(1000, Profile::Aes128Gcm)]);
    let mut wanted = CROWD as usize * KEYFRAME;
    viewers.until(wanted);
    for frame in 0..FRAMES {
        let packets = if frame == 20 { KEYFRAME } else { 5 };
        server.push(Kind::Video, packets, frame == 20);
        server.push(Kind::Audio, 1, false);
        wanted += CROWD as usize * (packets + 1);
        // The next frame when all have this one: neither the clock nor a buffer decides.
        viewers.until(wanted);
        server.workers.rise(Seat(1000 + frame as u64));
        passing.add(&server, 1001 + frame as u64, Profile::Aes128Gcm);
    }
    for seat in 1..=CROWD {
        let came = &viewers.of(seat).came;
        let [audio, video, _] = ssrcs(seat);
        for (ssrc, packets) in [(audio, FRAMES), (video, (FRAMES - 1) * 5 + 2 * KEYFRAME)] {
            let came = &came[&ssrc];
            assert_eq!(came.len(), packets);
            assert!(came.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{seat}: {came:?}");
            assert!(came.windows(2).all(|pair| pair[1].1 == pair[0].1.wrapping_add(1)), "{seat}: {came:?}");
            assert!(came[0].0 < 1 << 15, "numbers begin small");
        }
    }
    assert_eq!(server.dropped(), []);
}
