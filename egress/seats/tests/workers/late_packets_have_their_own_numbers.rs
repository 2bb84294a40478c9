//! What was repaired on its way through the tree comes late, and fills its gap at every viewer.

use node::media::Kind;
use seats::srtp::Profile;

use crate::common::{Server, Viewers, ssrcs};

#[test]
fn late_packets_have_their_own_numbers() {
    let mut server = Server::start(2);
    let mut viewers = Viewers::sit(&server, [(1, Profile::Aes128Gcm), (2, Profile::Aes128Cm)]);
    let frame = server.make(Kind::Video, 6, true);
    let push = |packets: &[usize]| packets.iter().for_each(|n| server.inlets[Kind::Video].push(&frame[*n]));
    push(&[0, 1, 4, 5]);
    viewers.until(8);
    push(&[3, 3, 1]);
    viewers.until(10);
    push(&[2]);
    viewers.until(12);
    for seat in [1, 2] {
        let [_, video, _] = ssrcs(seat);
        let came = &viewers.of(seat).came[&video];
        let (first, original) = came[0];
        let order: Vec<u64> = came.iter().map(|(number, _)| number - first).collect();
        assert_eq!(order, [0, 1, 4, 5, 3, 2]);
        assert!(came.iter().all(|(number, of)| u64::from(of.wrapping_sub(original)) == number - first));
    }
    assert_eq!(server.dropped(), [("media_twice", 4)], "two at two workers");
}
