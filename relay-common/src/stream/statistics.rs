//! What is missing, late or doubled (RFC 3550 appendix A.1), and how evenly packets come (A.8).

use super::source::SILENT_WITH_RIVAL;
use super::window::REACH;
use super::{Arrival, Missing, NO_SUSPECT, Stream};
use crate::rtp::MAX_DROPOUT;

/// What the network holds back is not so long behind by its RTP timestamp, ns: it is of another timeline.
const ANOTHER_TIMELINE: u64 = 2_000_000_000;

/// The extended number of the first packet after a restart: two cycles on, so that what the window still has is of none of the last
/// [`REACH`] numbers.
#[inline(always)]
pub(super) fn restarted(highest: u32, sequence: u16) -> u32 {
    (highest >> 16).wrapping_add(2) << 16 | sequence as u32
}

impl Stream {
    /// The extended sequence number of a packet that is so far ahead of the highest, modulo 2^16: or behind.
    #[inline(always)]
    pub(super) fn extended(&self, ahead: u16) -> u32 {
        self.highest.wrapping_add(ahead as i16 as u32)
    }

    /// A sender that does not go on where the one before was.
    #[inline(always)]
    pub(super) fn begin_again(&mut self, packet: Arrival) {
        if self.packets == 0 {
            self.base = packet.sequence as u32;
            self.highest = packet.sequence as u32;
            self.first_seen = packet.now;
            self.window.note(self.highest);
        } else {
            self.restart(packet.sequence);
        }
        self.packets += 1;
        self.bytes += packet.bytes as u64;
        self.timestamp = packet.timestamp;
        self.last_seen = packet.now;
    }

    /// Takes one more packet of the stream's source into account. False: it has come already, or is too late to tell, and is not to be
    /// forwarded.
    ///
    /// What has come again on another timeline is no duplicate: the sender has begun again at a number of a moment ago.
    #[inline(always)]
    #[must_use = "what has come already is not forwarded"]
    pub fn update(&mut self, packet: Arrival) -> bool {
        if self.packets == 0 {
            // Only RTCP has come before.
            self.begin_again(packet);
            return true;
        }
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        let extended = self.extended(ahead);
        if ahead != 0 && ahead < MAX_DROPOUT {
            let next = self.highest.wrapping_add(1) as u16;
            self.advance(&packet, extended);
            if ahead > REACH {
                // If it is only this one that is so far ahead, the next go on where the stream was.
                self.suspect = next as u32;
            }
            self.window.note(extended);
            self.is_last(&packet);
        } else if behind <= REACH && !self.window.has(extended) {
            self.window.note(extended);
            self.late(behind);
        } else if behind <= REACH && !self.is_far(&packet) || self.is_too_late(behind, &packet) {
            self.duplicates += 1;
            return false;
        } else if packet.sequence as u32 == self.suspect {
            self.restart(packet.sequence);
            self.is_last(&packet);
        } else {
            // One stray packet is not a restart; two in a row are (RFC 3550 appendix A.1, bad_seq). Until then it
            // counts as neither expected nor lost.
            self.suspect = packet.sequence.wrapping_add(1) as u32;
            self.expected_before += 1;
        }
        self.packets += 1;
        self.bytes += packet.bytes as u64;
        true
    }

    /// The packet is further behind than is remembered, of a stream that goes on: an answer that took long, or one too many. Two in a
    /// row would be a restart, after which all that has come since would be missing. While it is doubted where the stream is, nothing
    /// is too late.
    #[inline(always)]
    fn is_too_late(&self, behind: u16, packet: &Arrival) -> bool {
        let is_live = packet.now.saturating_sub(self.last_seen) < SILENT_WITH_RIVAL;
        let is_doubted = self.suspect != NO_SUSPECT;
        behind > REACH && behind < MAX_DROPOUT && is_live && !is_doubted && !self.is_far(packet)
    }

    /// The packet's timestamp is further from that of the last one than any way is long.
    #[inline(always)]
    pub(super) fn is_far(&self, packet: &Arrival) -> bool {
        let apart = packet.timestamp.wrapping_sub(self.timestamp);
        let apart = if apart >> 31 != 0 { apart.wrapping_neg() } else { apart };
        u64::from(apart) > (ANOTHER_TIMELINE * packet.rate) >> 32
    }

    /// The packet is what the next one's arrival is compared with. One that was late says nothing of how evenly they come.
    #[inline(always)]
    pub(super) fn is_last(&mut self, packet: &Arrival) {
        self.timestamp = packet.timestamp;
        self.last_seen = packet.now;
    }

    /// The sequence goes on, to this number. That the packet has come is still to be noted.
    #[inline(always)]
    pub(super) fn advance(&mut self, packet: &Arrival, extended: u32) {
        self.advance_jitter(packet);
        self.go_on(extended);
    }

    /// The same, without how evenly packets come.
    #[inline(always)]
    pub(super) fn go_on(&mut self, extended: u32) {
        self.highest = extended;
        self.suspect = NO_SUSPECT;
    }

    /// What the packet that has just been taken jumped over, if `before` was the highest number until then.
    #[inline(always)]
    pub fn missing_since(&self, before: u32) -> Option<Missing> {
        let goes_on = before.wrapping_sub(self.base) <= self.highest.wrapping_sub(self.base);
        let count = self.highest.wrapping_sub(before).wrapping_sub(1);
        // Of two who write the entry at once one may find it where the other left it.
        let is_gap = goes_on && count > 0 && count < MAX_DROPOUT as u32;
        is_gap.then(|| Missing { first: before.wrapping_add(1), count: count as u16 })
    }

    /// Whether the packet with this extended sequence number has come; none: it is not one of the last [`REACH`], or of before a
    /// restart.
    pub fn has_come(&self, extended: u32) -> Option<bool> {
        let behind = self.highest.wrapping_sub(extended);
        (behind <= u32::from(REACH)).then(|| self.window.has(extended))
    }

    /// Packets that should have come since the first one.
    pub fn expected(&self) -> u64 {
        if self.packets == 0 {
            return 0;
        }
        self.expected_before + u64::from(self.highest.wrapping_sub(self.base)) + 1
    }

    /// Packets that should have come and have not (so far). Late packets reduce it again.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.packets)
    }

    /// None of the last [`REACH`] packets is missing.
    pub fn is_whole(&self) -> bool {
        let since = self.highest.wrapping_sub(self.base).min(u32::from(REACH));
        (0..=since).all(|behind| self.window.has(self.highest.wrapping_sub(behind)))
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter_units(&self) -> u32 {
        self.jitter >> 4
    }

    #[inline(always)]
    pub(super) fn late(&mut self, behind: u16) {
        self.reordered += 1;
        if self.highest.wrapping_sub(self.base) < behind as u32 {
            // Older than the first packet seen: it was never expected, so it may not reduce the loss.
            self.expected_before += 1;
        }
    }

    #[inline(always)]
    fn restart(&mut self, sequence: u16) {
        let first = restarted(self.highest, sequence);
        self.window.note(first);
        self.restart_at(first);
    }

    /// The sequence begins anew at this number, as [`restarted`] gives it. That it has come is noted already.
    #[inline(always)]
    pub(super) fn restart_at(&mut self, first: u32) {
        self.expected_before += (self.highest.wrapping_sub(self.base) as u64) + 1;
        self.highest = first;
        self.base = first;
        self.suspect = NO_SUSPECT;
        self.restarts += 1;
        self.jitter = 0;
    }

    /// RFC 3550 section 6.4.1: J += (|D| - J) / 16, with the rounding of appendix A.8.
    #[inline(always)]
    pub(super) fn advance_jitter(&mut self, packet: &Arrival) {
        // A pause of seconds says nothing about the network and would overflow the fixed-point product.
        let gap = packet.now.wrapping_sub(self.last_seen);
        if gap > 2_000_000_000 {
            return;
        }
        let arrived = ((gap * packet.rate) >> 32) as u32;
        let sent = packet.timestamp.wrapping_sub(self.timestamp);
        let difference = arrived.wrapping_sub(sent);
        let magnitude = if difference >> 31 != 0 { difference.wrapping_neg() } else { difference };
        // A timestamp that jumps by more than a minute of video is a new timeline, not jitter.
        if magnitude < 60 * 90_000 {
            self.jitter = self.jitter.wrapping_add(magnitude).wrapping_sub((self.jitter + 8) >> 4);
        }
    }
}
