//! What an answer to the native server's offer says: how the player is known and reached, and what it takes by which numbers.

use node::media::{Codec, Kind, PerKind};
use sdp_types::{Media, Session};
use seats::{Credentials, Extensions, Fingerprint, Peer, Taken};

use super::SdpError;
use super::lines::{
    attribute, extension, formats, has, is_feedback_of, payload_types, retransmission, value, values,
    values_of,
};
use super::native::{ABS_SEND_TIME, MID, TRANSPORT_CC};

/// Lengths of user names and passwords (RFC 8839 section 5.4).
const USER: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;
/// Hashes that are good enough for a certificate (RFC 8122 section 5), and their bytes.
const HASHES: [(&str, usize); 3] = [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];
/// Most hashes of certificates that one side may name.
pub(super) const MOST_FINGERPRINTS: usize = 8;

/// Reads what a player has answered to this offer of ours.
pub fn accepted(offer: &Session, answer: &Session) -> Result<Peer, SdpError> {
    let mut media: PerKind<Option<Taken>> = PerKind::default();
    let mut first = None;
    // Media go by their place (RFC 3264 section 6).
    for (ours, theirs) in offer.medias.iter().zip(&answer.medias) {
        let Some(kind) = Kind::parse(&ours.media).filter(|_| ours.media == theirs.media) else { continue };
        if let Some(taken) = taken(offer, ours, answer, theirs) {
            first = first.or(Some(theirs));
            media[kind] = Some(taken);
        }
    }
    let first = first.ok_or_else(|| {
        SdpError::NoCodec("the answer takes neither audio nor video: no codec in common".to_owned())
    })?;
    let of = |name| attribute(answer, first, name).unwrap_or_default();
    Ok(Peer {
        ice: credentials(of("ice-ufrag"), of("ice-pwd"))?,
        fingerprints: fingerprints(answer, first)?,
        begins: of("setup") == "active",
        media,
    })
}

/// A player's ICE credentials, if they can be some.
pub fn credentials(user: &str, password: &str) -> Result<Credentials, SdpError> {
    let of = |name, text: &str, long: std::ops::RangeInclusive<usize>| {
        // More is allowed here than RFC 8839 has; but a colon is where user names are taken apart.
        let is_good =
            long.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        is_good.then(|| text.to_owned()).ok_or_else(|| {
            let (least, most) = long.into_inner();
            SdpError::Bad(format!("a={name} must be {least} to {most} letters and numbers"))
        })
    };
    Ok(Credentials { user: of("ice-ufrag", user, USER)?, password: of("ice-pwd", password, PASSWORD)? })
}

/// Certificates of a medium, as far as we know the hash.
fn fingerprints(session: &Session, media: &Media) -> Result<Vec<Fingerprint>, SdpError> {
    let lines = values(media, "fingerprint").chain(values_of(session, "fingerprint"));
    let found: Vec<Fingerprint> = lines.filter_map(read).take(MOST_FINGERPRINTS).collect();
    if found.is_empty() {
        let names = HASHES.map(|(name, _)| name).join(", ");
        return Err(SdpError::Bad(format!("there is no a=fingerprint by {names} in it")));
    }
    Ok(found)
}

fn read(value: &str) -> Option<Fingerprint> {
    let (algorithm, hash) = value.trim().split_once(' ')?;
    let algorithm = algorithm.to_ascii_lowercase();
    let (_, long) = HASHES.into_iter().find(|(name, _)| *name == algorithm)?;
    let byte = |hex: &str| {
        let is_one = hex.len() == 2 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_one.then(|| u8::from_str_radix(hex, 16).ok())?
    };
    let bytes: Option<Vec<u8>> = hash.trim().split(':').map(byte).collect();
    Some(Fingerprint { algorithm, bytes: bytes.filter(|bytes| bytes.len() == long)? })
}

/// What is taken of a medium; `None`: nothing.
fn taken(offer: &Session, ours: &Media, answer: &Session, theirs: &Media) -> Option<Taken> {
    let refused = theirs.port == 0 || has(theirs, "inactive") || has(theirs, "sendonly");
    if refused {
        return None;
    }
    let codec = Codec::ALL.into_iter().find(|codec| !payload_types(ours, codec.name()).is_empty())?;
    let named = payload_types(theirs, codec.name());
    let payload_type = formats(theirs).find(|pt| named.contains(pt) && *pt < 128)?;
    let mut sources = values(ours, "ssrc").filter_map(|line| line.split(' ').next()?.parse().ok());
    let ssrc = sources.next()?;
    let rtx_ssrc = sources.next();
    let rtx = rtx_ssrc.and_then(|_| retransmission(theirs, payload_type).filter(|rtx| *rtx < 128));
    let feedback = |name: &str| {
        let mut said = values(theirs, "rtcp-fb").filter(|value| is_feedback_of(value, payload_type));
        said.any(|value| value.split_once(' ').is_some_and(|(_, said)| said.trim() == name))
    };
    let number = |uri| {
        // What we have not offered is not ours to write.
        extension(offer, ours, uri).and(extension(answer, theirs, uri)).map(|(number, _)| number)
    };
    Some(Taken {
        mid: value(ours, "mid").unwrap_or_default().to_owned(),
        payload_type,
        rtx,
        ssrc,
        rtx_ssrc: rtx_ssrc.unwrap_or_default(),
        extensions: Extensions {
            mid: number(MID),
            transport_cc: number(TRANSPORT_CC),
            abs_send_time: number(ABS_SEND_TIME),
        },
        nack: feedback("nack"),
        pli: feedback("nack pli") || feedback("ccm fir"),
    })
}
