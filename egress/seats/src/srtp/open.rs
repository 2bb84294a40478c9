//! What comes in: whoever can reach the media port may have written it.

use super::derive::{Protocol, Session};
use super::replay::Windows;
use super::transform::{Transform, Way, same};
use super::{ENCRYPTED, Error, INDEX, Keys, Profile, RTCP_HEADER, RTP_HEADER};

/// Why a packet is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Shorter than the shortest sealed packet, or its header is longer than it.
    Short,
    /// It has come before, or is so old that this is not known.
    Replayed,
    /// It is of one SSRC too many.
    Streams,
    /// Somebody without the keys has written or changed it, or it is not encrypted.
    Forged,
}

impl Rejected {
    /// The word for it in counters.
    pub const fn name(self) -> &'static str {
        match self {
            Rejected::Short => "srtp_short",
            Rejected::Replayed => "srtp_replayed",
            Rejected::Streams => "srtp_too_many_ssrcs",
            Rejected::Forged => "srtp_forged",
        }
    }
}

/// Opens what one viewer sends.
pub struct Opener {
    profile: Profile,
    /// A viewer sends no RTP as a rule: made when it does.
    rtp: Option<Transform>,
    keys: Keys,
    rtcp: Transform,
    rtp_windows: Windows,
    rtcp_windows: Windows,
}

impl Opener {
    /// With the viewer's keys of a connection.
    pub fn new(keys: &Keys) -> Result<Opener, Error> {
        let rtcp = transform(keys, Protocol::Rtcp)?;
        let keys = Keys { ours: Vec::new(), ..keys.clone() };
        Ok(Opener {
            profile: keys.profile,
            rtp: None,
            keys,
            rtcp,
            rtp_windows: Windows::default(),
            rtcp_windows: Windows::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn with(profile: Profile, rtp: Transform, rtcp: Transform) -> Opener {
        Opener {
            profile,
            rtp: Some(rtp),
            keys: Keys { profile, ours: Vec::new(), theirs: Vec::new() },
            rtcp,
            rtp_windows: Windows::default(),
            rtcp_windows: Windows::default(),
        }
    }

    /// Opens an RTCP packet where it is. What is rejected is of no use afterwards.
    pub fn rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8], Rejected> {
        if packet.len() < RTCP_HEADER + self.profile.rtcp_overhead() {
            return Err(Rejected::Short);
        }
        let length = packet.len() - self.profile.rtcp_overhead();
        let (head, trailer) = packet.split_at_mut(length);
        let (header, body) = head.split_at_mut(RTCP_HEADER);
        let (index, tag) = match self.rtcp {
            Transform::Gcm(_) => {
                let (tag, index) = trailer.split_at(self.profile.tag());
                (index, tag)
            }
            Transform::Counter(_) => trailer.split_at(INDEX),
        };
        let word = u32::from_be_bytes([index[0], index[1], index[2], index[3]]);
        if word & ENCRYPTED == 0 {
            return Err(Rejected::Forged);
        }
        let number = u64::from(word & !ENCRYPTED);
        let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let window = self.rtcp_windows.of(ssrc).ok_or(Rejected::Streams)?;
        let window = window.with(number).ok_or(Rejected::Replayed)?;
        let genuine = match &mut self.rtcp {
            Transform::Gcm(gcm) => gcm.open((ssrc, number), &[header, index], body, tag),
            Transform::Counter(counter) => {
                let genuine = same(&counter.tag(&[header, body, index]), tag);
                if genuine { counter.open((ssrc, number), body).map(|()| true) } else { Ok(false) }
            }
        };
        if !genuine.unwrap_or(false) {
            return Err(Rejected::Forged);
        }
        self.rtcp_windows.keep(ssrc, window);
        Ok(&packet[..length])
    }

    /// Opens an RTP packet where it is. What is rejected is of no use afterwards.
    pub fn rtp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8], Rejected> {
        let length = packet.len().checked_sub(self.profile.rtp_overhead()).ok_or(Rejected::Short)?;
        let (sealed, tag) = packet.split_at_mut(length);
        let at = readable(sealed).ok_or(Rejected::Short)?;
        let ssrc = u32::from_be_bytes([sealed[8], sealed[9], sealed[10], sealed[11]]);
        let window = self.rtp_windows.of(ssrc).ok_or(Rejected::Streams)?;
        let index = window.index(u16::from_be_bytes([sealed[2], sealed[3]])).ok_or(Rejected::Replayed)?;
        let window = window.with(index).ok_or(Rejected::Replayed)?;
        let transform = match &mut self.rtp {
            Some(transform) => transform,
            none => none.insert(transform(&self.keys, Protocol::Rtp).map_err(|_| Rejected::Forged)?),
        };
        let genuine = match transform {
            Transform::Gcm(gcm) => {
                let (header, body) = sealed.split_at_mut(at);
                gcm.open((ssrc, index), &[header], body, tag)
            }
            Transform::Counter(counter) => {
                let roc = ((index >> 16) as u32).to_be_bytes();
                let genuine = same(&counter.tag(&[sealed, &roc]), tag);
                if genuine {
                    counter.open((ssrc, index), &mut sealed[at..]).map(|()| true)
                } else {
                    Ok(false)
                }
            }
        };
        if !genuine.unwrap_or(false) {
            return Err(Rejected::Forged);
        }
        self.rtp_windows.keep(ssrc, window);
        Ok(&packet[..length])
    }
}

fn transform(keys: &Keys, protocol: Protocol) -> Result<Transform, Error> {
    Transform::new(keys.profile, &Session::derive(keys.profile, &keys.theirs, protocol)?, Way::Open)
}

/// Bytes of an RTP packet that are not encrypted: header, contributing sources, extension.
fn readable(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let mut length = RTP_HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (length <= packet.len()).then_some(length)
}
