//! Session keys out of a master key and salt (RFC 3711 section 4.3, RFC 6188, RFC 7714 section 11). Keys are derived once:
//! the key derivation rate is 0.

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

use super::{Error, Profile};

/// Bytes of the key of HMAC-SHA1.
pub const AUTHENTICATION: usize = 20;

/// What a key is for (RFC 3711 section 4.3.2).
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// Labels 0 to 2.
    Rtp,
    /// Labels 3 to 5.
    Rtcp,
}

/// Keys of one direction and protocol.
pub struct Session {
    /// Of the cipher; as long as the profile's master key.
    pub key: Vec<u8>,
    /// Of HMAC-SHA1, where the profile has it.
    pub authentication: [u8; AUTHENTICATION],
    /// Where it is shorter than this, zeros follow.
    pub salt: [u8; 14],
}

impl Session {
    /// `master` is key and salt.
    pub fn derive(profile: Profile, master: &[u8], protocol: Protocol) -> Result<Session, Error> {
        if master.len() != profile.key() + profile.salt() {
            return Err(Error::Keys);
        }
        let (key, salt) = master.split_at(profile.key());
        let first = match protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => 3,
        };
        let mut session =
            Session { key: vec![0; profile.key()], authentication: [0; AUTHENTICATION], salt: [0; 14] };
        stream(key, salt, first, &mut session.key)?;
        stream(key, salt, first + 1, &mut session.authentication)?;
        stream(key, salt, first + 2, &mut session.salt[..profile.salt()])?;
        Ok(session)
    }
}

/// The pseudo-random function: the key stream of AES in counter mode. A salt of 12 bytes has two zeros behind it.
fn stream(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Result<(), ErrorStack> {
    let cipher = if key.len() == 32 { Cipher::aes_256_ctr() } else { Cipher::aes_128_ctr() };
    let mut counter = [0; 16];
    counter[..salt.len()].copy_from_slice(salt);
    counter[7] ^= label;
    let mut context = CipherCtx::new()?;
    context.encrypt_init(Some(cipher), Some(key), Some(&counter))?;
    out.fill(0);
    context.cipher_update_inplace(out, out.len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::bytes;
    use super::*;

    /// Key, salt; what labels 0, 1 and 2 give.
    const VECTORS: [[&str; 5]; 2] = [
        // RFC 3711 appendix B.3.
        [
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
            "c61e7a93744f39ee10734afe3ff7a087",
            "cebe321f6ff7716b6fd4ab49af256a156d38baa4",
            "30cbbc08863d8c85d49db34a9ae1",
        ],
        // RFC 6188 section 7.2.
        [
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
            "3b04803de51ee7c96423ab5b78d2",
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
            "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
            "fa31791685ca444a9e07c6c64e93",
        ],
    ];

    #[test]
    fn keys_are_those_of_the_rfcs() {
        for [key, salt, wanted @ ..] in VECTORS {
            for (label, wanted) in (0..).zip(wanted.map(bytes)) {
                let mut out = vec![0; wanted.len()];
                stream(&bytes(key), &bytes(salt), label, &mut out).unwrap();
                assert_eq!(out, wanted, "label {label}");
            }
        }
    }

    #[test]
    fn a_master_key_of_another_length_is_refused() {
        for length in [0, 27, 29, 30, 44] {
            let session = Session::derive(Profile::Aes128Gcm, &vec![7; length], Protocol::Rtp);
            assert!(matches!(session, Err(Error::Keys)), "{length}");
        }
    }
}
