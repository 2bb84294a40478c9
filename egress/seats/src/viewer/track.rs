//! One stream as one viewer gets it.

use std::time::Duration;

use node::media::{Kind, Ssrc, rtp};

use super::header::{Header, LONGEST_VALUE};
use crate::peer::{Extensions, Taken};
use crate::stream::{History, Packet};

/// In how many packets at the beginning the media's identification is written; by then the viewer has understood.
const IDENTIFIED: u64 = 256;
/// Who has waited for a keyframe for so long gets what there is: not every encoder makes keyframes that we know.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream in a viewer's own numbers.
///
/// A packet's number is its index less that of the first that the viewer got: what is missing in the stream is missing in the
/// viewer's numbers, and what comes late has its own. Numbers begin small, so that no sequence number comes to 0 again before
/// a viewer has seen the first (it would take `ROC` for 0).
#[derive(Clone, Debug)]
pub struct Track {
    kind: Kind,
    taken: Taken,
    joined: Duration,
    /// Index of the next packet; none yet for who waits for a keyframe.
    next: Option<u64>,
    /// Index of the first packet that was sent.
    first: Option<u64>,
    /// Number of the first packet, and of the first retransmission: 15 bits.
    begin: u64,
    again_begin: u64,
    /// Retransmissions so far.
    again: u64,
    packets: u32,
    bytes: u32,
    /// Packets that were not there any more when it was their turn.
    missed: u64,
}

/// Which packet it is for SRTP: the sequence number, and above it how often that came to 0 again (RFC 3711 section 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

impl Number {
    /// The sequence number.
    pub fn sequence(self) -> u16 {
        self.0 as u16
    }

    /// How often it came to 0 again.
    pub fn roc(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What is written into a packet at the last moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// The next packet's transport-wide number.
    pub wide: u16,
    /// When it is sent, 24 bits: seconds, 6 bits and 18 of fractions.
    pub time: u32,
}

impl Track {
    /// For a viewer that comes now. `begin`: any two numbers, for the stream's first packet and its first retransmission.
    pub fn new(kind: Kind, mut taken: Taken, history: &History, now: Duration, begin: [u16; 2]) -> Track {
        let usable = |number: &u8| (1..=14).contains(number);
        taken.extensions = Extensions {
            mid: taken
                .extensions
                .mid
                .filter(usable)
                .filter(|_| (1..=LONGEST_VALUE).contains(&taken.mid.len())),
            transport_cc: taken.extensions.transport_cc.filter(usable),
            abs_send_time: taken.extensions.abs_send_time.filter(usable),
        };
        // Without retransmissions of its own kind a packet is sent again as it was, in every byte: nothing in it may depend on when.
        if taken.nack && taken.rtx.is_none() {
            (taken.extensions.transport_cc, taken.extensions.abs_send_time) = (None, None);
        }
        let next = match kind {
            Kind::Audio => Some(history.end()),
            Kind::Video => None,
        };
        let [begin, again_begin] = begin.map(|number| u64::from(number & 0x7fff));
        Track {
            kind,
            taken,
            joined: now,
            next,
            first: None,
            begin,
            again_begin,
            again: 0,
            packets: 0,
            bytes: 0,
            missed: 0,
        }
    }

    /// What was agreed on.
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// Packets and bytes of payload so far, without retransmissions: for sender reports, which count in 32 bits.
    pub fn sent(&self) -> (u32, u32) {
        (self.packets, self.bytes)
    }

    /// Packets that were not there any more when it was their turn.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Something was sent.
    pub fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// It waits for a keyframe. Looks whether there is one that came after the viewer; or not longer than `cache` before, and nothing
    /// has been missing since: what a viewer begins with is to be whole, be it that the tree sent nothing for a while.
    pub fn waits(&mut self, history: &History, cache: Duration, now: Duration) -> bool {
        if self.next.is_none() {
            let kept = || history.whole_keyframe().filter(|keyframe| keyframe.arrived + cache >= self.joined);
            let keyframe =
                history.keyframe().filter(|keyframe| keyframe.arrived >= self.joined).or_else(kept);
            let patience = || (now >= self.joined + PATIENCE).then(|| history.end());
            self.next = keyframe.map(|keyframe| keyframe.index).or_else(patience);
        }
        self.next.is_none()
    }

    /// How many indices there are to go.
    pub fn behind(&self, history: &History) -> u64 {
        self.next.map_or(0, |next| history.end().saturating_sub(next.max(history.first())))
    }

    /// Leaves out what it cannot have any more: who is further behind than packets are kept goes on with the last keyframe, or, if
    /// there is none, with what comes next; with the oldest he would be late for ever. Gives how many are left out.
    pub fn catch_up(&mut self, history: &History) -> u64 {
        let Some(next) = self.next.as_mut().filter(|next| **next < history.first()) else { return 0 };
        let to = history.keyframe().map_or(history.end(), |keyframe| keyframe.index);
        // Who has been sent nothing yet misses nothing.
        let missed = if self.first.is_some() { to - *next } else { 0 };
        *next = if self.first.is_some() { to } else { history.first() };
        self.missed += missed;
        missed
    }

    /// The next packet that is there, if any. It counts as sent.
    pub fn next<'h>(&mut self, history: &'h History) -> Option<(&'h Packet, Number)> {
        let next = self.next.as_mut()?;
        *next = history.first().max(*next);
        while *next < history.end() {
            let index = *next;
            *next += 1;
            if let Some(packet) = history.get(index) {
                return Some((packet, self.send(packet)));
            }
        }
        None
    }

    /// The number of a packet that came after others behind it, if this viewer should have had it before those. It counts as sent.
    pub fn late(&mut self, packet: &Packet) -> Option<Number> {
        let missed = self.first.is_some_and(|first| packet.index >= first)
            && self.next.is_some_and(|next| packet.index < next);
        missed.then(|| self.send(packet))
    }

    fn send(&mut self, packet: &Packet) -> Number {
        let first = *self.first.get_or_insert(packet.index);
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(packet.payload.len() as u32);
        Number(self.begin + (packet.index - first))
    }

    /// The packet that had this sequence number, and its number. `None` for what was never sent.
    pub fn had(&self, sequence: u16) -> Option<(u64, Number)> {
        let first = self.first?;
        let last = self.begin + (self.next?.checked_sub(1)?.checked_sub(first)?);
        let behind = (last as u16).wrapping_sub(sequence);
        let number = last.checked_sub(u64::from(behind))?;
        Some((first + number.checked_sub(self.begin)?, Number(number)))
    }

    /// The number of the next retransmission.
    pub fn next_again(&mut self) -> Number {
        self.again += 1;
        Number(self.again_begin + self.again - 1)
    }

    /// The header of a packet.
    pub fn header(&self, packet: &Packet, number: Number, stamp: &mut Stamp) -> Header {
        let fields = self.fields(packet, number, self.taken.payload_type, self.taken.ssrc);
        let mut header = Header::new(fields, packet.marker);
        self.extend(&mut header, number.0 - self.begin, stamp);
        header
    }

    /// The header of a retransmission (RFC 4588 section 4); behind it comes [`original`].
    pub fn header_again(
        &self,
        packet: &Packet,
        number: Number,
        payload_type: u8,
        stamp: &mut Stamp,
    ) -> Header {
        let fields = self.fields(packet, number, payload_type, self.taken.rtx_ssrc);
        let mut header = Header::new(fields, packet.marker);
        self.extend(&mut header, number.0 - self.again_begin, stamp);
        header
    }

    fn fields(&self, packet: &Packet, number: Number, payload_type: u8, ssrc: u32) -> rtp::Header {
        rtp::Header {
            payload_type,
            sequence: number.sequence(),
            timestamp: packet.timestamp,
            ssrc: Ssrc(ssrc),
        }
    }

    fn extend(&self, header: &mut Header, nth: u64, stamp: &mut Stamp) {
        let Extensions { mid, transport_cc, abs_send_time } = self.taken.extensions;
        if let Some(number) = mid.filter(|_| nth < IDENTIFIED) {
            header.extend(number, self.taken.mid.as_bytes());
        }
        if let Some(number) = transport_cc {
            header.extend(number, &stamp.wide.to_be_bytes());
            stamp.wide = stamp.wide.wrapping_add(1);
        }
        if let Some(number) = abs_send_time {
            header.extend(number, &stamp.time.to_be_bytes()[1..]);
        }
    }

    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// What is before the payload in a retransmission: the sequence number that the packet had.
pub fn original(number: Number) -> [u8; 2] {
    number.sequence().to_be_bytes()
}
