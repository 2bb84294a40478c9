//! The ciphers: AES-GCM (RFC 7714), and AES in counter mode with HMAC-SHA1 (RFC 3711 section 4). Contexts are made once and
//! used for every packet: a key is expanded once.

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::memcmp;

use super::derive::Session;
use super::{Error, Profile};
use crate::hmac::Hmac;

/// Protects packets of one direction and protocol.
pub enum Transform {
    Gcm(Gcm),
    Counter(Counter),
}

/// Which way.
#[derive(Clone, Copy)]
pub enum Way {
    Seal,
    Open,
}

impl Transform {
    pub fn new(profile: Profile, session: &Session, way: Way) -> Result<Transform, Error> {
        Ok(match profile {
            Profile::Aes128Gcm => Transform::Gcm(Gcm::new(Cipher::aes_128_gcm(), session, way)?),
            Profile::Aes256Gcm => Transform::Gcm(Gcm::new(Cipher::aes_256_gcm(), session, way)?),
            Profile::Aes128Cm => Transform::Counter(Counter::new(session)?),
        })
    }
}

/// AES-GCM: encrypts, and authenticates what it has encrypted and what stays readable.
pub struct Gcm {
    context: CipherCtx,
    salt: [u8; 12],
}

impl Gcm {
    fn new(cipher: &CipherRef, session: &Session, way: Way) -> Result<Gcm, ErrorStack> {
        let mut context = CipherCtx::new()?;
        match way {
            Way::Seal => context.encrypt_init(Some(cipher), Some(&session.key), None)?,
            Way::Open => context.decrypt_init(Some(cipher), Some(&session.key), None)?,
        }
        let mut salt = [0; 12];
        salt.copy_from_slice(&session.salt[..12]);
        Ok(Gcm { context, salt })
    }

    /// RFC 7714 sections 8.1 and 9.1: two zeros, SSRC and index (of RTP roll-over counter and sequence number), XOR salt.
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut nonce = self.salt;
        mask(&mut nonce[2..], ssrc, index);
        nonce
    }

    /// Encrypts `body`, piece after piece, into `out`, which is as long as all of them.
    pub fn seal(
        &mut self,
        (ssrc, index): (u32, u64),
        readable: &[&[u8]],
        body: &[&[u8]],
        out: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), ErrorStack> {
        let nonce = self.nonce(ssrc, index);
        self.context.encrypt_init(None, None, Some(&nonce))?;
        for part in readable {
            self.context.cipher_update(part, None)?;
        }
        encrypt(&mut self.context, body, out)?;
        self.context.cipher_final(&mut [])?;
        self.context.tag(tag)
    }

    /// Decrypts in place. False when somebody has changed something; then `body` is of no use.
    pub fn open(
        &mut self,
        (ssrc, index): (u32, u64),
        readable: &[&[u8]],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<bool, ErrorStack> {
        let nonce = self.nonce(ssrc, index);
        self.context.decrypt_init(None, None, Some(&nonce))?;
        for part in readable {
            self.context.cipher_update(part, None)?;
        }
        self.context.cipher_update_inplace(body, body.len())?;
        self.context.set_tag(tag)?;
        // OpenSSL gives no error of its own for this, and leaves none behind.
        Ok(self.context.cipher_final(&mut []).is_ok())
    }
}

/// AES in counter mode, with HMAC-SHA1 over what is sent.
pub struct Counter {
    context: CipherCtx,
    salt: [u8; 14],
    hmac: Hmac,
}

impl Counter {
    fn new(session: &Session) -> Result<Counter, ErrorStack> {
        let mut context = CipherCtx::new()?;
        // Decrypting is the same as encrypting.
        context.encrypt_init(Some(Cipher::aes_128_ctr()), Some(&session.key), None)?;
        Ok(Counter { context, salt: session.salt, hmac: Hmac::new(&session.authentication) })
    }

    /// RFC 3711 section 4.1.1: (salt << 16) XOR (SSRC << 64) XOR (index << 16).
    fn counter(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&self.salt);
        mask(&mut counter[4..14], ssrc, index);
        counter
    }

    /// Encrypts `body`, piece after piece, into `out`, which is as long as all of them.
    pub fn seal(
        &mut self,
        (ssrc, index): (u32, u64),
        body: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(), ErrorStack> {
        let counter = self.counter(ssrc, index);
        self.context.encrypt_init(None, None, Some(&counter))?;
        encrypt(&mut self.context, body, out)
    }

    /// Decrypts in place.
    pub fn open(&mut self, (ssrc, index): (u32, u64), body: &mut [u8]) -> Result<(), ErrorStack> {
        let counter = self.counter(ssrc, index);
        self.context.encrypt_init(None, None, Some(&counter))?;
        self.context.cipher_update_inplace(body, body.len())?;
        Ok(())
    }

    /// The first 80 bits of the HMAC of all parts, one after the other.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 10] {
        let [tag @ .., _, _, _, _, _, _, _, _, _, _] = self.hmac.of(parts);
        tag
    }
}

/// True when they are the same; takes as long when they are not.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && memcmp::eq(a, b)
}

/// XORs SSRC and the lower 48 bits of an index into ten bytes.
fn mask(bytes: &mut [u8], ssrc: u32, index: u64) {
    let [_, _, index @ ..] = index.to_be_bytes();
    for (byte, with) in bytes.iter_mut().zip(ssrc.to_be_bytes().into_iter().chain(index)) {
        *byte ^= with;
    }
}

fn encrypt(context: &mut CipherCtx, pieces: &[&[u8]], mut out: &mut [u8]) -> Result<(), ErrorStack> {
    for piece in pieces {
        let (into, rest) = out.split_at_mut(piece.len());
        context.cipher_update(piece, Some(into))?;
        out = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::derive::AUTHENTICATION;
    use super::super::tests::bytes;
    use super::*;

    #[test]
    fn the_key_stream_is_that_of_rfc_3711() {
        // Appendix B.2: SSRC and index are 0.
        let mut session = Session {
            key: bytes("2b7e151628aed2a6abf7158809cf4f3c"),
            authentication: [0; AUTHENTICATION],
            salt: [0; 14],
        };
        session.salt.copy_from_slice(&bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfd"));
        let mut counter = Counter::new(&session).unwrap();
        for _ in 0..2 {
            let mut out = vec![0; 0xff02 * 16];
            counter.open((0, 0), &mut out).unwrap();
            for (at, wanted) in [
                (0, "e03ead0935c95e80e166b16dd92b4eb4"),
                (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
                (2, "41e95b3bb0a2e8dd477901e4fca894c0"),
                (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
                (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
                (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
            ] {
                assert_eq!(out[at * 16..][..16], bytes(wanted), "block {at:x}");
            }
        }
    }
}
