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
const LONGEST_MESSAGE: u32 = 16 * 1024;
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
        Ok(Association { stream: SslStream::new(ssl, Wire::default())?, begins, fingerprints, up: false })
    }
}

/// A viewer's DTLS.
pub(crate) struct Association {
    stream: SslStream<Wire>,
    begins: bool,
    fingerprints: Vec<Fingerprint>,
    up: bool,
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
}

impl From<ErrorStack> for Broken {
    fn from(error: ErrorStack) -> Broken {
        Broken::Failed(error.to_string())
    }
}

impl Association {
    /// A datagram has come.
    pub(crate) fn receive(&mut self, datagram: &[u8]) -> Result<Progress, Broken> {
        self.stream.get_mut().came = Some(datagram.to_vec());
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

/// The datagram consists of DTLS records, no handshake message of it says to be longer than one of a viewer's can be, and what is
/// said to be encrypted can be.
pub(crate) fn plausible(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while !rest.is_empty() {
        // Type, version, epoch, sequence number, length (RFC 6347 section 4.1).
        let Some((header, after)) = rest.split_first_chunk::<13>() else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let Some((record, after)) = after.split_at_checked(length) else {
            return false;
        };
        let plain = header[3..5] == [0, 0];
        if header[0] == 22 && plain && !are_messages(record) {
            return false;
        }
        // Anybody could have sent it, and OpenSSL (3.0) would give the whole association up for it.
        if !plain && record.len() < SEALED_LEAST {
            return false;
        }
        rest = after;
    }
    !datagram.is_empty()
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Passes datagrams from one to the other until both have nothing to say; `lost` says which do not come.
    fn talk(
        [a, b]: [&mut Association; 2],
        mut lost: impl FnMut() -> bool,
    ) -> Result<[Option<Keys>; 2], Broken> {
        let mut keys = [None, None];
        let mut quiet = 0;
        while quiet < 2 {
            for who in 0..2 {
                let (from, to) = if who == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
                let datagrams = from.output();
                quiet = if datagrams.is_empty() { quiet + 1 } else { 0 };
                for datagram in datagrams {
                    assert!(plausible(&datagram) && datagram.len() <= MTU as usize);
                    if lost() {
                        continue;
                    }
                    if let Progress::Up(up) = to.receive(&datagram)? {
                        keys[1 - who] = Some(*up);
                    }
                }
            }
        }
        Ok(keys)
    }

    fn pair() -> (Association, Association) {
        let (ours, theirs) = (Identity::new().unwrap(), Identity::new().unwrap());
        (
            theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap(),
            ours.associate(true, vec![theirs.fingerprint.clone()]).unwrap(),
        )
    }

    #[test]
    fn both_sides_have_the_same_keys_and_hear_of_the_end() {
        let (mut viewer, mut server) = pair();
        viewer.tick().unwrap();
        let [theirs, ours] = talk([&mut viewer, &mut server], || false).unwrap();
        let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
        assert_eq!(ours.profile, Profile::Aes128Gcm);
        assert!(ours.ours == theirs.theirs && ours.theirs == theirs.ours);
        assert!(ours.ours != ours.theirs && ours.ours.len() == 28);

        server.close();
        let goodbye = server.output().pop_front().unwrap();
        assert!(matches!(viewer.receive(&goodbye), Ok(Progress::Closed)));
    }

    #[test]
    fn goodbyes_are_heard_and_said_without_the_association() {
        for viewer_begins in [true, false] {
            let (mut a, mut b) = pair();
            a.tick().unwrap();
            talk([&mut a, &mut b], || false).unwrap();
            let (mut viewer, server) = if viewer_begins { (a, b) } else { (b, a) };
            let farewell = server.farewell().unwrap();
            drop(server);

            let said = farewell.say().unwrap();
            assert!(plausible(&said) && !farewell.is_in(&said));
            assert!(matches!(viewer.receive(&said), Ok(Progress::Closed)));

            viewer.close();
            let goodbye = viewer.output().pop_back().unwrap();
            assert!(farewell.is_in(&goodbye));
            for at in 0..goodbye.len() {
                let mut forged = goodbye.clone();
                forged[at] ^= 1;
                assert!(!farewell.is_in(&forged), "{at}");
                assert!(!farewell.is_in(&goodbye[..at]));
            }
        }
    }

    #[test]
    fn a_flight_that_gets_lost_is_sent_again() {
        let (mut viewer, mut server) = pair();
        viewer.tick().unwrap();
        let mut first = true;
        let keys = talk([&mut viewer, &mut server], || std::mem::take(&mut first)).unwrap();
        assert!(keys.iter().all(Option::is_none));
        let keys = loop {
            viewer.tick().unwrap();
            if !viewer.stream.get_ref().goes.is_empty() {
                break talk([&mut viewer, &mut server], || false).unwrap();
            }
            std::thread::yield_now();
        };
        assert!(keys.iter().all(Option::is_some));
    }

    #[test]
    fn another_certificate_than_the_descriptions_is_refused() {
        let (ours, theirs) = (Identity::new().unwrap(), Identity::new().unwrap());
        let mut viewer = theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap();
        for fingerprints in [vec![ours.fingerprint.clone()], Vec::new()] {
            let mut server = ours.associate(true, fingerprints).unwrap();
            viewer.tick().unwrap();
            let refused = talk([&mut viewer, &mut server], || false).err();
            assert!(matches!(refused, Some(Broken::Stranger)), "{refused:?}");
            viewer = theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap();
        }
    }

    #[test]
    fn only_records_of_a_sane_length_are_plausible() {
        let (mut viewer, _) = pair();
        viewer.tick().unwrap();
        let hello = viewer.output().pop_front().unwrap();
        assert!(plausible(&hello));
        assert!(plausible(&[hello.clone(), hello.clone()].concat()));
        assert!(!plausible(&hello[..hello.len() - 1]));
        assert!(!plausible(&[]));
        assert!(!plausible(&[22; 12]));
        let mut long = hello.clone();
        long[14] = 1;
        assert!(!plausible(&long), "a message of 64 KiB");

        // As some put them: several messages in one record.
        let with = |message: &[u8]| {
            let mut record = [&hello, message].concat();
            let length = (record.len() - 13) as u16;
            record[11..13].copy_from_slice(&length.to_be_bytes());
            record
        };
        assert!(plausible(&with(&hello[13..])));
        let behind = [11, 1, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 1, 7];
        assert!(!plausible(&with(&behind)), "a message of 98 KiB behind another");
        assert!(!plausible(&with(&behind[..11])), "half a header");
    }

    /// Whoever can send from the viewer's address, but has no keys, ends nothing: neither garbage nor an alert that is not encrypted.
    #[test]
    fn what_strangers_send_does_not_end_it() {
        let forge = |server: &mut Association, epochs: &[u8]| {
            for (epoch, kind) in epochs.iter().flat_map(|epoch| (20..=24).map(move |kind| (*epoch, kind))) {
                for length in [0, 2, 23, 24, 26, 200] {
                    let header = [kind, 254, 253, 0, epoch, 0, 0, 0, 0, 1, kind, 0, length];
                    let record = [&header[..], &vec![2; usize::from(length)]].concat();
                    if !plausible(&record) {
                        continue;
                    }
                    let heard = server.receive(&record);
                    assert!(
                        matches!(heard, Ok(Progress::Goes)),
                        "{kind} {epoch} {length}: {:?}",
                        heard.err()
                    );
                }
            }
        };
        let (mut viewer, mut server) = pair();
        // What is not encrypted is anybody's until the handshake is over.
        forge(&mut server, &[1, 2]);
        viewer.tick().unwrap();
        server.receive(&viewer.output().pop_front().unwrap()).unwrap();
        forge(&mut server, &[1, 2]);
        talk([&mut viewer, &mut server], || false).unwrap();
        assert!(server.is_up());
        forge(&mut server, &[0, 1, 2]);
        viewer.close();
        let goodbye = viewer.output().pop_back().unwrap();
        assert!(matches!(server.receive(&goodbye), Ok(Progress::Closed)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_record_of_a_stranger_ends_it(
            records in prop::collection::vec(
                (20..=25_u8, prop::sample::select(vec![[254, 253], [254, 255], [3, 3]]), 0..4_u8, 0..4_u8,
                    prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..1300)]),
                1..40,
            ),
            whole: bool,
        ) {
            let (mut viewer, mut server) = pair();
            viewer.tick().unwrap();
            talk([&mut viewer, &mut server], || false).unwrap();
            let records: Vec<Vec<u8>> = records.iter().map(|(kind, version, epoch, nth, body)| {
                let [high, low] = (body.len() as u16).to_be_bytes();
                let header = [*kind, version[0], version[1], 0, *epoch, 0, 0, 0, 0, 0, *nth, high, low];
                [&header[..], body].concat()
            }).collect();
            let together = if whole { 2 } else { 1 };
            for datagram in records.chunks(together).map(<[_]>::concat).filter(|bytes| plausible(bytes)) {
                let heard = server.receive(&datagram);
                prop_assert!(matches!(heard, Ok(Progress::Goes)), "{:?}", heard.err());
            }
            viewer.close();
            let goodbye = viewer.output().pop_back().unwrap();
            prop_assert!(matches!(server.receive(&goodbye), Ok(Progress::Closed)));
        }
    }
}
