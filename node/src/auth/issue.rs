//! Makes tokens of single sessions, such as [`super::jwt`] takes: JSON Web Tokens (RFC 7519) by EdDSA (RFC 8037) or HS256.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Role;
use crate::contract::{LONGEST_SESSION, is_session};

/// What a token is to open.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Which session.
    pub session: String,
    /// In which role.
    pub role: Role,
    /// From when on, since 1970.
    pub now: Duration,
    /// For how long something may begin with it.
    pub lifetime: Duration,
    /// The tree that it is for; without, every one that has the key.
    pub tree: Option<String>,
}

/// A key that signs.
pub struct SigningKey {
    /// `kid`
    id: Option<String>,
    secret: Secret,
}

enum Secret {
    Hs256(hmac::Key),
    EdDsa(Ed25519KeyPair),
}

/// A file of keys: a set, or one key.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Set { keys: Vec<Jwk> },
    One(Jwk),
}

/// A key with what signs (RFC 7517, RFC 8037 section 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    k: Option<String>,
    d: Option<String>,
}

impl SigningKey {
    /// The key of this name in a file, or its only one. An error says what is wrong, and quotes nothing of the file but names.
    pub fn read(path: &Path, id: Option<&str>) -> Result<SigningKey, String> {
        let at = path.display();
        let text = std::fs::read(path).map_err(|error| format!("cannot read {at}: {error}"))?;
        SigningKey::parse(&text, id).map_err(|why| format!("{at}: {why}"))
    }

    fn parse(text: &[u8], id: Option<&str>) -> Result<SigningKey, String> {
        let file = serde_json::from_slice(text).map_err(|_| "it is no JWK, nor a set of them (RFC 7517)")?;
        let mut keys = match file {
            File::Set { keys } => keys,
            File::One(key) => vec![key],
        };
        if let Some(id) = id {
            keys.retain(|key| key.kid.as_deref() == Some(id));
        }
        match (keys.len(), keys.pop(), id) {
            (1, Some(key), _) => key.signing(),
            (_, None, Some(id)) => Err(format!("it has no key '{}'", id.escape_debug())),
            (_, None, None) => Err("there is no key in it".to_owned()),
            _ => Err("it has several keys; choose one by --kid".to_owned()),
        }
    }

    /// A token for what is granted.
    pub fn sign(&self, grant: &Grant) -> Result<String, String> {
        let Grant { session, role, now, lifetime, tree } = grant;
        if !is_session(session) {
            return Err(format!(
                "'{}' cannot be a session's name, which is 1 to {LONGEST_SESSION} letters, digits, or any of '-._~'",
                session.escape_debug()
            ));
        }
        let (issued, expires) = (now.as_secs(), now.saturating_add(*lifetime).as_secs());
        let mut claims = json!({ "sub": session, "role": role.name(), "iat": issued, "exp": expires });
        if let Some(tree) = tree {
            claims["aud"] = json!(tree);
        }
        let mut header = json!({ "typ": "JWT", "alg": self.algorithm() });
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        let part = |value: &Value| BASE64.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = match &self.secret {
            Secret::Hs256(key) => hmac::sign(key, text.as_bytes()).as_ref().to_vec(),
            Secret::EdDsa(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{text}.{}", BASE64.encode(signature)))
    }

    fn algorithm(&self) -> &'static str {
        match self.secret {
            Secret::Hs256(_) => "HS256",
            Secret::EdDsa(_) => "EdDSA",
        }
    }
}

impl Jwk {
    fn signing(self) -> Result<SigningKey, String> {
        let named = format!("key '{}'", self.kid.as_deref().unwrap_or_default().escape_debug());
        let bytes = |name: &str, text: Option<String>| {
            let text = text.ok_or_else(|| format!("{named} has no {name}, which is what signs"))?;
            BASE64
                .decode(text.trim_end_matches('='))
                .map_err(|_| format!("{named}: its {name} is no base64url"))
        };
        let secret = match (&*self.kty, self.crv.as_deref()) {
            ("oct", _) => {
                let secret = bytes("k", self.k)?;
                if secret.len() < super::keys::SHORTEST_SECRET {
                    return Err(format!(
                        "{named}: k must have at least {} bytes",
                        super::keys::SHORTEST_SECRET
                    ));
                }
                Secret::Hs256(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            }
            ("OKP", Some("Ed25519")) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&bytes("d", self.d)?);
                Secret::EdDsa(pair.map_err(|_| format!("{named}: d must have 32 bytes"))?)
            }
            _ => return Err(format!("{named} is neither kty OKP with crv Ed25519 nor kty oct")),
        };
        Ok(SigningKey { id: self.kid, secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_or_it_is_said_why_not() {
        let k = BASE64.encode([7; 32]);
        let one = format!(r#"{{"kty":"oct","kid":"a","k":"{k}"}}"#);
        let public =
            r#"{"kty":"OKP","crv":"Ed25519","kid":"p","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let set = |keys: &[&str]| format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let (both, short) = (set(&[&one, public]), r#"{"kty":"oct","k":"AAAA"}"#);
        let table = [
            (one.as_str(), None, ""),
            (&both, Some("a"), ""),
            (&both, None, "several keys; choose one by --kid"),
            (&both, Some("b"), "it has no key 'b'"),
            (&both, Some("p"), "key 'p' has no d"),
            (r#"{"keys":[]}"#, None, "no key in it"),
            (short, None, "k must have at least 32 bytes"),
            (r#"{"kty":"RSA","kid":"r"}"#, None, "key 'r' is neither"),
            (r#"{"kty":"OKP","crv":"Ed25519","d":"AAAA"}"#, None, "d must have 32 bytes"),
            ("hunter2", None, "it is no JWK"),
        ];
        for (text, id, wanted) in table {
            let why = SigningKey::parse(text.as_bytes(), id).err().unwrap_or_default();
            assert!(why.contains(wanted) && why.is_empty() == wanted.is_empty(), "{text}: {why:?}");
            assert!(!why.contains(&k) && !why.contains("hunter2"), "{why}");
        }
    }
}
