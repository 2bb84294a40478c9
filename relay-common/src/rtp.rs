//! What RTP says that everything here goes by, in the kernel and outside: RFC 3550 and, where both come by one port, RFC 5761.
//! Outside the kernel `node::media` builds on it.

/// Length of an RTP header without contributing sources and extension (RFC 3550 section 5.1).
pub const HEADER: usize = 12;

/// A jump forward of so much is no loss: the sequence restarted (RFC 3550 appendix A.1, MAX_DROPOUT).
pub const MAX_DROPOUT: u16 = 3000;

/// True when a packet of version 2 with this second byte is RTCP: as RTP it would be of a payload type from 64 to 95 with
/// the marker bit set, and those are not used (RFC 5761 section 4).
#[inline(always)]
pub const fn is_rtcp(second: u8) -> bool {
    second >= 192 && second <= 223
}
