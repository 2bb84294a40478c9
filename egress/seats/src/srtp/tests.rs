//! Whole packets: known ones, and those of strangers.

use proptest::prelude::*;

use super::derive::{AUTHENTICATION, Session};
use super::transform::{Transform, Way};
use super::*;

const PROFILES: [Profile; 3] = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128Cm];

/// Out of hexadecimal digits.
pub fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..][..2], 16).expect("hexadecimal digits"))
        .collect()
}

fn keys(profile: Profile) -> Keys {
    let length = profile.key() + profile.salt();
    Keys { profile, ours: (0..length as u8).collect(), theirs: vec![0x55; length] }
}

fn pair(profile: Profile) -> (Sealer, Opener) {
    let keys = keys(profile);
    (Sealer::new(&keys).unwrap(), Opener::new(&keys.turned()).unwrap())
}

fn seal_rtp(sealer: &mut Sealer, roc: u32, packet: &[u8], header: usize) -> Vec<u8> {
    let mut out = vec![0xee; packet.len() + sealer.profile().rtp_overhead()];
    sealer.rtp(roc, &packet[..header], &[&packet[header..]], &mut out).unwrap();
    out
}

fn seal_rtcp(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; packet.len() + sealer.profile().rtcp_overhead()];
    sealer.rtcp(packet, &mut out).unwrap();
    out
}

/// An RTP packet with 20 bytes in it.
fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(0..20);
    packet
}

/// A receiver report without blocks.
fn report(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat()
}

/// Session keys as RFC 7714 sections 16 and 17 have them: 00 01 02 … and "Quid pro quo".
fn quid_pro_quo(profile: Profile, way: Way) -> Transform {
    let mut session = Session {
        key: (0..profile.key() as u8).collect(),
        authentication: [0; AUTHENTICATION],
        salt: [0; 14],
    };
    session.salt[..12].copy_from_slice(b"Quid pro quo");
    Transform::new(profile, &session, way).unwrap()
}

#[test]
fn packets_are_those_of_rfc_7714() {
    let rtp = bytes(
        "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e6973206469766973\
         6120696e207061727465732074726573",
    );
    let rtcp = bytes(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeef\
         deadbeefdeadbeefdeadbeef",
    );
    for (profile, sealed_rtp, sealed_rtcp) in [
        // Sections 16.1.1 and 17.1.
        (
            Profile::Aes128Gcm,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9\
             275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        // Sections 16.2.1 and 17.2.
        (
            Profile::Aes256Gcm,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b\
             6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ] {
        let transform = |way| quid_pro_quo(profile, way);
        let mut sealer = Sealer::with(profile, transform(Way::Seal), transform(Way::Seal));
        sealer.index = 0x5d4;
        let (mut sealed, wanted) = (seal_rtp(&mut sealer, 0, &rtp, 12), bytes(sealed_rtp));
        assert_eq!(sealed, wanted, "{profile:?}");
        let mut opener = Opener::with(profile, transform(Way::Open), transform(Way::Open));
        assert_eq!(opener.rtp(&mut sealed), Ok(&rtp[..]));

        let (mut sealed, wanted) = (seal_rtcp(&mut sealer, &rtcp), bytes(sealed_rtcp));
        assert_eq!(sealed, wanted, "{profile:?}");
        assert_eq!(opener.rtcp(&mut sealed), Ok(&rtcp[..]));
    }
}

/// Master keys and packets of libsrtp's own tests: what browsers, GStreamer and Janus are built with.
#[test]
fn packets_are_those_of_libsrtp() {
    let rtp = bytes("800f1234decafbadcafebabeabababababababababababababababab");
    let cm = ("e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6");
    let gcm = ("000102030405060708090a0b0c0d0e0f", "a0a1a2a3a4a5a6a7a8a9aaab");
    for (profile, (key, salt), wanted) in [
        (
            Profile::Aes128Cm,
            cm,
            "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
        ),
        (
            Profile::Aes128Gcm,
            gcm,
            "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
        ),
    ] {
        let keys = Keys { profile, ours: [bytes(key), bytes(salt)].concat(), theirs: Vec::new() };
        let mut sealed = seal_rtp(&mut Sealer::new(&keys).unwrap(), 0, &rtp, 12);
        assert_eq!(sealed, bytes(wanted), "{profile:?}");
        assert_eq!(Opener::new(&keys.turned()).unwrap().rtp(&mut sealed), Ok(&rtp[..]));
    }

    let rtcp = bytes("81c8000bcafebabeabababababababababababababababab");
    let keys = Keys { profile: Profile::Aes128Cm, ours: [bytes(cm.0), bytes(cm.1)].concat(), theirs: vec![] };
    let mut sealed = seal_rtcp(&mut Sealer::new(&keys).unwrap(), &rtcp);
    let wanted = "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798";
    assert_eq!(sealed, bytes(wanted));
    assert_eq!(Opener::new(&keys.turned()).unwrap().rtcp(&mut sealed), Ok(&rtcp[..]));
}

#[test]
fn dtls_gives_keys_before_salts_and_the_beginner_first() {
    let material: Vec<u8> = (0..56).collect();
    let part = |a: u8, b: u8| [(a..a + 16).collect::<Vec<u8>>(), (b..b + 12).collect()].concat();
    let keys = Keys::from_dtls(Profile::Aes128Gcm, &material, true).unwrap();
    assert_eq!((keys.profile, &keys.ours, &keys.theirs), (Profile::Aes128Gcm, &part(0, 32), &part(16, 44)));
    let other = Keys::from_dtls(Profile::Aes128Gcm, &material, false).unwrap();
    assert_eq!((&other.ours, &other.theirs), (&keys.theirs, &keys.ours));
    assert!(matches!(Keys::from_dtls(Profile::Aes256Gcm, &material, true), Err(Error::Keys)));
    assert_eq!(format!("{keys:?}"), "Keys(Aes128Gcm)");
}

/// A payload in pieces is the same as in one, and a header with sources and extension stays readable.
#[test]
fn a_payload_may_come_in_pieces() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let mut packet = rtp(8, 9);
        packet[0] |= 0x10 | 1;
        packet.splice(12..12, [0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0x10, 0x30, 0, 0]);
        let header = 24;
        let mut sealed = seal_rtp(&mut sealer, 3, &packet, header);
        let mut pieces = vec![0; sealed.len()];
        sealer
            .rtp(
                3,
                &packet[..header],
                &[&packet[header..header + 2], &[], &packet[header + 2..]],
                &mut pieces,
            )
            .unwrap();
        assert_eq!(sealed, pieces, "{profile:?}");
        assert_eq!(sealed[..header], packet[..header], "{profile:?}");
        // The other side counts from 0, so that a later roll-over counter is somebody else's packet.
        assert_eq!(opener.rtp(&mut sealed.clone()), Err(Rejected::Forged));
        sealed = seal_rtp(&mut sealer, 0, &packet, header);
        assert_eq!(opener.rtp(&mut sealed), Ok(&packet[..]), "{profile:?}");
    }
}

#[test]
fn room_of_another_length_is_refused() {
    for profile in PROFILES {
        let (mut sealer, _) = pair(profile);
        let (packet, report) = (rtp(8, 9), report(8));
        for length in [0, packet.len(), packet.len() + profile.rtp_overhead() + 1] {
            let refused = sealer.rtp(0, &packet[..12], &[&packet[12..]], &mut vec![0; length]);
            assert!(matches!(refused, Err(Error::Length)), "{profile:?} {length}");
        }
        for length in [0, report.len(), report.len() + profile.rtcp_overhead() - 1] {
            let refused = sealer.rtcp(&report, &mut vec![0; length]);
            assert!(matches!(refused, Err(Error::Length)), "{profile:?} {length}");
        }
        let headless = sealer.rtp(0, &packet[..11], &[], &mut vec![0; 11 + profile.rtp_overhead()]);
        assert!(matches!(headless, Err(Error::Length)), "{profile:?}");
    }
}

#[test]
fn rtcp_ends_before_its_numbers_begin_again() {
    let (mut sealer, _) = pair(Profile::Aes128Gcm);
    sealer.index = ENCRYPTED - 1;
    seal_rtcp(&mut sealer, &report(8));
    let refused = sealer.rtcp(&report(8), &mut [0; 28]);
    assert!(matches!(refused, Err(Error::Exhausted)));
}

/// A stream that is longer than its sequence numbers, with loss and reordering where they begin again.
#[test]
fn sequence_numbers_begin_again() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        for index in
            [65_500_u32, 65_533, 65_535, 65_537, 65_534, 65_536, 98_000, 130_000, 162_000, 194_000, 196_608]
        {
            let packet = rtp(8, index as u16);
            let mut sealed = seal_rtp(&mut sealer, index >> 16, &packet, 12);
            assert_eq!(opener.rtp(&mut sealed), Ok(&packet[..]), "{profile:?} {index}");
        }
    }
}

#[test]
fn what_comes_twice_is_opened_once() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let sealed = seal_rtp(&mut sealer, 0, &rtp(8, 9), 12);
        assert!(opener.rtp(&mut sealed.clone()).is_ok());
        assert_eq!(opener.rtp(&mut sealed.clone()), Err(Rejected::Replayed), "{profile:?}");

        let sealed: Vec<_> = (0..300).map(|_| seal_rtcp(&mut sealer, &report(1))).collect();
        assert!(sealed.iter().all(|packet| opener.rtcp(&mut packet.clone()).is_ok()));
        for packet in &sealed {
            assert_eq!(opener.rtcp(&mut packet.clone()), Err(Rejected::Replayed), "{profile:?}");
        }
    }
}

/// Players report under several SSRCs, and libsrtp numbers each by itself.
#[test]
fn each_reporter_has_its_own_numbers() {
    for profile in PROFILES {
        let (_, mut opener) = pair(profile);
        for ssrc in 0..20 {
            let (mut sealer, _) = pair(profile);
            let opened = opener.rtcp(&mut seal_rtcp(&mut sealer, &report(ssrc))).map(<[u8]>::to_vec);
            let wanted = if ssrc < 16 { Ok(report(ssrc)) } else { Err(Rejected::Streams) };
            assert_eq!(opened, wanted, "{profile:?} {ssrc}");
        }
    }
}

/// One bit anywhere, one byte less, or the other protocol's key: nothing of it is taken, and the genuine packet is afterwards.
#[test]
fn what_was_changed_is_rejected() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let packet = rtp(8, 9);
        let sealed = seal_rtp(&mut sealer, 0, &packet, 12);
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.rtp(&mut forged).is_err(), "{profile:?} bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(opener.rtp(&mut sealed[..length].to_vec()).is_err(), "{profile:?} {length} bytes");
        }
        assert_eq!(opener.rtp(&mut sealed.clone()), Ok(&packet[..]), "{profile:?}");

        let packet = [report(8), report(9)].concat();
        let sealed = seal_rtcp(&mut sealer, &packet);
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.rtcp(&mut forged).is_err(), "{profile:?} bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(opener.rtcp(&mut sealed[..length].to_vec()).is_err(), "{profile:?} {length} bytes");
        }
        assert_eq!(opener.rtcp(&mut sealed.clone()), Ok(&packet[..]), "{profile:?}");
    }
}

/// RFC 3711 section 3.4 allows it, nobody does it, and it would let a stranger read along.
#[test]
fn rtcp_that_is_not_encrypted_is_rejected() {
    // RFC 7714 section 17.3: authenticated only.
    let mut tagged = bytes(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef\
         841dd9683dd78ec92ae58790125f62b3000005d4",
    );
    let transform = || quid_pro_quo(Profile::Aes128Gcm, Way::Open);
    let mut opener = Opener::with(Profile::Aes128Gcm, transform(), transform());
    assert_eq!(opener.rtcp(&mut tagged), Err(Rejected::Forged));
}

proptest! {
    #[test]
    fn strangers_bytes_do_no_harm(packet: Vec<u8>, which in 0..3_usize) {
        let (_, mut opener) = pair(PROFILES[which]);
        prop_assert!(opener.rtp(&mut packet.clone()).is_err());
        prop_assert!(opener.rtcp(&mut packet.clone()).is_err());
    }

    #[test]
    fn what_is_sealed_is_opened(
        payload: Vec<u8>, sequence: u16, ssrc: u32, which in 0..3_usize,
    ) {
        let (mut sealer, mut opener) = pair(PROFILES[which]);
        let packet = [&rtp(ssrc, sequence)[..12], &payload].concat();
        let mut sealed = seal_rtp(&mut sealer, 0, &packet, 12);
        prop_assert_eq!(opener.rtp(&mut sealed), Ok(&packet[..]));
        let packet = [report(ssrc), payload].concat();
        let mut sealed = seal_rtcp(&mut sealer, &packet);
        prop_assert_eq!(opener.rtcp(&mut sealed), Ok(&packet[..]));
    }
}
