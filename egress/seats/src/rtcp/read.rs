//! What a viewer says. It is opened already, so it is the viewer's own; which may be anybody, with anything in it.

use std::time::Duration;

use rtcp_types::prelude::FciParser;
use rtcp_types::{ReportBlock, Twcc, TwccPacketStatus};

use super::clock::{Ntp, duration};

/// Most packets that one transport-cc feedback is read for: a few bytes may name 65,535.
const MOST_ARRIVALS: usize = 1024;

/// One thing that a viewer says.
#[derive(Debug)]
pub enum Said<'a> {
    /// How a stream of ours arrives (RFC 3550 section 6.4).
    Report(Report),
    /// What it lacks of a stream: generic NACK (RFC 4585 section 6.2.1).
    Lacks {
        /// The stream.
        ssrc: u32,
        /// Sequence numbers.
        sequences: Sequences<'a>,
    },
    /// It needs a keyframe of a stream: PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1).
    KeyframeWanted {
        /// The stream.
        ssrc: u32,
    },
    /// What it can take of all streams together, in bit/s: REMB (draft-alvestrand-rmcat-remb-03).
    Estimate(u64),
    /// When packets came, by transport-wide numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Arrivals(Arrivals<'a>),
    /// It leaves (RFC 3550 section 6.6).
    Leaves,
}

/// The bytes are no RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what should be RTCP is not")]
pub struct Malformed;

/// Reads a packet, compound or of reduced size (RFC 5506). What is not known is passed over; nothing is said of a packet that is not
/// well-formed as a whole.
pub fn read<'a>(compound: &'a [u8], mut say: impl FnMut(Said<'a>)) -> Result<(), Malformed> {
    let mut rest = compound;
    while !rest.is_empty() {
        rest = Packet::split(rest)?.1;
    }
    rest = compound;
    while let Ok((packet, behind)) = Packet::split(rest) {
        packet.read(&mut say);
        rest = behind;
    }
    Ok(())
}

/// One packet of a compound, without padding.
struct Packet<'a> {
    /// Its count, subtype or format.
    format: u8,
    kind: u8,
    /// Behind the first four bytes.
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The first of several, and what is behind it.
    fn split(bytes: &'a [u8]) -> Result<(Packet<'a>, &'a [u8]), Malformed> {
        let [first, kind, high, low, ..] = *bytes else { return Err(Malformed) };
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        if first >> 6 != 2 || length > bytes.len() {
            return Err(Malformed);
        }
        let (packet, behind) = bytes.split_at(length);
        let mut body = &packet[4..];
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last().ok_or(Malformed)?);
            let length = body.len().checked_sub(padding).filter(|_| padding > 0).ok_or(Malformed)?;
            body = &body[..length];
        }
        Ok((Packet { format: first & 0x1f, kind, body }, behind))
    }

    fn read(self, say: &mut impl FnMut(Said<'a>)) {
        let ssrc = |at| self.body.get(at..at + 4).map(number);
        match (self.kind, self.format) {
            // Sender and receiver reports: their blocks are behind 24 and 4 bytes.
            (200, count) => self.reports(24, count, say),
            (201, count) => self.reports(4, count, say),
            (203, 1..) => say(Said::Leaves),
            (205, 1) => {
                if let (Some(ssrc), Some(entries)) = (ssrc(4), self.body.get(8..)) {
                    say(Said::Lacks { ssrc, sequences: Sequences(entries) });
                }
            }
            (205, 15) => {
                if let Some(Ok(feedback)) = self.body.get(8..).map(Twcc::parse) {
                    say(Said::Arrivals(Arrivals(feedback)));
                }
            }
            (206, 1) => {
                if let Some(ssrc) = ssrc(4) {
                    say(Said::KeyframeWanted { ssrc });
                }
            }
            (206, 4) => {
                let entries = self.body.get(8..).unwrap_or_default().chunks_exact(8);
                entries.for_each(|entry| say(Said::KeyframeWanted { ssrc: number(&entry[..4]) }));
            }
            (206, 15) => {
                if let Some(estimate) = self.body.get(8..).and_then(remb) {
                    say(Said::Estimate(estimate));
                }
            }
            _ => {}
        }
    }

    fn reports(&self, at: usize, count: u8, say: &mut impl FnMut(Said<'a>)) {
        let blocks = self.body.get(at..).unwrap_or_default().chunks_exact(ReportBlock::EXPECTED_SIZE);
        for block in blocks.take(usize::from(count)).filter_map(|block| ReportBlock::parse(block).ok()) {
            say(Said::Report(Report {
                ssrc: block.ssrc(),
                fraction_lost: block.fraction_lost(),
                // Duplicates make it negative: 24 bits with a sign.
                lost: (block.cumulative_lost() << 8).cast_signed() >> 8,
                highest: block.extended_sequence_number(),
                jitter: block.interarrival_jitter(),
                last_report: block.last_sender_report_timestamp(),
                delay: block.delay_since_last_sender_report_timestamp(),
            }));
        }
    }
}

/// How a stream arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The stream.
    pub ssrc: u32,
    /// Of the packets since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; less than 0 if more have come twice.
    pub lost: i32,
    /// Highest sequence number that has come, and in the upper half how often they have begun again.
    pub highest: u32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// Which report of ours it has seen last ([`Ntp::middle`]); 0 for none.
    pub last_report: u32,
    /// How long that was ago, in 1/65,536 s.
    pub delay: u32,
}

impl Report {
    /// From us to it and back, if it came in now. `None` without a report of ours, or where its clock is wrong.
    pub fn round_trip(&self, now: Ntp) -> Option<Duration> {
        let units = now.middle().wrapping_sub(self.last_report).wrapping_sub(self.delay);
        (self.last_report != 0 && units < 1 << 31).then(|| duration(units))
    }
}

/// Sequence numbers of a generic NACK.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a>(&'a [u8]);

impl Sequences<'_> {
    /// All of them, as they are listed; at most 17 for four bytes of the packet.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.chunks_exact(4).flat_map(|entry| {
            let first = u16::from_be_bytes([entry[0], entry[1]]);
            let following = u16::from_be_bytes([entry[2], entry[3]]);
            let following = (0..16).filter(move |bit| following >> bit & 1 != 0);
            std::iter::once(first).chain(following.map(move |bit| first.wrapping_add(bit + 1)))
        })
    }
}

/// When packets came, by one feedback of transport-cc.
#[derive(Debug)]
pub struct Arrivals<'a>(Twcc<'a>);

impl Arrivals<'_> {
    /// Which feedback of the viewer's this is, to see when one is lost.
    pub fn number(&self) -> u8 {
        self.0.feedback_packet_count()
    }

    /// Transport-wide numbers, and when each came by the viewer's clock, in µs from an unknown beginning; `None` for one that has
    /// not come. The clock begins again after 12 days. At most 1,024.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Option<i64>)> {
        let mut clock = i64::from(self.0.reference_time()) * 64_000;
        self.0.packets().take(MOST_ARRIVALS).map_while(Result::ok).map(move |(sequence, status)| {
            let arrived = match status {
                TwccPacketStatus::NotReceived => None,
                TwccPacketStatus::Received { delta } => {
                    clock += i64::from(delta) * 250;
                    Some(clock)
                }
            };
            (sequence, arrived)
        })
    }
}

/// "REMB", the number of SSRCs that follow, and a bit rate of 6 bits exponent and 18 bits mantissa.
fn remb(bytes: &[u8]) -> Option<u64> {
    let [b'R', b'E', b'M', b'B', _, high, middle, low, ..] = *bytes else { return None };
    let mantissa = u64::from(high & 3) << 16 | u64::from(middle) << 8 | u64::from(low);
    // The exponent is at most 63.
    Some(mantissa.saturating_mul(1 << (high >> 2)))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests;
