//! What is known of one RTP stream: RFC 3550 appendix A.1 (sequence numbers) and A.8 (jitter), with a window that
//! tells a late packet from a duplicate.
//!
//! One stream comes in on one 4-tuple, so one receive queue, so one CPU at a time: its entry has one writer and needs
//! neither a lock nor a copy per CPU. Two senders that use one SSRC for one port break this, and their sequence
//! numbers make no sense together anyway.

/// A jump forward of more than this is a restart, not loss (RFC 3550 appendix A.1, MAX_DROPOUT).
const MAX_DROPOUT: u16 = 3000;
/// A packet up to this much behind the highest is late (RFC 3550 appendix A.1, MAX_MISORDER).
const MAX_MISORDER: u16 = 100;
/// Packets behind the highest that the window still remembers one by one.
const WINDOW: u16 = 128;

/// Statistics of one stream, the value of the `STREAMS` map.
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
    /// Source address of the first packet; IPv4 mapped.
    pub source: [u8; 16],
    /// Source port of the first packet.
    pub source_port: u16,
    /// Explicit padding.
    pub reserved: [u8; 6],
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
            reserved: [0; 6],
        }
    }

    /// Takes one more packet into account.
    #[inline(always)]
    pub fn update(&mut self, packet: Arrival) {
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
