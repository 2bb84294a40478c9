//! JSON Web Tokens (RFC 7519) as far as their form and signature go: EdDSA (RFC 8037) and HS256 (RFC 7518), verified by ring,
//! which is here for TLS already.
//!
//! Which algorithm a token is signed with is the key's business, never the token's: one that says otherwise is refused.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::claims::Claims;

/// Longer than any token of ours; what is longer is not looked at.
const LONGEST: usize = 4096;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    // Of other algorithms, none of which is taken.
    key_utils: KeyUtils::new_unimplemented(),
};

/// A token that has not been verified.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a>(&'a [u8]);

impl<'a> Sealed<'a> {
    /// What looks like a token: three parts, and not too long.
    pub fn new(text: &'a [u8]) -> Option<Sealed<'a>> {
        let parts = text.split(|byte| *byte == b'.').count();
        (parts == 3 && text.len() <= LONGEST).then_some(Sealed(text))
    }

    /// The key that it says it was signed with, if it names one.
    pub fn key_id(self) -> Result<Option<String>, String> {
        install();
        let header = jsonwebtoken::decode_header(self.0).map_err(said)?;
        match header.crit {
            // RFC 7515 section 4.1.11.
            Some(extensions) => Err(format!("it needs extensions that are not known here: {extensions:?}")),
            None => Ok(header.kid),
        }
    }

    /// What is in it, if this key has signed it. Times, role and session are the caller's business.
    pub fn open(self, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, String> {
        install();
        let mut form = Validation::new(algorithm);
        form.required_spec_claims.clear();
        (form.validate_exp, form.validate_nbf, form.validate_aud) = (false, false, false);
        Ok(jsonwebtoken::decode::<Claims>(self.0, key, &form).map_err(said)?.claims)
    }
}

/// Once for the process: the crate has no other way to be told.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whoever came first has what verifies tokens, too.
        let _ = PROVIDER.install_default();
    });
}

/// What is wrong with a token, for whoever made it. Nothing of the token is repeated.
fn said(error: Error) -> String {
    match error.kind() {
        ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => {
            "its algorithm is not that of the key".to_owned()
        }
        ErrorKind::Json(why) => format!("it cannot be read: {why}"),
        _ => "it is malformed".to_owned(),
    }
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let bytes = key.try_get_as_bytes()?;
    match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256(hmac::Key::new(hmac::HMAC_SHA256, bytes)))),
        Algorithm::EdDSA => Ok(Box::new(EdDsa(bytes.to_vec()))),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

struct Hs256(hmac::Key);

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signed).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct EdDsa(Vec<u8>);

impl Verifier<Vec<u8>> for EdDsa {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signed).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for EdDsa {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
