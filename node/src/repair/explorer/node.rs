//! A node as far as repair goes: a window for each stream, a history, and whoever asks and answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{Answerer, Asked, Asker, Finder, Shelf, StreamId, WITHIN, nack};
use super::within;
use crate::media::Ssrc;

/// A packet, and which of all it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Media {
    pub stream: StreamId,
    pub sequence: u16,
    pub id: u64,
    /// How often the numbers had begun again.
    epoch: u32,
    size: usize,
}

impl Media {
    fn packet(&self) -> Vec<u8> {
        let mut packet = vec![0; self.size];
        packet[..8].copy_from_slice(&self.id.to_be_bytes());
        packet[8..12].copy_from_slice(&self.epoch.to_be_bytes());
        packet[12..14].copy_from_slice(&self.sequence.to_be_bytes());
        packet
    }

    fn of(stream: StreamId, packet: &[u8]) -> Media {
        let id = u64::from_be_bytes(packet[..8].try_into().unwrap());
        let epoch = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        let sequence = u16::from_be_bytes(packet[12..14].try_into().unwrap());
        Media { stream, sequence, id, epoch, size: packet.len() }
    }
}

#[derive(Default)]
struct Window {
    epoch: u32,
    highest: Option<u32>,
    has: BTreeSet<u32>,
    /// When each number was missing for the first time.
    since: BTreeMap<u32, u64>,
}

pub struct Node {
    windows: BTreeMap<StreamId, Window>,
    asker: Asker<StreamId>,
    answerer: Answerer<u8>,
    shelf: Arc<Shelf>,
    history: Finder,
    /// When it is to wake.
    wakes: Option<u64>,
    begun: Option<u64>,
    requests: u64,
    bytes_asked: u64,
    bytes_sent: u64,
}

/// Bytes a second that each stream is said to have.
const RATE: u64 = 1_000_000;

impl Default for Node {
    fn default() -> Node {
        let shelf = Shelf::new(4096);
        Node {
            windows: BTreeMap::new(),
            asker: Asker::new(WITHIN),
            answerer: Answerer::new(WITHIN),
            history: Finder::new(shelf.clone()),
            shelf,
            wakes: None,
            begun: None,
            requests: 0,
            bytes_asked: 0,
            bytes_sent: 0,
        }
    }
}

impl Node {
    /// A stream of the source's begins, or begins again.
    pub fn begin(&mut self, stream: StreamId, first: u16) {
        let window = self.windows.entry(stream).or_default();
        window.epoch += 1;
        window.highest = Some(u32::from(first));
    }

    /// The source's next packet.
    pub fn next(&mut self, stream: StreamId, id: u64, size: usize, now: u64) -> Media {
        let window = self.windows.get_mut(&stream).unwrap();
        let next = window.highest.unwrap().wrapping_add(1);
        window.highest = Some(next);
        let media = Media { stream, sequence: next as u16, id, epoch: window.epoch, size };
        self.shelf.keep(stream, media.sequence, &media.packet(), now);
        media
    }

    /// Whether a packet is new here: then it is kept, and goes on.
    pub fn takes(&mut self, media: &Media, now: u64) -> bool {
        self.begun.get_or_insert(now);
        let window = self.windows.entry(media.stream).or_default();
        if media.epoch < window.epoch {
            return false;
        }
        let number = match window.highest.filter(|_| media.epoch == window.epoch) {
            Some(highest) => {
                highest.wrapping_add_signed(i32::from(media.sequence.wrapping_sub(highest as u16) as i16))
            }
            // As the statistics have it: two cycles on.
            None => {
                (window.highest.map_or(0, |highest| (highest >> 16) + 2) << 16) | u32::from(media.sequence)
            }
        };
        let is_first = window.highest.is_none() || media.epoch > window.epoch;
        window.epoch = media.epoch;
        if is_first {
            window.highest = Some(number);
        } else if !window.has.insert(number) || number < window.highest.unwrap().saturating_sub(1_000) {
            return false;
        }
        window.has.insert(number);
        let highest = window.highest.unwrap();
        if number > highest {
            let count = number - highest - 1;
            window.since.extend((highest + 1..number).map(|missing| (missing, now)));
            self.asker.missing(media.stream, highest + 1, u16::try_from(count).unwrap(), now);
            window.highest = Some(number);
        } else {
            self.asker.came(&media.stream, number, now);
        }
        self.shelf.keep(media.stream, media.sequence, &media.packet(), now);
        true
    }

    /// When it wants to wake, if that is not known.
    pub fn wants_to_wake(&mut self, now: u64) -> Option<u64> {
        let due = self.asker.due()?.max(now);
        let is_new = self.wakes.is_none_or(|wakes| wakes > due || wakes < now);
        is_new.then(|| *self.wakes.insert(due))
    }

    /// What it asks now.
    pub fn wake(&mut self, now: u64) -> Vec<Vec<u8>> {
        self.wakes = None;
        let mut packets = Vec::new();
        for ask in self.asker.take(now) {
            let window = &self.windows[&ask.stream];
            for number in &ask.numbers {
                // The latest of those that have been missing under this number.
                let asked = window.since.iter().rev().find(|(missing, _)| **missing as u16 == *number);
                let (missing, since) = asked.expect("nobody asks for what was not missing");
                assert!(now < since + within(), "{missing} is asked for after its deadline");
                assert!(!window.has.contains(missing), "{missing} is asked for and has come");
            }
            packets.extend(nack::requests(Ssrc(9), ask.stream.ssrc, &ask.numbers));
        }
        self.requests += packets.len() as u64;
        packets
    }

    /// What it sends again.
    pub fn asked(&mut self, packet: &[u8], now: u64) -> Vec<Media> {
        let mut again = Vec::new();
        for nack::Question { ssrc, numbers, bytes } in nack::asked_for(packet) {
            let stream = StreamId { port: 5004, ssrc };
            let asked = Asked { stream, numbers: &numbers, bytes, rate: RATE };
            for kept in self.answerer.answer(&0, &asked, &mut self.history, now) {
                let media = Media::of(stream, &kept.packet);
                assert!(numbers.contains(&media.sequence), "only what was asked for is sent");
                again.push(media);
                self.bytes_sent += kept.packet.len() as u64;
            }
        }
        self.bytes_asked += packet.len() as u64;
        let passed = now - self.begun.unwrap_or(1_000_000_000);
        let streams = self.windows.len() as u64;
        let most = 10 * self.bytes_asked + streams * (RATE / 4 + RATE * passed / 1_000_000_000 + 1_200);
        assert!(
            self.bytes_sent <= most,
            "{} bytes sent for {} that asked",
            self.bytes_sent,
            self.bytes_asked
        );
        again
    }

    pub fn check_at_the_end(&self) {
        let figures = self.asker.figures();
        let ended = figures.late + figures.repaired + figures.expired + figures.useless + figures.too_many;
        assert_eq!((self.asker.outstanding(), figures.missing), (0, ended), "{figures:?}");
        assert!(figures.requests <= 200 + 2_000 * 3, "{figures:?}");
        // Numbers that begin again in the middle of a packet may need one packet more.
        assert!(self.requests <= 2 * figures.requests, "{figures:?}");
    }
}
