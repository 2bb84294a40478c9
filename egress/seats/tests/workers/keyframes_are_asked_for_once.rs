//! However many need a keyframe, and with whichever worker they sit: the tree is asked once, and again a second later if somebody
//! still waits.

use std::time::Duration;

use node::media::{Kind, Ssrc};
use seats::Notice;
use seats::srtp::Profile;

use crate::common::{STAGE, Server, Viewers, ssrcs};

#[test]
fn keyframes_are_asked_for_once() {
    let mut server = Server::with(3, Duration::ZERO);
    let all: Vec<u64> = (1..=9).collect();
    let mut requests = 0;
    let mut viewers = Viewers::sit(&server, []);
    for seat in all {
        requests += viewers.add(&server, seat, Profile::Aes128Gcm);
    }
    while requests < 2 {
        assert_eq!(server.notice(), Notice::KeyframeWanted(STAGE));
        requests += 1;
    }
    server.push(Kind::Video, 1, true);
    viewers.until(9);
    let [_, video, _] = ssrcs(4);
    viewers.say(&server, 4, &node::keyframe::request(Ssrc(1), Ssrc(video)));
    assert_eq!(server.notice(), Notice::KeyframeWanted(STAGE));
    assert_eq!(server.dropped(), []);
}
