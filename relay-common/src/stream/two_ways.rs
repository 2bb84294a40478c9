//! Between two parents a stream comes by two ways, as it does when media is no longer taken from its source, and another sends the
//! same by a longer or a shorter one: each packet is taken once, whichever way it comes first.
//!
//! The two may come by two queues, so on two CPUs at once. What has come is claimed by one atomic operation ([`Window`](super::Window)),
//! and what was taken is counted so. All else is what either of them writes last: `highest` is right again with the next packet. Where
//! the numbers begin, or begin again, `highest` is written last and read first: whoever finds it new finds all else new, and whoever
//! finds it old would claim the same number.

use super::source::{OUTPACED, REMEMBERED, SILENT_WITH_RIVAL};
use super::statistics::restarted;
use super::window::REACH;
use super::{Arrival, Elsewhere, Standing, Stream};
use crate::atomic;
use crate::rtp::MAX_DROPOUT;

impl Stream {
    /// Its source is one of two parents: from now on it is looked what has come, also before anything has come from the other.
    #[inline(always)]
    pub fn expect_another_way(&mut self, now: u64) {
        if self.once == 0 {
            self.once = 1;
            self.note_other([0; 16], 0, 0, now);
        }
    }

    /// Takes one more packet into account of a stream that comes by two ways, or did some seconds ago, if it has not come: from its
    /// own source, or from another that sends the same. Its own stays that for as long as it keeps up, unless it is gone: requests
    /// for keyframes go there. Of one of two parents it is looked what has come for as long as it is that, however long the other is
    /// silent: it may be heard again on another CPU.
    #[inline(always)]
    pub fn take_once(
        &mut self,
        source: &[u8; 16],
        port: u16,
        packet: Arrival,
        standing: Standing,
    ) -> Elsewhere {
        let is_own = matches!(standing, Standing::Own | Standing::OneOfTwo);
        if atomic::read_long(&mut self.packets) == 0 {
            if !self.take_first(packet) {
                return Elsewhere::Repeated;
            }
            self.come_from(source, port);
            return Elsewhere::Moved;
        }
        if matches!(standing, Standing::Own) && packet.now.saturating_sub(self.other_seen) > REMEMBERED {
            self.once = 0;
            return if self.update(packet) { Elsewhere::Moved } else { Elsewhere::Repeated };
        }
        if is_own || self.rival != 0 {
            self.run = 0;
        }
        if !is_own && self.once == 0 {
            // In this order for whoever takes the other's packets at the same moment: else it would find `once` with a time long past.
            let seen = self.other_seen;
            atomic::exchange(&mut self.other_seen, seen, packet.now);
            self.once = 1;
        }
        let is_taken = self.take_new(packet, !matches!(standing, Standing::Twin));
        if !is_own {
            let leads = is_taken && self.highest as u16 == packet.sequence;
            self.run = self.run.saturating_add(leads as u8);
            if leads && (matches!(standing, Standing::Gone) || self.run >= OUTPACED.0) {
                let (before, port_before) = (self.source, self.source_port);
                self.note_other(before, port_before, 0, packet.now);
                self.come_from(source, port);
                self.run = 0;
                self.moves += 1;
                return Elsewhere::Moved;
            }
            self.note_other(*source, port, 0, packet.now);
        }
        if is_taken { Elsewhere::Taken } else { Elsewhere::Repeated }
    }

    /// Takes one more packet into account, unless it has come or is too old to tell. When nothing new has come for a while, it is
    /// neither: the numbers have begun again. So they have at once on another timeline, at a number that has come or one that is too
    /// old, if the packet `leads`: from the stream's own source, or whoever is that instead. Of the other of two ways it may be what
    /// the own had before it began again, which is not taken any more.
    #[inline(always)]
    fn take_new(&mut self, packet: Arrival, leads: bool) -> bool {
        let highest = atomic::read(&mut self.highest);
        let seen = self.last_seen;
        let ahead = packet.sequence.wrapping_sub(highest as u16);
        let behind = ahead.wrapping_neg();
        let goes_on = ahead != 0 && ahead < MAX_DROPOUT;
        // One stray packet far ahead would make all the others too old to tell; two in a row are where the stream is now.
        let is_stray = goes_on && ahead > REACH && packet.sequence as u32 != self.suspect;
        if is_stray {
            self.suspect = packet.sequence.wrapping_add(1) as u32;
        }
        let extended = highest.wrapping_add(ahead as i16 as u32);
        let quiet = packet.now.saturating_sub(seen);
        let is_near = goes_on && !is_stray || behind <= REACH;
        // A sender that has paused goes on at a timestamp far ahead.
        let has_paused = goes_on && quiet > SILENT_WITH_RIVAL;
        let is_elsewhere = !has_paused && self.is_far(&packet);
        let is_former = is_elsewhere && !leads;
        if is_near && !is_former && self.window.claim(extended) {
            if goes_on {
                // In this order for whoever finds the numbers gone on: the stream is not silent any more.
                self.advance_jitter(&packet);
                self.timestamp = packet.timestamp;
                atomic::exchange(&mut self.last_seen, seen, packet.now);
                self.go_on(extended);
            } else {
                self.late(behind);
                self.last_seen = packet.now;
            }
        } else if is_near && goes_on {
            // Another CPU takes it at this very moment, and has not said yet how far the stream is; or it is of a former timeline.
            return false;
        } else {
            // The longer of two ways is not longer than that.
            let patience = if behind <= REACH { REMEMBERED } else { SILENT_WITH_RIVAL };
            let begins_again = quiet > patience || is_elsewhere && leads && !goes_on;
            if !begins_again || !self.restart_once(&packet, restarted(highest, packet.sequence), seen) {
                return false;
            }
        }
        self.count(&packet);
        true
    }

    /// The first RTP packet, where only RTCP has come before. False: another CPU takes it at this very moment.
    #[inline(always)]
    fn take_first(&mut self, packet: Arrival) -> bool {
        let number = packet.sequence as u32;
        if !self.window.claim(number) {
            return false;
        }
        self.base = number;
        self.first_seen = packet.now;
        self.is_last(&packet);
        self.highest = number;
        // Last: whoever finds that a packet has come finds all else.
        self.count(&packet);
        true
    }

    /// The numbers begin again, at this one, unless another CPU says so at this very moment: it has found the stream as quiet, and
    /// begins with the same packet, or with one that this way will bring, too, as the other will bring this one.
    #[inline(always)]
    fn restart_once(&mut self, packet: &Arrival, first: u32, seen: u64) -> bool {
        if atomic::exchange(&mut self.last_seen, seen, packet.now) != seen {
            return false;
        }
        self.timestamp = packet.timestamp;
        if !self.window.claim(first) {
            return false;
        }
        self.restart_at(first);
        true
    }

    /// One more has been taken.
    #[inline(always)]
    fn count(&mut self, packet: &Arrival) {
        atomic::add(&mut self.bytes, packet.bytes as u64);
        // In this order for whoever finds the first packet counted.
        atomic::take_and_add(&mut self.packets, 1);
    }
}
