//! Signed tokens (RFC 7515 and 7519) and the keys for them, made without what verifies them.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(dead_code, reason = "every test uses some of it")]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// What a token is signed with.
pub enum Key {
    /// A secret that both sides know.
    Hs256(&'static str, Vec<u8>),
    /// A pair of keys.
    EdDsa(&'static str, Ed25519KeyPair),
}

impl Key {
    /// Named `id`; the same number makes the same key.
    pub fn hs256(id: &'static str, number: u8) -> Key {
        Key::Hs256(id, vec![number; 32])
    }

    pub fn eddsa(id: &'static str, number: u8) -> Key {
        Key::EdDsa(id, Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap())
    }

    /// As a JWK set has it.
    pub fn jwk(&self) -> Value {
        match self {
            Key::Hs256(id, secret) => {
                json!({ "kty": "oct", "kid": id, "alg": "HS256", "k": BASE64.encode(secret) })
            }
            Key::EdDsa(id, pair) => {
                let x = BASE64.encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "alg": "EdDSA", "use": "sig", "x": x })
            }
        }
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        let (id, algorithm) = match self {
            Key::Hs256(id, _) => (id, "HS256"),
            Key::EdDsa(id, _) => (id, "EdDSA"),
        };
        self.seal(&json!({ "typ": "JWT", "alg": algorithm, "kid": id }), claims)
    }

    /// Signs whatever header that is.
    pub fn seal(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signed = match self {
            Key::Hs256(_, secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec()
            }
            Key::EdDsa(_, pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        format!("{text}.{}", BASE64.encode(signed))
    }
}

/// A JWK set.
pub fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// Seconds since 1970, some from now.
pub fn seconds(from_now: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() as i64 + from_now
}

/// Claims for a session, good for an hour.
pub fn claims(session: &str, role: &str) -> Value {
    json!({ "sub": session, "role": role, "exp": seconds(3600) })
}
