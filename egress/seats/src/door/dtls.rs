//! DTLS of one viewer (RFC 6347, RFC 5764) by OpenSSL, without I/O: datagrams in, datagrams and keys out.
//!
//! OpenSSL itself and not one of the crates that wrap it for WebRTC: all viewers share one context, a lost flight is sent again,
//! and there is no assertion that what comes off the wire could reach.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509Name};

use super::farewell::Farewell;
use crate::peer::Fingerprint;
use crate::srtp::{Keys, Profile};

/// What we offer and take, the cheapest for a packet first.
const PROFILES: &str = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80";
/// With forward secrecy, and those that [`Farewell`] knows: all of WebRTC must have the first of them (RFC 8827 section 6.5).
const CIPHERS: &str = "ECDHE+AESGCM";
/// Bytes of a datagram that we send at most: goes through every tunnel.
const MTU: u32 = 1200;
/// A handshake message that says to be longer is not one of a viewer: a ClientHello with post-quantum keys and a chain of
/// certificates are some thousand bytes. OpenSSL sets memory aside for what a message says to be.
const LONGEST_MESSAGE: u32 = 8 * 1024;
/// Bytes of a handshake at most: all flights of such a viewer, some times each.
const HANDSHAKE_MOST: usize = 64 * 1024;
/// Encrypted records of a handshake at most: its last message, some times. OpenSSL keeps a hundred of those that come too early, each
/// with 17 KiB around it.
const SEALED_MOST: usize = 8;
/// Kinds of records (RFC 5246 section 6.2.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
/// Bytes of an encrypted record's nonce and tag, by any of [`CIPHERS`] (RFC 5288 section 3).
const SEALED_LEAST: usize = 8 + 16;

/// Who we are to all viewers.
pub(crate) struct Identity {
    context: SslContext,
    /// Of the certificate.
    pub(crate) fingerprint: Fingerprint,
}

impl Identity {
    /// With a new key and certificate.
    pub(crate) fn new() -> Result<Identity, ErrorStack> {
        let (key, certificate) = certificate()?;
        let mut context = SslContextBuilder::new(SslMethod::dtls())?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_cipher_list(CIPHERS)?;
        context.set_tlsext_use_srtp(PROFILES)?;
        context.set_private_key(&key)?;
        context.set_certificate(&certificate)?;
        // Who it is says the description's fingerprint, which is compared when the handshake is over.
        let verify = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_verify_callback(verify, |_, _| true);
        context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
        // Nobody comes back with a session, and each that is kept is memory.
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_mode(SslMode::RELEASE_BUFFERS);
        Ok(Identity {
            context: context.build(),
            fingerprint: Fingerprint {
                algorithm: "sha-256".to_owned(),
                bytes: certificate.digest(MessageDigest::sha256())?.to_vec(),
            },
        })
    }

    /// A viewer who has described itself; `begins`: it sends the first flight, not we.
    pub(crate) fn associate(
        &self,
        begins: bool,
        fingerprints: Vec<Fingerprint>,
    ) -> Result<Association, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_mtu(MTU)?;
        if begins {
            ssl.set_accept_state();
        } else {
            ssl.set_connect_state();
        }
        let stream = SslStream::new(ssl, Wire::default())?;
        Ok(Association {
            stream,
            begins,
            fingerprints,
            up: false,
            bytes: 0,
            sealed: 0,
            seals: false,
            early: None,
        })
    }
}

/// A viewer's DTLS.
pub(crate) struct Association {
    stream: SslStream<Wire>,
    begins: bool,
    fingerprints: Vec<Fingerprint>,
    up: bool,
    /// Bytes of the handshake so far, and encrypted records that OpenSSL got.
    bytes: usize,
    sealed: usize,
    /// The viewer says that it encrypts from now on (change_cipher_spec).
    seals: bool,
    /// What it has encrypted last, if that came before it said so.
    early: Option<Vec<u8>>,
}

/// What a datagram has brought about.
pub(crate) enum Progress {
    /// Nothing that others need to know.
    Goes,
    /// The handshake is over.
    Up(Box<Keys>),
    /// The viewer has said goodbye (`close_notify`).
    Closed,
}

/// Why there is no association any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the DTLS handshake failed: {0}")]
    Failed(String),
    #[error("its certificate is not the one of its description")]
    Stranger,
    #[error("it takes no SRTP profile of ours")]
    NoProfile,
    #[error("its DTLS handshake had no end")]
    Endless,
}

impl From<ErrorStack> for Broken {
    fn from(error: ErrorStack) -> Broken {
        Broken::Failed(error.to_string())
    }
}

impl Association {
    /// A datagram has come, a [plausible] one.
    pub(crate) fn receive(&mut self, datagram: &[u8]) -> Result<Progress, Broken> {
        if self.up {
            return self.take(datagram.to_vec());
        }
        self.bytes += datagram.len();
        if self.bytes > HANDSHAKE_MOST {
            return Err(Broken::Endless);
        }
        let (sealed, plain): (Vec<Record>, Vec<Record>) =
            records(datagram).flatten().partition(Record::is_sealed);
        self.seals |= plain.iter().any(|record| record.kind == CHANGE_CIPHER_SPEC);
        let plain: Vec<u8> = plain.iter().flat_map(|record| record.bytes).copied().collect();
        let sealed: Vec<Vec<u8>> =
            self.early.take().into_iter().chain(sealed.iter().map(|record| record.bytes.to_vec())).collect();
        let mut progress = Progress::Goes;
        if !plain.is_empty() {
            progress = self.take(plain)?;
        }
        for record in sealed {
            if !matches!(progress, Progress::Goes) {
                break;
            }
            if self.seals && self.sealed < SEALED_MOST {
                self.sealed += 1;
                progress = self.take(record)?;
            } else {
                self.early = Some(record);
            }
        }
        if self.up {
            self.early = None;
        }
        Ok(progress)
    }

    /// Gives OpenSSL a datagram.
    fn take(&mut self, datagram: Vec<u8>) -> Result<Progress, Broken> {
        self.stream.get_mut().came = Some(datagram);
        let progress = if self.up { self.read() } else { self.shake() };
        // What OpenSSL has not read now it never needs: datagrams may get lost.
        self.stream.get_mut().came = None;
        progress
    }

    /// Time has passed: sends the first flight, or one again that seems to be lost. OpenSSL knows when (1 s, then twice as long).
    pub(crate) fn tick(&mut self) -> Result<Progress, Broken> {
        if self.up {
            return Ok(Progress::Goes);
        }
        self.shake()
    }

    /// Datagrams to send.
    pub(crate) fn output(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.stream.get_mut().goes)
    }

    /// Says goodbye; the datagrams are in [`Self::output`].
    pub(crate) fn close(&mut self) {
        if self.up {
            // If it cannot be said, the viewer finds out by silence.
            let _ = self.stream.shutdown();
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// How far it has come, in OpenSSL's words.
    pub(crate) fn stage(&self) -> &'static str {
        self.stream.ssl().state_string_long()
    }

    /// What is needed of it from now on, if that can be told.
    pub(crate) fn farewell(&self) -> Option<Farewell> {
        if self.up { Farewell::new(self.stream.ssl(), !self.begins) } else { None }
    }

    fn shake(&mut self) -> Result<Progress, Broken> {
        match self.stream.do_handshake() {
            Ok(()) => {
                self.up = true;
                self.check_certificate()?;
                self.keys().map(|k| Progress::Up(Box::new(k)))
            }
            Err(error) if goes_on(&error) => Ok(Progress::Goes),
            Err(error) => Err(Broken::Failed(error.to_string())),
        }
    }

    /// After the handshake there is nothing to read but the end, and flights that we had answered before (answered again).
    fn read(&mut self) -> Result<Progress, Broken> {
        let mut ignored = [0; 2048];
        loop {
            match self.stream.ssl_read(&mut ignored) {
                Ok(_) => {}
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    return Ok(Progress::Closed);
                }
                Err(error) if goes_on(&error) => return Ok(Progress::Goes),
                Err(error) => return Err(Broken::Failed(error.to_string())),
            }
        }
    }

    /// RFC 8122 section 6.2: the certificate is that of one of the description's fingerprints.
    fn check_certificate(&self) -> Result<(), Broken> {
        let certificate = self.stream.ssl().peer_certificate();
        let certificate = certificate.ok_or(Broken::Stranger)?;
        for fingerprint in &self.fingerprints {
            let Some(digest) = digest(&fingerprint.algorithm) else {
                continue;
            };
            if *certificate.digest(digest)? == fingerprint.bytes[..] {
                return Ok(());
            }
        }
        Err(Broken::Stranger)
    }

    fn keys(&self) -> Result<Keys, Broken> {
        let ssl = self.stream.ssl();
        let profile = match ssl.selected_srtp_profile().ok_or(Broken::NoProfile)?.id() {
            SrtpProfileId::SRTP_AEAD_AES_128_GCM => Profile::Aes128Gcm,
            SrtpProfileId::SRTP_AEAD_AES_256_GCM => Profile::Aes256Gcm,
            SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Profile::Aes128Cm,
            _ => return Err(Broken::NoProfile),
        };
        let mut material = vec![0; profile.keying_material()];
        ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None)?;
        Keys::from_dtls(profile, &material, !self.begins).map_err(|e| Broken::Failed(e.to_string()))
    }
}

fn goes_on(error: &openssl::ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

/// Hash functions of RFC 8122 section 5 that are not broken.
fn digest(algorithm: &str) -> Option<MessageDigest> {
    match algorithm {
        "sha-256" => Some(MessageDigest::sha256()),
        "sha-384" => Some(MessageDigest::sha384()),
        "sha-512" => Some(MessageDigest::sha512()),
        _ => None,
    }
}

/// A DTLS record (RFC 6347 section 4.1).
struct Record<'d> {
    kind: u8,
    epoch: [u8; 2],
    /// Behind its header, and with that.
    content: &'d [u8],
    bytes: &'d [u8],
}

impl Record<'_> {
    /// It is said to be encrypted.
    fn is_sealed(&self) -> bool {
        self.epoch != [0, 0]
    }
}

/// The records of a datagram; `None` in the place of what is none, which ends them.
fn records(datagram: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Type, version, epoch, sequence number, length.
        let whole = std::mem::take(&mut rest);
        let record = whole.first_chunk::<13>().and_then(|header| {
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let (bytes, after) = whole.split_at_checked(header.len() + length)?;
            rest = after;
            let (kind, epoch, content) = (header[0], [header[3], header[4]], &bytes[header.len()..]);
            Some(Record { kind, epoch, content, bytes })
        });
        Some(record)
    })
}

/// The datagram consists of DTLS records, no handshake message of it says to be longer than one of a viewer's can be, and what is
/// said to be encrypted can be.
pub(crate) fn plausible(datagram: &[u8]) -> bool {
    let is_plausible = |record: Record<'_>| match record.is_sealed() {
        // Anybody could have sent it, and OpenSSL (3.0) would give the whole association up for it.
        true => record.content.len() >= SEALED_LEAST,
        false => record.kind != HANDSHAKE || are_messages(record.content),
    };
    !datagram.is_empty() && records(datagram).all(|record| record.is_some_and(is_plausible))
}

/// They are handshake messages or fragments of some, one or more, none of which says to be longer than one of a viewer's can be.
fn are_messages(record: &[u8]) -> bool {
    let mut rest = record;
    loop {
        // Type, length, number, and of the fragment offset and length (RFC 6347 section 4.2.2).
        let Some(([_, a, b, c, .., x, y, z], after)) = rest.split_first_chunk::<12>() else {
            return false;
        };
        let [message, fragment] = [[0, *a, *b, *c], [0, *x, *y, *z]].map(u32::from_be_bytes);
        let Some(after) = after.get(fragment as usize..) else {
            return false;
        };
        if message > LONGEST_MESSAGE {
            return false;
        }
        if after.is_empty() {
            return true;
        }
        rest = after;
    }
}

/// Stands for the network: one datagram in, any number out.
#[derive(Default)]
struct Wire {
    came: Option<Vec<u8>>,
    goes: VecDeque<Vec<u8>>,
}

impl Read for Wire {
    /// One datagram; what does not fit is cut off, as the kernel does it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.came.take().ok_or(io::ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.goes.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A key and a certificate signed by itself, as all of WebRTC has them: what counts is its fingerprint.
fn certificate() -> Result<(PKey<Private>, X509), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "egress")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::ONE, false)?;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    // A clock may be wrong by a day; a server may run for years.
    certificate.set_not_before(Asn1Time::from_unix(now() - 86_400)?.as_ref())?;
    certificate.set_not_after(Asn1Time::days_from_now(3650)?.as_ref())?;
    certificate.set_pubkey(&key)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok((key, certificate.build()))
}

fn now() -> i64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests;
