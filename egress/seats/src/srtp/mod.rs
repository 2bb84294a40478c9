//! SRTP and SRTCP (RFC 3711, RFC 7714, keys by RFC 5764): what goes out is sealed ([`Sealer`]), what comes in is opened
//! ([`Opener`]). Without I/O, and without memory of its own for a packet.

mod derive;
mod open;
mod replay;
mod seal;
mod transform;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use openssl::error::ErrorStack;

pub use open::{Opener, Rejected};
pub use seal::Sealer;

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`
    Aes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`
    Aes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`
    Aes128Cm,
}

impl Profile {
    /// Bytes of a master key, and of a session's.
    const fn key(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes128Cm => 16,
            Profile::Aes256Gcm => 32,
        }
    }

    /// Bytes of a master salt, and of a session's (RFC 3711 section 8.2, RFC 7714 section 12).
    const fn salt(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes256Gcm => 12,
            Profile::Aes128Cm => 14,
        }
    }

    /// Bytes of the proof at the end of a packet that nobody has changed it.
    const fn tag(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes256Gcm => 16,
            Profile::Aes128Cm => 10,
        }
    }

    /// Bytes that DTLS has to give for both sides' keys and salts.
    pub const fn keying_material(self) -> usize {
        2 * (self.key() + self.salt())
    }

    /// How much longer an RTP packet is when it is sealed.
    pub const fn rtp_overhead(self) -> usize {
        self.tag()
    }

    /// How much longer an RTCP packet is when it is sealed.
    pub const fn rtcp_overhead(self) -> usize {
        self.tag() + INDEX
    }
}

/// Bytes of an RTP header without contributing sources and extension.
const RTP_HEADER: usize = 12;

/// What of an RTCP packet is not encrypted: the first header and the SSRC behind it (RFC 3711 section 3.4).
const RTCP_HEADER: usize = 8;

/// Bytes of the index that an SRTCP packet carries.
const INDEX: usize = 4;

/// Set in it: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Both sides' keys of a connection.
#[derive(Clone)]
pub struct Keys {
    /// How packets are protected.
    pub profile: Profile,
    /// Master key and salt of what we send.
    pub ours: Vec<u8>,
    /// Master key and salt of what the viewer sends.
    pub theirs: Vec<u8>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.profile)
    }
}

impl Keys {
    /// Out of the [`Profile::keying_material`] of a handshake (RFC 5764 section 4.2): both sides' keys, then both sides' salts, those
    /// of the side that began first. `began`: that was us.
    pub fn from_dtls(profile: Profile, material: &[u8], began: bool) -> Result<Keys, Error> {
        if material.len() != profile.keying_material() {
            return Err(Error::Keys);
        }
        let (key, salt) = (profile.key(), profile.salt());
        let (keys, salts) = material.split_at(2 * key);
        let first = [&keys[..key], &salts[..salt]].concat();
        let second = [&keys[key..], &salts[salt..]].concat();
        let (ours, theirs) = if began { (first, second) } else { (second, first) };
        Ok(Keys { profile, ours, theirs })
    }

    /// The same as the other side has it.
    pub fn turned(&self) -> Keys {
        Keys { profile: self.profile, ours: self.theirs.clone(), theirs: self.ours.clone() }
    }
}

/// Why something cannot be sealed, or keys are of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are not as many bytes of keys as the profile has.
    #[error("keys of another length than the SRTP profile's")]
    Keys,
    /// What is to be sealed has no header, or there is not exactly as much room as it needs.
    #[error("a packet without a header, or room of another length than the sealed packet's")]
    Length,
    /// 2^31 packets of RTCP: the connection needs other keys.
    #[error("there are no numbers left for RTCP packets under these keys")]
    Exhausted,
    /// Of OpenSSL.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}
