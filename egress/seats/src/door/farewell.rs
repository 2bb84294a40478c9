//! What is kept of a viewer's DTLS once media flows: as much as it takes to hear and to say goodbye, some hundred bytes. OpenSSL's
//! association would be some fifty thousand. RFC 5246 sections 5 and 6.3, RFC 5288, RFC 6347 section 4.1.

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::ssl::SslRef;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};

/// Bytes in front of a record's contents: type, version, epoch, sequence number, length; then those of the nonce.
const HEADER: usize = 13;
const NONCE: usize = 8;
const TAG: usize = 16;
/// DTLS 1.2; the first epoch that is encrypted; a sequence number that no handshake gets to.
const VERSION: [u8; 2] = [254, 253];
const EPOCH: [u8; 2] = [0, 1];
const LATE: [u8; 6] = [0, 1, 0, 0, 0, 0];
/// Content type, level `warning`, description `close_notify`.
const ALERT: u8 = 21;
const CLOSE_NOTIFY: [u8; 2] = [1, 0];
const FATAL: u8 = 2;

/// Both sides' keys of the association itself.
pub(crate) struct Farewell {
    cipher: Cipher,
    ours: Key,
    theirs: Key,
}

struct Key {
    key: Vec<u8>,
    salt: [u8; 4],
}

impl Farewell {
    /// Of an association that is up; `None`: it has another cipher than AES-GCM, or OpenSSL does not tell.
    pub(crate) fn new(ssl: &SslRef, we_are_client: bool) -> Option<Farewell> {
        let (cipher, digest) = match ssl.current_cipher()?.name() {
            name if name.ends_with("AES128-GCM-SHA256") => (Cipher::aes_128_gcm(), MessageDigest::sha256()),
            name if name.ends_with("AES256-GCM-SHA384") => (Cipher::aes_256_gcm(), MessageDigest::sha384()),
            _ => return None,
        };
        let mut master = [0; 48];
        let mut seed = b"key expansion".to_vec();
        let mut random = [0; 32];
        if ssl.session()?.master_key(&mut master) != master.len() {
            return None;
        }
        ssl.server_random(&mut random);
        seed.extend_from_slice(&random);
        ssl.client_random(&mut random);
        seed.extend_from_slice(&random);
        let length = cipher.key_len();
        let block = expand(digest, &master, &seed, 2 * (length + 4)).ok()?;
        let (keys, salts) = block.split_at(2 * length);
        let of = |who: usize| {
            let salt = *salts[4 * who..].first_chunk()?;
            Some(Key { key: keys[who * length..][..length].to_vec(), salt })
        };
        let (client, server) = (of(0)?, of(1)?);
        let (ours, theirs) = if we_are_client { (client, server) } else { (server, client) };
        Some(Farewell { cipher, ours, theirs })
    }

    /// The viewer says goodbye in this datagram, or that all is over.
    pub(crate) fn is_in(&self, datagram: &[u8]) -> bool {
        let mut rest = datagram;
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let Some((record, after)) = after.split_at_checked(length) else { return false };
            if header[0] == ALERT
                && let Some(alert) = self.open(header, record)
                && (alert == CLOSE_NOTIFY || alert[0] == FATAL)
            {
                return true;
            }
            rest = after;
        }
        false
    }

    /// A datagram that says it.
    pub(crate) fn say(&self) -> Option<Vec<u8>> {
        let mut record = vec![ALERT];
        record.extend_from_slice(&VERSION);
        record.extend_from_slice(&EPOCH);
        record.extend_from_slice(&LATE);
        record.extend_from_slice(&((NONCE + CLOSE_NOTIFY.len() + TAG) as u16).to_be_bytes());
        let nonce = [&EPOCH[..], &LATE].concat();
        let mut tag = [0; TAG];
        let key = &self.ours;
        let iv = [&key.salt[..], &nonce].concat();
        let known = known(&record, CLOSE_NOTIFY.len());
        let sealed = encrypt_aead(self.cipher, &key.key, Some(&iv), &known, &CLOSE_NOTIFY, &mut tag).ok()?;
        Some([&record, &nonce, &sealed, &tag[..]].concat())
    }

    fn open(&self, header: &[u8; HEADER], record: &[u8]) -> Option<[u8; 2]> {
        let (nonce, sealed) = record.split_at_checked(NONCE)?;
        let (sealed, tag) = sealed.split_at_checked(2)?;
        if header[3..5] != EPOCH || tag.len() != TAG {
            return None;
        }
        let key = &self.theirs;
        let iv = [&key.salt[..], nonce].concat();
        let known = known(header, sealed.len());
        let alert = decrypt_aead(self.cipher, &key.key, Some(&iv), &known, sealed, tag).ok()?;
        alert.try_into().ok()
    }
}

/// What is authenticated beside the contents: epoch and sequence number, type, version, length (RFC 5246 section 6.2.3.3).
fn known(header: &[u8], length: usize) -> Vec<u8> {
    [&header[3..11], &header[..3], &(length as u16).to_be_bytes()].concat()
}

/// `P_hash` (RFC 5246 section 5).
fn expand(digest: MessageDigest, secret: &[u8], seed: &[u8], length: usize) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(secret)?;
    let hmac = |parts: [&[u8]; 2]| {
        let mut signer = Signer::new(digest, &key)?;
        parts.into_iter().try_for_each(|part| signer.update(part))?;
        signer.sign_to_vec()
    };
    let mut out = Vec::new();
    let mut a = hmac([seed, &[]])?;
    while out.len() < length {
        out.extend(hmac([&a, seed])?);
        a = hmac([&a, &[]])?;
    }
    out.truncate(length);
    Ok(out)
}
