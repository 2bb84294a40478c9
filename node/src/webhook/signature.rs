//! The signature of a webhook, as standardwebhooks.com has it: HMAC-SHA256 of id, time and body. Pure.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::{digest, hmac};

use crate::secret::Secret;

/// What secrets begin with that are base64 of bytes.
const PREFIX: &str = "whsec_";
/// What is shorter can be guessed.
const SHORTEST: usize = 16;

/// Signs.
#[derive(Clone)]
pub struct Signer {
    key: hmac::Key,
    /// Tells one secret from another without giving it away.
    print: [u8; 4],
    is_short: bool,
}

impl Signer {
    /// With this secret.
    pub fn new(secret: &Secret) -> Result<Signer, String> {
        let text = secret.reveal();
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => {
                BASE64_STANDARD.decode(encoded).map_err(|_| format!("what follows {PREFIX} is no base64"))?
            }
            None => text.as_bytes().to_vec(),
        };
        let mut print = [0; 4];
        print.copy_from_slice(&digest::digest(&digest::SHA256, &bytes).as_ref()[..4]);
        Ok(Signer { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), print, is_short: bytes.len() < SHORTEST })
    }

    /// Why the secret is a poor one, if it is.
    pub fn warning(&self) -> Option<String> {
        let why = || {
            format!(
                "the secret of webhooks is shorter than {SHORTEST} bytes; `openssl rand -hex 32` makes a better one"
            )
        };
        self.is_short.then(why)
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let tag = hmac::sign(&self.key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(tag))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(secret {:02x?})", self.print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_the_standard_does() {
        // The example of the Standard Webhooks libraries.
        let signer = Signer::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signed = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_short_secret_is_warned_of_and_none_is_shown() {
        let short = |secret: &str| Signer::new(&Secret::new(secret)).unwrap().warning().is_some();
        assert!(short("short") && short("whsec_AAAA") && !short("a long enough secret"));
        assert!(Signer::new(&Secret::new("whsec_???")).is_err());
        let shown = format!("{:?}", Signer::new(&Secret::new("a long enough secret")).unwrap());
        assert!(shown.starts_with("(secret [") && !shown.contains("long"), "{shown}");
    }
}
