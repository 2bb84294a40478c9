//! Whose stream it is. A stream has one source (RFC 3550 section 8.2): a packet of the same SSRC from elsewhere means that the
//! sender has moved, or that there is a loop or a second sender, and [`Stream::elsewhere`] tells which.

use super::window::REACH;
use super::{Arrival, Stream};
use crate::packet::word64;
use crate::rtp::MAX_DROPOUT;

/// The source of a stream has ended when nothing has come from it for so long, if what comes from elsewhere does not go
/// on where it was, ns. What goes round in a loop is back within milliseconds.
const SILENT: u64 = 200_000_000;
/// The same when the other is a rival: a sender that pauses (Opus with DTX is silent for 400 ms) stays the source.
pub(super) const SILENT_WITH_RIVAL: u64 = 500_000_000;
/// The same when the rival goes on where the source was, as copies in a loop never do.
const SILENT_FOR_HEIR: u64 = 30_000_000;
/// A rival has so many packets in a row, and the source none for so long: whoever does not keep up is not the source.
pub(super) const OUTPACED: (u8, u64) = (32, 50_000_000);
/// Another source is remembered for so long, ns.
pub(super) const REMEMBERED: u64 = 5_000_000_000;

/// [`Stream::flags`]: the source is a child's address.
pub const FROM_CHILD: u8 = 1;

/// What a stream's source is to where a packet from elsewhere comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same: the packet is not from elsewhere.
    Own,
    /// The same, and one of two parents: the other may send at any time.
    OneOfTwo,
    /// Nothing: each of the two may be the sender.
    Apart,
    /// Both are parents, who send the same: the former one and the new one.
    Twin,
    /// Media is not taken from there any more.
    Gone,
}

/// What a packet from elsewhere means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The sender has another address or port now: the packet is one of the stream's.
    Moved,
    /// One of the stream's, which stays where it is: late from where it came from before, or first by the other of two ways.
    Taken,
    /// It has come: by the other of two ways, or from where the sender was before.
    Repeated,
    /// The stream's own source is live: a loop, or two senders with one SSRC. Nothing of it belongs to the stream.
    Collision,
}

impl Stream {
    /// True when this is where the stream comes from.
    #[inline(always)]
    pub fn is_from(&self, source: &[u8; 16], port: u16) -> bool {
        self.source_port == port && self.is_from_address(source)
    }

    /// True when the stream comes from this address, whatever the port.
    #[inline(always)]
    pub fn is_from_address(&self, source: &[u8; 16]) -> bool {
        same_address(&self.source, source)
    }

    /// Takes a packet into account that does not come from the stream's source, if it belongs to the stream. If it does, and
    /// not as a late one or by the other of two ways, the stream comes from there from now on.
    ///
    /// The packets of a sender that has moved go on where the former ones ended, or come when those have ended. Those that
    /// go round in a loop have been here before. Whoever was here first stays: when the former source is heard again soon
    /// after with more than a late packet, it was no move.
    #[inline(always)]
    pub fn elsewhere(&mut self, source: &[u8; 16], port: u16, packet: Arrival) -> Elsewhere {
        if self.packets == 0 {
            // Only RTCP so far, which says nothing of where RTP comes from.
            self.come_from(source, port);
            self.begin_again(packet);
            return Elsewhere::Moved;
        }
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        let goes_on = ahead != 0 && ahead < MAX_DROPOUT;
        // Whoever forwards in batches, or on several CPUs, may take a packet that came earlier after one that came later.
        let quiet = packet.now.saturating_sub(self.last_seen);
        let remembered = self.other_port != 0 && packet.now.saturating_sub(self.other_seen) < REMEMBERED;
        let known = remembered && self.other_port == port && same_address(&self.other, source);
        let (former, rival) = (known && self.rival == 0, known && self.rival != 0);
        if former && !goes_on && behind <= REACH {
            let has_come = self.window.has(self.extended(ahead));
            if !has_come || !self.is_far(&packet) {
                return if self.update(packet) { Elsewhere::Taken } else { Elsewhere::Repeated };
            }
        }
        let moved = if former {
            true
        } else if rival {
            if self.last_seen > self.other_seen {
                self.run = 0;
            }
            let (packets, silent) = OUTPACED;
            (goes_on && quiet > SILENT_FOR_HEIR)
                || (self.run >= packets && quiet > silent)
                || quiet > SILENT_WITH_RIVAL
        } else {
            goes_on || quiet > SILENT
        };
        if !moved {
            self.run = if rival { self.run.saturating_add(1) } else { 1 };
            // Since when it has come by one way only is counted from the last packet of the other, and not from this.
            let seen = if self.once != 0 { self.other_seen } else { packet.now };
            self.note_other(*source, port, 1, seen);
            self.collisions += 1;
            return Elsewhere::Collision;
        }
        // A third source does not make the stream forget where it came from before.
        if known || !remembered || self.rival != 0 {
            let (before, port_before) = (self.source, self.source_port);
            self.note_other(before, port_before, former as u8, packet.now);
        }
        self.run = 0;
        self.moves += 1;
        self.come_from(source, port);
        if goes_on {
            // What goes on has not come.
            let _ = self.update(packet);
        } else {
            self.begin_again(packet)
        }
        Elsewhere::Moved
    }

    /// The stream's source is this from now on, whatever it was.
    #[inline(always)]
    pub fn come_from(&mut self, source: &[u8; 16], port: u16) {
        self.source = *source;
        self.source_port = port;
    }

    #[inline(always)]
    pub(super) fn note_other(&mut self, other: [u8; 16], port: u16, rival: u8, now: u64) {
        self.other = other;
        self.other_port = port;
        self.rival = rival;
        self.other_seen = now;
    }
}

#[inline(always)]
fn same_address(one: &[u8; 16], other: &[u8; 16]) -> bool {
    word64::<0>(one) == word64::<0>(other) && word64::<8>(one) == word64::<8>(other)
}
