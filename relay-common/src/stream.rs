//! What is known of one RTP stream: RFC 3550 appendix A.1 (sequence numbers) and A.8 (jitter), with a window that
//! tells a late packet from a duplicate.
//!
//! One stream comes in on one 4-tuple, so one receive queue, so one CPU at a time, and where streams are spread over CPUs
//! each has one: its entry has one writer and needs neither a lock nor a copy per CPU. Between two parents, whose
//! packets may come by two queues, there are two writers, and what both note in one word of the window at the same moment, any two
//! of 32 numbers in a row, one of them undoes: such a number may be taken twice, or seem missing.
//!
//! A stream has one source (RFC 3550 section 8.2). A packet of the same SSRC from elsewhere means that the sender has
//! moved, or that there is a loop or a second sender: [`Stream::elsewhere`] tells which. Where media is no longer taken from the
//! source, it is another's at once, who is sent the same by a longer or a shorter way. Between two parents a stream comes by two
//! ways. In both cases each packet is taken once, whichever way it comes first: [`Stream::take_once`].

use crate::packet::word64;
use crate::rtp::{MAX_DROPOUT, MAX_MISORDER};

/// Words of the window, a ring: each is for 32 numbers in a row, says in its upper half which, and in its lower half what of them has
/// come. So that going on costs one write, however far and however long the window is.
const WORDS: usize = 32;
/// So many numbers behind the highest the window remembers: 99 ms of 10,000 packets/s, and much more of what people watch.
pub const REACH: u16 = 32 * (WORDS as u16 - 1);

/// The source of a stream has ended when nothing has come from it for so long, if what comes from elsewhere does not go
/// on where it was, ns. What goes round in a loop is back within milliseconds.
const SILENT: u64 = 200_000_000;
/// The same when the other is a rival: a sender that pauses (Opus with DTX is silent for 400 ms) stays the source.
const SILENT_WITH_RIVAL: u64 = 500_000_000;
/// The same when the rival goes on where the source was, as copies in a loop never do.
const SILENT_FOR_HEIR: u64 = 30_000_000;
/// A rival has so many packets in a row, and the source none for so long: whoever does not keep up is not the source.
const OUTPACED: (u8, u64) = (32, 50_000_000);
/// Another source is remembered for so long, ns.
const REMEMBERED: u64 = 5_000_000_000;

/// What comes by the longer of two ways is not so long behind by its RTP timestamp, ns: it is of another timeline.
const ANOTHER_TIMELINE: u64 = 2_000_000_000;

/// [`Stream::flags`]: the source is a child's address.
pub const FROM_CHILD: u8 = 1;

/// What a stream's source is to where a packet from elsewhere comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same: the packet is not from elsewhere.
    Own,
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
    /// It has come, by the other of two ways.
    Repeated,
    /// The stream's own source is live: a loop, or two senders with one SSRC. Nothing of it belongs to the stream. Or it has come
    /// already, from where the sender was before.
    Collision,
}

/// Statistics of one stream, the value of the `STREAMS` map. What each packet touches comes first, 64 bytes, and one word of
/// the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes, header included.
    pub bytes: u64,
    /// Last packet, CLOCK_MONOTONIC ns.
    pub last_seen: u64,
    /// Highest extended sequence number: cycles, then the 16 bits of the packet.
    pub highest: u32,
    /// Where a restarted sequence would go on; above 16 bits when none is suspected.
    pub suspect: u32,
    /// RTP timestamp of the last packet.
    pub timestamp: u32,
    /// Interarrival jitter in sixteenths of a timestamp unit.
    pub jitter: u32,
    /// Address that the stream comes from; IPv4 mapped.
    pub source: [u8; 16],
    /// Port that it comes from.
    pub source_port: u16,
    /// [`FROM_CHILD`], or 0.
    pub flags: u8,
    /// 1: it comes by two ways, or did some seconds ago, and what has come is not taken again.
    pub once: u8,
    /// What `LISTENER_CHANGES` was when the source was last found to be one that media is taken from.
    pub changes: u32,
    /// RTCP packets of the same SSRC on the same port pair.
    pub rtcp_packets: u64,
    /// First packet, CLOCK_MONOTONIC ns.
    pub first_seen: u64,
    /// Packets expected before the last restart of the sequence.
    pub expected_before: u64,
    /// Late packets: a higher sequence number had been seen.
    pub reordered: u64,
    /// Packets seen before, and taken all the same.
    pub duplicates: u64,
    /// Another source of the same SSRC: the one before, the other of two ways, or a rival.
    pub other: [u8; 16],
    /// When that was last one, CLOCK_MONOTONIC ns; while there is `once`, when the other of two ways was.
    pub other_seen: u64,
    /// Packets of rivals, none of which belongs to the stream.
    pub collisions: u64,
    /// First extended sequence number since the last restart.
    pub base: u32,
    /// How often the sequence restarted.
    pub restarts: u32,
    /// How often the source changed.
    pub moves: u32,
    /// Port of `other`; 0: there is none.
    pub other_port: u16,
    /// 1: `other` is a rival, and `source` was here first.
    pub rival: u8,
    /// Packets of `other` in a row, since the last of the source: of a rival, or of those that came first by the other way.
    pub run: u8,
    /// Which of the last sequence numbers have come, see [`REACH`].
    pub window: [u64; WORDS],
}

/// One RTP packet as the statistics see it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP bytes.
    pub bytes: u16,
    /// CLOCK_MONOTONIC ns.
    pub now: u64,
    /// Timestamp units a nanosecond, as [`units_per_ns`] gives it.
    pub rate: u64,
}

/// Timestamp units a nanosecond as a 32.32 fixed-point number.
pub const fn units_per_ns(clock_rate: u32) -> u64 {
    ((clock_rate as u64) << 32) / 1_000_000_000
}

const NO_SUSPECT: u32 = 0x1_0000;

impl Stream {
    /// A stream at its first packet.
    #[inline(always)]
    pub fn begin(first: Arrival, source: [u8; 16], source_port: u16) -> Stream {
        let mut stream = Stream::before(first, source, source_port);
        stream.note(stream.highest);
        stream
    }

    /// The same in place: a kernel program's stack has no room for one.
    #[inline(always)]
    pub fn begin_at(place: &mut Stream, first: Arrival, source: [u8; 16], source_port: u16) {
        *place = Stream::before(first, source, source_port);
        place.note(place.highest);
    }

    /// That the first packet has come is still to be noted.
    #[inline(always)]
    fn before(first: Arrival, source: [u8; 16], source_port: u16) -> Stream {
        Stream {
            packets: 1,
            bytes: first.bytes as u64,
            last_seen: first.now,
            highest: first.sequence as u32,
            suspect: NO_SUSPECT,
            timestamp: first.timestamp,
            jitter: 0,
            source,
            source_port,
            flags: 0,
            once: 0,
            changes: 0,
            rtcp_packets: 0,
            first_seen: first.now,
            expected_before: 0,
            reordered: 0,
            duplicates: 0,
            other: [0; 16],
            other_seen: 0,
            collisions: 0,
            base: first.sequence as u32,
            restarts: 0,
            moves: 0,
            other_port: 0,
            rival: 0,
            run: 0,
            window: [0; WORDS],
        }
    }

    /// A stream of which only RTCP has come so far.
    #[inline(always)]
    pub fn begin_with_rtcp(now: u64, source: [u8; 16], source_port: u16) -> Stream {
        let nothing = Arrival { sequence: 0, timestamp: 0, bytes: 0, now, rate: 0 };
        Stream { packets: 0, rtcp_packets: 1, ..Stream::before(nothing, source, source_port) }
    }

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
        if former && !goes_on && behind <= MAX_MISORDER {
            if self.has(self.extended(ahead)) {
                self.collisions += 1;
                return Elsewhere::Collision;
            }
            self.update(packet);
            return Elsewhere::Taken;
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
            self.update(packet)
        } else {
            self.begin_again(packet)
        }
        Elsewhere::Moved
    }

    /// Takes one more packet into account of a stream that comes by two ways, or did some seconds ago, if it has not come: from its
    /// own source, or from another that sends the same. Its own stays that for as long as it keeps up, unless it is gone: requests
    /// for keyframes go there.
    #[inline(always)]
    pub fn take_once(
        &mut self,
        source: &[u8; 16],
        port: u16,
        packet: Arrival,
        standing: Standing,
    ) -> Elsewhere {
        let is_own = matches!(standing, Standing::Own);
        let is_over = is_own && packet.now.saturating_sub(self.other_seen) > REMEMBERED;
        if self.packets == 0 || is_over {
            self.once = 0;
            self.come_from(source, port);
            self.update(packet);
            return Elsewhere::Moved;
        }
        if is_own || self.rival != 0 {
            self.run = 0;
        }
        let is_taken = self.take_new(packet, !matches!(standing, Standing::Twin));
        if !is_own {
            self.once = 1;
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
    /// neither: the numbers have begun again. So they have at once on another timeline, if the packet `leads`: from the stream's own
    /// source, or whoever is that instead. Of the other of two ways it may be what the own had before it began again.
    #[inline(always)]
    fn take_new(&mut self, packet: Arrival, leads: bool) -> bool {
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        let goes_on = ahead != 0 && ahead < MAX_DROPOUT;
        // One stray packet far ahead would make all the others too old to tell; two in a row are where the stream is now.
        let is_stray = goes_on && ahead > REACH && packet.sequence as u32 != self.suspect;
        if is_stray {
            self.suspect = packet.sequence.wrapping_add(1) as u32;
        }
        if (goes_on && !is_stray || behind <= REACH) && self.claim(self.extended(ahead)) {
            if goes_on { self.advance(&packet, ahead) } else { self.late(behind) }
        } else {
            // The longer of two ways is not longer than that.
            let patience = if behind <= REACH { REMEMBERED } else { SILENT_WITH_RIVAL };
            let is_elsewhere = leads && !goes_on && behind > REACH;
            let begins_again =
                packet.now.saturating_sub(self.last_seen) > patience || is_elsewhere && self.is_far(&packet);
            if begins_again {
                self.begin_again(packet);
            }
            return begins_again;
        }
        self.came(&packet);
        true
    }

    /// The packet's timestamp is further from the last one's than any way is long.
    #[inline(always)]
    fn is_far(&self, packet: &Arrival) -> bool {
        let apart = packet.timestamp.wrapping_sub(self.timestamp);
        let apart = if apart >> 31 != 0 { apart.wrapping_neg() } else { apart };
        u64::from(apart) > (ANOTHER_TIMELINE * packet.rate) >> 32
    }

    /// The stream's source is this from now on, whatever it was.
    #[inline(always)]
    pub fn come_from(&mut self, source: &[u8; 16], port: u16) {
        self.source = *source;
        self.source_port = port;
    }

    /// The extended sequence number of a packet that is so far ahead of the highest, modulo 2^16: or behind.
    #[inline(always)]
    fn extended(&self, ahead: u16) -> u32 {
        self.highest.wrapping_add(ahead as i16 as u32)
    }

    /// True when the packet has come: one of the last [`REACH`].
    #[inline(always)]
    fn has(&self, extended: u32) -> bool {
        let word = self.window[word_of(extended)];
        (word >> 32) as u32 == extended >> 5 && word >> (extended & 31) & 1 != 0
    }

    /// The packet has come, not more than [`REACH`] behind the highest.
    #[inline(always)]
    fn note(&mut self, extended: u32) {
        let word = &mut self.window[word_of(extended)];
        if (*word >> 32) as u32 != extended >> 5 {
            // It was for numbers of a round before.
            *word = ((extended >> 5) as u64) << 32;
        }
        *word |= 1 << (extended & 31);
    }

    /// Notes that the packet has come; false if that was so.
    #[inline(always)]
    fn claim(&mut self, extended: u32) -> bool {
        let is_new = !self.has(extended);
        self.note(extended);
        is_new
    }

    #[inline(always)]
    fn note_other(&mut self, other: [u8; 16], port: u16, rival: u8, now: u64) {
        self.other = other;
        self.other_port = port;
        self.rival = rival;
        self.other_seen = now;
    }

    /// A sender that does not go on where the one before was.
    #[inline(always)]
    fn begin_again(&mut self, packet: Arrival) {
        if self.packets == 0 {
            self.base = packet.sequence as u32;
            self.highest = packet.sequence as u32;
            self.first_seen = packet.now;
            self.note(self.highest);
        } else {
            self.restart(packet.sequence);
        }
        self.packets += 1;
        self.bytes += packet.bytes as u64;
        self.timestamp = packet.timestamp;
        self.last_seen = packet.now;
    }

    /// Takes one more packet of the stream's source into account.
    #[inline(always)]
    pub fn update(&mut self, packet: Arrival) {
        if self.packets == 0 {
            // Only RTCP has come before.
            self.begin_again(packet);
            return;
        }
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead == 0 {
            self.duplicates += 1;
        } else if ahead < MAX_DROPOUT {
            self.advance(&packet, ahead);
            self.note(self.highest);
        } else if behind <= MAX_MISORDER {
            if self.has(self.extended(ahead)) {
                self.duplicates += 1;
            } else {
                self.note(self.extended(ahead));
                self.late(behind);
            }
        } else if packet.sequence as u32 == self.suspect {
            self.restart(packet.sequence);
        } else {
            // One stray packet is not a restart; two in a row are (RFC 3550 appendix A.1, bad_seq). Until then it
            // counts as neither expected nor lost.
            self.suspect = packet.sequence.wrapping_add(1) as u32;
            self.expected_before += 1;
        }
        self.came(&packet);
    }

    #[inline(always)]
    fn came(&mut self, packet: &Arrival) {
        self.packets += 1;
        self.bytes += packet.bytes as u64;
        self.timestamp = packet.timestamp;
        self.last_seen = packet.now;
    }

    /// The sequence goes on, so far. That the packet has come is still to be noted.
    #[inline(always)]
    fn advance(&mut self, packet: &Arrival, by: u16) {
        self.highest = self.highest.wrapping_add(by as u32);
        self.suspect = NO_SUSPECT;
        self.advance_jitter(packet);
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
        self.expected().saturating_sub(self.packets - self.duplicates)
    }

    /// None of the last [`REACH`] packets is missing.
    pub fn is_whole(&self) -> bool {
        let since = self.highest.wrapping_sub(self.base).min(u32::from(REACH));
        (0..=since).all(|behind| self.has(self.highest.wrapping_sub(behind)))
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter_units(&self) -> u32 {
        self.jitter >> 4
    }

    #[inline(always)]
    fn late(&mut self, behind: u16) {
        self.reordered += 1;
        if self.highest.wrapping_sub(self.base) < behind as u32 {
            // Older than the first packet seen: it was never expected, so it may not reduce the loss.
            self.expected_before += 1;
        }
    }

    #[inline(always)]
    fn restart(&mut self, sequence: u16) {
        self.expected_before += (self.highest.wrapping_sub(self.base) as u64) + 1;
        // Two cycles on, so that what the window still has is of none of the last [`REACH`] numbers.
        self.highest = (self.highest >> 16).wrapping_add(2) << 16 | sequence as u32;
        self.base = self.highest;
        self.note(self.highest);
        self.suspect = NO_SUSPECT;
        self.restarts += 1;
        self.jitter = 0;
    }

    /// RFC 3550 section 6.4.1: J += (|D| - J) / 16, with the rounding of appendix A.8.
    #[inline(always)]
    fn advance_jitter(&mut self, packet: &Arrival) {
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

/// Where in the window an extended sequence number is.
#[inline(always)]
fn word_of(extended: u32) -> usize {
    (extended >> 5) as usize % WORDS
}

#[inline(always)]
fn same_address(one: &[u8; 16], other: &[u8; 16]) -> bool {
    word64::<0>(one) == word64::<0>(other) && word64::<8>(one) == word64::<8>(other)
}
