//! What is known of one RTP stream: RFC 3550 appendix A.1 (sequence numbers) and A.8 (jitter), with a window that
//! tells a late packet from a duplicate.
//!
//! One stream comes in on one 4-tuple, so one receive queue, so one CPU at a time, and where streams are spread over CPUs
//! each has one: its entry has one writer and needs neither a lock nor a copy per CPU.
//!
//! A stream has one source (RFC 3550 section 8.2). A packet of the same SSRC from elsewhere means that the sender has
//! moved, or that there is a loop or a second sender: [`Stream::elsewhere`] tells which. Where media is no longer taken from the
//! source, it is another's at once, who is sent the same by a longer or a shorter way: each packet counts once.

use crate::packet::word64;
use crate::rtp::{MAX_DROPOUT, MAX_MISORDER};

/// Packets behind the highest that the window still remembers one by one.
const WINDOW: u16 = 128;

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

/// [`Stream::flags`]: the source is a child's address.
pub const FROM_CHILD: u8 = 1;

/// What a packet from elsewhere means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The sender has another address or port now: the packet is one of the stream's.
    Moved,
    /// A late packet from where the stream came from before, or comes from next: one of the stream's, which stays where it is.
    Late,
    /// The stream's own source is live: a loop, or two senders with one SSRC. Nothing of it belongs to the stream. Or it has come
    /// already, by the way of the source before.
    Collision,
}

/// Statistics of one stream, the value of the `STREAMS` map. What most packets touch comes first: 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes, header included.
    pub bytes: u64,
    /// RTCP packets of the same SSRC on the same port pair.
    pub rtcp_packets: u64,
    /// First packet, CLOCK_MONOTONIC ns.
    pub first_seen: u64,
    /// Last packet, CLOCK_MONOTONIC ns.
    pub last_seen: u64,
    /// Packets expected before the last restart of the sequence.
    pub expected_before: u64,
    /// Late packets: a higher sequence number had been seen.
    pub reordered: u64,
    /// Packets seen before.
    pub duplicates: u64,
    /// The last 128 sequence numbers, bit 0 of the first word is `highest`.
    pub window: [u64; 2],
    /// First extended sequence number since the last restart.
    pub base: u32,
    /// Highest extended sequence number: cycles, then the 16 bits of the packet.
    pub highest: u32,
    /// Where a restarted sequence would go on; above 16 bits when none is suspected.
    pub suspect: u32,
    /// How often the sequence restarted.
    pub restarts: u32,
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
    /// Explicit padding.
    pub reserved: u8,
    /// What `LISTENER_CHANGES` was when the source was last found to be one that media is taken from.
    pub changes: u32,
    /// Another source of the same SSRC: the one before, or a rival.
    pub other: [u8; 16],
    /// When that was last one, CLOCK_MONOTONIC ns.
    pub other_seen: u64,
    /// Packets of rivals, none of which belongs to the stream.
    pub collisions: u64,
    /// Port of `other`; 0: there is none.
    pub other_port: u16,
    /// 1: `other` is a rival, and `source` was here first.
    pub rival: u8,
    /// Packets of a rival in a row, since the last of the source.
    pub run: u8,
    /// How often the source changed.
    pub moves: u32,
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
        Stream {
            packets: 1,
            bytes: first.bytes as u64,
            rtcp_packets: 0,
            first_seen: first.now,
            last_seen: first.now,
            expected_before: 0,
            reordered: 0,
            duplicates: 0,
            window: [1, 0],
            base: first.sequence as u32,
            highest: first.sequence as u32,
            suspect: NO_SUSPECT,
            restarts: 0,
            timestamp: first.timestamp,
            jitter: 0,
            source,
            source_port,
            flags: 0,
            reserved: 0,
            changes: 0,
            other: [0; 16],
            other_seen: 0,
            collisions: 0,
            other_port: 0,
            rival: 0,
            run: 0,
            moves: 0,
        }
    }

    /// A stream of which only RTCP has come so far.
    #[inline(always)]
    pub fn begin_with_rtcp(now: u64, source: [u8; 16], source_port: u16) -> Stream {
        let nothing = Arrival { sequence: 0, timestamp: 0, bytes: 0, now, rate: 0 };
        Stream { packets: 0, rtcp_packets: 1, ..Stream::begin(nothing, source, source_port) }
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

    /// Takes a packet into account that does not come from the stream's source, if it belongs to the stream. If it does,
    /// the stream comes from there from now on.
    ///
    /// The packets of a sender that has moved go on where the former ones ended, or come when those have ended. Those that
    /// go round in a loop have been here before. Whoever was here first stays: when the former source is heard again soon
    /// after with more than a late packet, it was no move. `is_free`: media is not taken from the stream's source any more.
    #[inline(always)]
    pub fn elsewhere(&mut self, source: &[u8; 16], port: u16, packet: Arrival, is_free: bool) -> Elsewhere {
        if self.packets == 0 {
            // Only RTCP so far, which says nothing of where RTP comes from.
            self.come_from(source, port);
            self.begin_again(packet);
            return Elsewhere::Moved;
        }
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        let goes_on = ahead != 0 && ahead < MAX_DROPOUT;
        let quiet = packet.now.wrapping_sub(self.last_seen);
        let remembered = self.other_port != 0 && packet.now.wrapping_sub(self.other_seen) < REMEMBERED;
        let known = remembered && self.other_port == port && same_address(&self.other, source);
        let (former, rival) = (known && self.rival == 0, known && self.rival != 0);
        if (former || is_free) && !goes_on && behind <= MAX_MISORDER {
            if self.has(behind) {
                self.collisions += 1;
                return Elsewhere::Collision;
            }
            self.update(packet);
            return Elsewhere::Late;
        }
        let moved = if former || is_free {
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
            self.note_other(*source, port, 1, packet.now);
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

    #[inline(always)]
    fn come_from(&mut self, source: &[u8; 16], port: u16) {
        self.source = *source;
        self.source_port = port;
    }

    /// True when the packet so much behind the highest has come.
    #[inline(always)]
    fn has(&self, behind: u16) -> bool {
        let word = if behind < 64 { self.window[0] } else { self.window[1] };
        word >> (behind & 63) & 1 != 0
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
        self.packets += 1;
        self.bytes += packet.bytes as u64;
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead == 0 {
            self.duplicates += 1;
        } else if ahead < MAX_DROPOUT {
            self.slide(ahead);
            self.highest = self.highest.wrapping_add(ahead as u32);
            self.suspect = NO_SUSPECT;
            self.advance_jitter(&packet);
        } else if behind <= MAX_MISORDER {
            self.late(behind);
        } else if packet.sequence as u32 == self.suspect {
            self.restart(packet.sequence);
        } else {
            // One stray packet is not a restart; two in a row are (RFC 3550 appendix A.1, bad_seq). Until then it
            // counts as neither expected nor lost.
            self.suspect = packet.sequence.wrapping_add(1) as u32;
            self.expected_before += 1;
        }
        self.timestamp = packet.timestamp;
        self.last_seen = packet.now;
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

    /// Interarrival jitter in timestamp units.
    pub fn jitter_units(&self) -> u32 {
        self.jitter >> 4
    }

    #[inline(always)]
    fn slide(&mut self, by: u16) {
        let [low, high] = self.window;
        self.window = if by >= WINDOW {
            [1, 0]
        } else if by >= 64 {
            [1, low << (by & 63)]
        } else {
            // `by` is at least 1 here, so the right shift is by 1..=63.
            [(low << by) | 1, (high << by) | (low >> (64 - by))]
        };
    }

    #[inline(always)]
    fn late(&mut self, behind: u16) {
        let bit = 1u64 << (behind & 63);
        let word = if behind < 64 { &mut self.window[0] } else { &mut self.window[1] };
        if *word & bit != 0 {
            self.duplicates += 1;
        } else if self.highest.wrapping_sub(self.base) < behind as u32 {
            // Older than the first packet seen: it was never expected, so it may not reduce the loss.
            *word |= bit;
            self.reordered += 1;
            self.expected_before += 1;
        } else {
            *word |= bit;
            self.reordered += 1;
        }
    }

    #[inline(always)]
    fn restart(&mut self, sequence: u16) {
        self.expected_before += (self.highest.wrapping_sub(self.base) as u64) + 1;
        self.base = sequence as u32;
        self.highest = sequence as u32;
        self.window = [1, 0];
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

#[inline(always)]
fn same_address(one: &[u8; 16], other: &[u8; 16]) -> bool {
    word64::<0>(one) == word64::<0>(other) && word64::<8>(one) == word64::<8>(other)
}
