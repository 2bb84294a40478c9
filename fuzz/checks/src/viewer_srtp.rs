//! SRTP and SRTCP at the media port: what a viewer sends, and what a stranger sends in its name.

use seats::srtp::{Keys, Opener, Profile, Rejected, Sealer};

/// A packet. The first byte says by which profile, the second which bit of a genuine packet a stranger has changed.
pub fn viewer_srtp(data: &[u8]) {
    let [which, bit, packet @ ..] = data else { return };
    let profiles = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128Cm];
    let profile = profiles[usize::from(*which) % profiles.len()];
    let material: Vec<u8> = (0..profile.keying_material()).map(|at| at as u8).collect();
    let keys = Keys::from_dtls(profile, &material, true).expect("as many bytes as the profile wants");
    let mut opener = Opener::new(&keys.turned()).expect("keys of the right length");
    assert!(opener.rtp(&mut packet.to_vec()).is_err(), "nobody can have sealed it");
    assert!(opener.rtcp(&mut packet.to_vec()).is_err(), "nobody can have sealed it");

    let mut sealer = Sealer::new(&keys).expect("keys of the right length");
    // The header without sources and extension is what it is; all else is payload.
    let rtp = [&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8][..], packet].concat();
    let mut sealed = vec![0; rtp.len() + profile.rtp_overhead()];
    sealer.rtp(0, &rtp[..12], &[packet], &mut sealed).expect("room of the right length");
    open(&rtp, sealed, *bit, |packet| opener.rtp(packet).map(<[u8]>::to_vec));

    let rtcp = [&[0x80, 201, 0, 1, 0, 0, 0, 1][..], packet].concat();
    let mut sealed = vec![0; rtcp.len() + profile.rtcp_overhead()];
    sealer.rtcp(&rtcp, &mut sealed).expect("room of the right length");
    open(&rtcp, sealed, *bit, |packet| opener.rtcp(packet).map(<[u8]>::to_vec));
}

/// Forged, genuine, and once more.
fn open(
    packet: &[u8],
    mut sealed: Vec<u8>,
    bit: u8,
    mut opener: impl FnMut(&mut [u8]) -> Result<Vec<u8>, Rejected>,
) {
    let mut forged = sealed.clone();
    let bit = usize::from(bit) % (forged.len() * 8);
    forged[bit / 8] ^= 1 << (bit % 8);
    assert!(opener(&mut forged).is_err(), "bit {bit} was changed");
    assert_eq!(opener(&mut sealed.clone()).as_deref(), Ok(packet));
    assert_eq!(opener(&mut sealed), Err(Rejected::Replayed));
}
