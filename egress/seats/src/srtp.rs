//! SRTP and SRTCP (RFC 3711, RFC 7714, keys by RFC 5764): what goes out is sealed, what comes in is opened.

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`
    Aes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`
    Aes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`
    Aes128Cm,
}

/// Both sides' keys of a connection.
#[derive(Clone)]
pub struct Keys {
    /// How packets are protected.
    pub profile: Profile,
    /// Master key and salt of what we send.
    pub ours: Vec<u8>,
    /// Master key and salt of what the viewer sends.
    pub theirs: Vec<u8>,
}
