//! What comes from strangers.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever comes from wherever: who sits stays where it is, and nobody else is let in.
    #[test]
    fn no_packet_does_harm(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 1_u16..4), 0..100),
        // All of a check but its fingerprint.
        at in 0_usize..92,
        flip in 1_u8..,
    ) {
        let mut evening = Evening::new();
        let (seat, ice) = evening.up(1);
        let user = format!("{}:theirs", ice.user);
        let mut nearly = check(&user, &ice.password, true, true);
        nearly[at] ^= flip;
        let nearly = (nearly, 2);
        for (packet, port) in packets.iter().chain([&nearly]) {
            for effect in evening.comes(packet, *port) {
                let harmless = match effect {
                    Effect::Drop(_) => true,
                    Effect::Dtls(whose) | Effect::Heard(whose) => whose == seat && *port == 1,
                    _ => false,
                };
                prop_assert!(harmless);
            }
        }
        prop_assert_eq!(evening.hall.seats.len(), 1);
    }
}
