//! HMAC-SHA1 (RFC 2104) whose key is hashed once. OpenSSL's own would hash it again for every packet, or allocate; and what it looks
//! up for every use takes longer than the packets of viewers do.

use openssl::sha::{Sha1, sha1};

/// Bytes that SHA-1 takes at a time.
const BLOCK: usize = 64;

/// A key.
pub(crate) struct Hmac {
    inner: Sha1,
    outer: Sha1,
}

impl Hmac {
    pub(crate) fn new(key: &[u8]) -> Hmac {
        let mut block = [0; BLOCK];
        match block.get_mut(..key.len()) {
            Some(begin) => begin.copy_from_slice(key),
            None => block[..20].copy_from_slice(&sha1(key)),
        }
        let begun = |pad: u8| {
            let mut hash = Sha1::new();
            hash.update(&block.map(|byte| byte ^ pad));
            hash
        };
        Hmac { inner: begun(0x36), outer: begun(0x5c) }
    }

    /// Of all these parts, one after the other.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> [u8; 20] {
        let mut inner = self.inner.clone();
        parts.iter().for_each(|part| inner.update(part));
        let mut outer = self.outer.clone();
        outer.update(&inner.finish());
        outer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::tests::bytes;

    #[test]
    fn hmac_is_that_of_rfc_2202() {
        // Test cases 1, 2, 6.
        let hmac = Hmac::new(&[0x0b; 20]);
        let wanted = bytes("b617318655057264e28bc0b6fb378c8ef146be00");
        assert_eq!(hmac.of(&[b"Hi There"])[..], wanted);
        assert_eq!(hmac.of(&[b"Hi ", b"", b"There"])[..], wanted);
        let short = Hmac::new(b"Jefe").of(&[b"what do ya want for nothing?"]);
        assert_eq!(short[..], bytes("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
        let long = Hmac::new(&[0xaa; 80]).of(&[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(long[..], bytes("aa4ae5e15272d00e95705637ce8a3b55ed402112"));
    }
}
