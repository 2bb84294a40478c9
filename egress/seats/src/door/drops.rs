//! What came in by the media port and led to nothing, counted by reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Reasons with the names that `Server::dropped` gives them.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $reason:ident = $name:literal,)+) => {
        /// Why something was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($(#[doc = $doc])+ $reason,)+
        }

        const NAMES: [&str; [$($name),+].len()] = [$($name),+];
    };
}

reasons! {
    /// Neither STUN nor DTLS nor SRTP (RFC 7983), or longer than any of these is.
    Garbage = "garbage",
    /// STUN, but no readable binding request.
    StunMalformed = "stun_malformed",
    /// A binding request for a seat that there is not, or not any more.
    StunStranger = "stun_stranger",
    /// A binding request by somebody who does not know the seat's password.
    StunForged = "stun_forged",
    /// A player that wants us to lead (RFC 8445 section 7.3.1.1); it is told not to.
    StunRole = "stun_role",
    /// DTLS from where no binding request came from.
    DtlsStranger = "dtls_stranger",
    /// No whole DTLS records, or longer messages than any viewer has.
    DtlsMalformed = "dtls_malformed",
    /// DTLS before the player has described itself.
    DtlsEarly = "dtls_early",
    /// More DTLS than one viewer sends, or than the handshake threads get done.
    DtlsFlood = "dtls_flood",
    /// A handshake that failed: once for each.
    DtlsFailed = "dtls_failed",
    /// SRTP from where no binding request came from, or before there are keys.
    MediaStranger = "media_stranger",
    /// More than a viewer has to report.
    MediaFlood = "media_flood",
    /// Answers that the kernel did not take.
    Unsent = "unsent",
    /// Connections that were one too many.
    TcpTooMany = "tcp_too_many",
    /// Connections by which no valid binding request came in time, or something else did.
    TcpStranger = "tcp_stranger",
    /// Connections by which a frame came that is longer than anything a viewer has to say.
    TcpMalformed = "tcp_malformed",
}

/// How often there was each.
#[derive(Debug, Default)]
pub(crate) struct Drops([AtomicU64; NAMES.len()]);

impl Drops {
    pub(crate) fn count(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.iter().map(|c| c.load(Relaxed));
        NAMES.into_iter().zip(counts).collect()
    }
}
