//! What the two sides of a connection have told each other: taken out of descriptions by the egress, and put into its own.

use node::media::PerKind;

/// A viewer's seat. Numbers are not used again while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat(pub u64);

/// `a=ice-ufrag`, `a=ice-pwd` (RFC 8839 section 5.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// 4 to 256 characters.
    pub user: String,
    /// 22 to 256 characters.
    pub password: String,
}

/// `a=fingerprint` (RFC 8122 section 5): what the other side's certificate must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// As the description has it, in small letters: `sha-256`.
    pub algorithm: String,
    /// The hash.
    pub bytes: Vec<u8>,
}

/// The player's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its ICE credentials.
    pub ice: Credentials,
    /// Its certificates: one of them must be what DTLS shows.
    pub fingerprints: Vec<Fingerprint>,
    /// It begins the DTLS handshake (`a=setup:active`); otherwise we do.
    pub begins: bool,
    /// What it takes.
    pub media: PerKind<Option<Taken>>,
}

/// What a player takes of one medium, in its own numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// `a=mid`.
    pub mid: String,
    /// Payload type of the codec.
    pub payload_type: u8,
    /// Payload type of retransmissions (RFC 4588), if it takes these.
    pub rtx: Option<u8>,
    /// SSRC that we have said: of the stream, and of its retransmissions.
    pub ssrc: u32,
    /// See [`Taken::rtx`].
    pub rtx_ssrc: u32,
    /// Header extensions by the player's numbers.
    pub extensions: Extensions,
    /// It may send generic NACKs.
    pub nack: bool,
    /// It may ask for keyframes.
    pub pli: bool,
}

/// Numbers (1 to 14) of the header extensions that we write; none for those that were not agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    pub mid: Option<u8>,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    pub transport_cc: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    pub abs_send_time: Option<u8>,
}
