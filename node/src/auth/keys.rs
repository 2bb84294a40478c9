//! The keys that signed tokens are verified with: a JWK set (RFC 7517) in a file, read again when the file changes. Each has
//! its `kid`: to change keys, put the new one beside the old, sign with the new, and take the old one out when the last
//! token of it has expired.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::claims::Claims;
use super::jwt::Sealed;
use crate::secret::open_to_all;

/// The file is looked at no more often.
const LOOK: Duration = Duration::from_secs(1);
/// Larger files are none of ours.
const LARGEST: u64 = 256 * 1024;
/// RFC 7518 section 3.2.
pub(super) const SHORTEST_SECRET: usize = 32;
/// RFC 8032 section 5.1.5.
const ED25519_KEY: usize = 32;

/// Why a file has no keys. Names the file and the key, never what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct KeysError {
    file: String,
    why: String,
}

/// One key.
#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// What a file had when it was read.
#[derive(Clone, Default)]
struct Set {
    /// By `kid`; one that has none is called so by the empty name.
    keys: BTreeMap<String, Key>,
    /// By which a change is noticed: time of change, length, inode.
    stamp: Option<(SystemTime, u64, u64)>,
}

/// The keys of a file.
pub struct Keys {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    set: Arc<Set>,
    looked: Instant,
    /// What was wrong with the file when it was read last; the keys of before are kept meanwhile.
    problem: Option<String>,
}

impl Keys {
    /// Reads a file. Gives a warning besides if there are secrets in it that everybody on the machine can read.
    pub fn read(path: &Path) -> Result<(Keys, Option<String>), KeysError> {
        let set = load(path)?;
        let secret = set.keys.values().any(|key| key.algorithm == Algorithm::HS256);
        let at = path.display();
        let warning = (secret && open_to_all(path))
            .then(|| format!("the signing keys in {at} can be read by everybody here; `chmod 600 {at}`"));
        let state = State { set: Arc::new(set), looked: Instant::now(), problem: None };
        Ok((Keys { path: path.to_owned(), state: Mutex::new(state) }, warning))
    }

    /// What a token says, if one of these keys has signed it.
    pub fn open(&self, token: Sealed<'_>) -> Result<Claims, String> {
        let set = self.current();
        let named = token.key_id()?;
        let key = match &named {
            Some(id) => set.keys.get(id).ok_or("its key (kid) is not known here, or no longer")?,
            None if set.keys.len() == 1 => set.keys.values().next().ok_or("there are no keys")?,
            None => return Err("it names no key (kid), and there are several".to_owned()),
        };
        token.open(&key.key, key.algorithm)
    }

    /// Why the file as it is now is not used, if so.
    pub fn problem(&self) -> Option<String> {
        self.current();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// The keys, after a look at the file if the last was a while ago.
    fn current(&self) -> Arc<Set> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() < LOOK {
            return state.set.clone();
        }
        state.looked = Instant::now();
        if stamp(&self.path).is_some_and(|now| Some(now) == state.set.stamp) {
            state.problem = None;
            return state.set.clone();
        }
        match load(&self.path) {
            Ok(set) => {
                tracing::info!("{}: keys read again: {}", self.path.display(), names(&set));
                (state.set, state.problem) = (Arc::new(set), None);
            }
            Err(error) => {
                let problem = format!("{error}; the keys of before are used");
                if state.problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}");
                }
                state.problem = Some(problem);
            }
        }
        state.set.clone()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Keys").field("path", &self.path).field("names", &names(&state.set)).finish()
    }
}

fn names(set: &Set) -> String {
    let names: Vec<&str> = set.keys.keys().map(String::as_str).collect();
    names.join(", ")
}

fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

fn load(path: &Path) -> Result<Set, KeysError> {
    let wrong = |why: String| KeysError { file: path.display().to_string(), why };
    // Before the reading: what is written meanwhile is noticed the next time.
    let stamp = stamp(path);
    if stamp.is_some_and(|(_, length, _)| length > LARGEST) {
        return Err(wrong(format!("it is larger than {LARGEST} bytes")));
    }
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    Ok(Set { keys: parse(&text).map_err(wrong)?, stamp })
}

/// Reads a JWK set. An error says which key is wrong, and what to do.
fn parse(text: &[u8]) -> Result<BTreeMap<String, Key>, String> {
    let form = "write a JWK set (RFC 7517): {\"keys\": [{\"kid\": \"2026-1\", \"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": …}]}";
    // What serde says may quote a value, which may be the secret.
    let set: JwkSet = serde_json::from_slice(text)
        .map_err(|error| format!("line {} is not as it should be; {form}", error.line()))?;
    if set.keys.is_empty() {
        return Err(format!("there is no key in it; {form}"));
    }
    let several = set.keys.len() > 1;
    let mut keys = BTreeMap::new();
    for jwk in &set.keys {
        let id = jwk.common.key_id.clone().unwrap_or_default();
        if id.is_empty() && several {
            return Err("where there are several keys, each needs a kid".to_owned());
        }
        let key = key(jwk).map_err(|why| format!("key '{}': {why}", id.escape_debug()))?;
        if keys.insert(id.clone(), key).is_some() {
            return Err(format!("there are two keys '{}'", id.escape_debug()));
        }
    }
    Ok(keys)
}

fn key(jwk: &Jwk) -> Result<Key, String> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return Err("only kty OKP with crv Ed25519 (EdDSA) and kty oct (HS256) are taken".to_owned()),
    };
    if jwk.common.key_algorithm.as_ref().is_some_and(|given| *given != named) {
        return Err(format!("its alg must be {named:?}"));
    }
    if jwk.common.public_key_use.as_ref().is_some_and(|given| *given != PublicKeyUse::Signature) {
        return Err("its use must be sig".to_owned());
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "its x or k is no base64url".to_owned())?;
    let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match algorithm {
        Algorithm::HS256 if length < SHORTEST_SECRET => {
            Err(format!("k must have at least {SHORTEST_SECRET} bytes, and has {length}"))
        }
        Algorithm::EdDSA if length != ED25519_KEY => {
            Err(format!("x must have {ED25519_KEY} bytes, and has {length}; is it the public key?"))
        }
        _ => Ok(Key { algorithm, key }),
    }
}
