//! What goes out.

use super::derive::{Protocol, Session};
use super::transform::{Transform, Way};
use super::{ENCRYPTED, Error, INDEX, Keys, Profile, RTCP_HEADER, RTP_HEADER};

/// Seals what one viewer is sent.
pub struct Sealer {
    profile: Profile,
    rtp: Transform,
    rtcp: Transform,
    /// Of the next RTCP packet. Other implementations begin with 1, too.
    pub(super) index: u32,
}

impl Sealer {
    /// With our keys of a connection.
    pub fn new(keys: &Keys) -> Result<Sealer, Error> {
        let transform = |protocol| {
            let session = Session::derive(keys.profile, &keys.ours, protocol)?;
            Transform::new(keys.profile, &session, Way::Seal)
        };
        Ok(Sealer::with(keys.profile, transform(Protocol::Rtp)?, transform(Protocol::Rtcp)?))
    }

    pub(super) fn with(profile: Profile, rtp: Transform, rtcp: Transform) -> Sealer {
        Sealer { profile, rtp, rtcp, index: 1 }
    }

    /// How packets are protected, and so how much longer they get.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Seals an RTP packet into `out`: `header` (with contributing sources and extension) stays readable, the pieces of `payload`
    /// follow it encrypted. `roc`: how often the sequence number has come to 0 again. `out` is exactly as long as all this and
    /// [`Profile::rtp_overhead`].
    ///
    /// **Never two different packets of the same SSRC, `roc` and sequence number**, not even when they differ in an
    /// extension only: that gives keys away (RFC 3711 section 9.1, RFC 7714 section 10.1). A packet that is sent again is the same
    /// in every byte, or is a retransmission by RFC 4588 with SSRC and number of its own.
    pub fn rtp(&mut self, roc: u32, header: &[u8], payload: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
        let length = header.len() + payload.iter().map(|piece| piece.len()).sum::<usize>();
        if header.len() < RTP_HEADER || out.len() != length + self.profile.rtp_overhead() {
            return Err(Error::Length);
        }
        let index = u64::from(roc) << 16 | u64::from(u16::from_be_bytes([header[2], header[3]]));
        let of = (u32::from_be_bytes([header[8], header[9], header[10], header[11]]), index);
        let (packet, tag) = out.split_at_mut(length);
        let (head, body) = packet.split_at_mut(header.len());
        head.copy_from_slice(header);
        match &mut self.rtp {
            Transform::Gcm(gcm) => gcm.seal(of, &[header], payload, body, tag)?,
            Transform::Counter(counter) => {
                counter.seal(of, payload, body)?;
                tag.copy_from_slice(&counter.tag(&[packet, &roc.to_be_bytes()]));
            }
        }
        Ok(())
    }

    /// Seals an RTCP packet, compound or not, into `out`, which is exactly as long as it and [`Profile::rtcp_overhead`].
    pub fn rtcp(&mut self, packet: &[u8], out: &mut [u8]) -> Result<(), Error> {
        if packet.len() < RTCP_HEADER || out.len() != packet.len() + self.profile.rtcp_overhead() {
            return Err(Error::Length);
        }
        if self.index >= ENCRYPTED {
            return Err(Error::Exhausted);
        }
        let (header, body) = packet.split_at(RTCP_HEADER);
        let of = (u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]), u64::from(self.index));
        let index = (self.index | ENCRYPTED).to_be_bytes();
        self.index += 1;
        let (head, rest) = out.split_at_mut(RTCP_HEADER);
        head.copy_from_slice(header);
        match &mut self.rtcp {
            // The index is behind the tag (RFC 7714 section 9.3) …
            Transform::Gcm(gcm) => {
                let (sealed, rest) = rest.split_at_mut(body.len());
                let (tag, last) = rest.split_at_mut(self.profile.tag());
                gcm.seal(of, &[header, &index], &[body], sealed, tag)?;
                last.copy_from_slice(&index);
            }
            // … or before it (RFC 3711 section 3.4).
            Transform::Counter(counter) => {
                counter.seal(of, &[body], &mut rest[..body.len()])?;
                rest[body.len()..][..INDEX].copy_from_slice(&index);
                let (signed, tag) = out.split_at_mut(packet.len() + INDEX);
                tag.copy_from_slice(&counter.tag(&[signed]));
            }
        }
        Ok(())
    }
}
