//! Which packets of a batch go out together, as one message that the kernel cuts apart again (UDP_SEGMENT).
//!
//! What is sent is the same packets; only the way through the kernel is taken once for all of them. A message goes to one
//! child, so what can be put together is packets of one stream that have come together, not one packet's copies.

/// Most packets of a run; the kernel takes no more (UDP_MAX_SEGMENTS of Linux before 6.11).
const PACKETS: usize = 64;
/// Most bytes of a run, below what a datagram can hold in either IP version.
const BYTES: usize = 65_000;

/// What must be the same in all packets of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    pub source: [u8; 16],
    pub source_port: u16,
    pub ttl: u8,
    pub class: u8,
}

/// What this module has to know of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub ssrc: u32,
    pub like: Likeness,
    pub length: usize,
    /// Goes out by itself whatever it is like.
    pub alone: bool,
}

/// The runs of a batch. Memory that is used again for the next one.
#[derive(Default)]
pub struct Runs {
    open: Vec<Run>,
    /// Which run each packet is in.
    of: Vec<usize>,
    /// The packets' indexes, run after run.
    order: Vec<usize>,
}

struct Run {
    first: Piece,
    count: usize,
    bytes: usize,
    /// Nothing may follow: the last packet was shorter than the others.
    full: bool,
    /// Where the run ends in `order`.
    end: usize,
}

impl Runs {
    /// Finds the runs of packets that came in this order, all to one port. Each packet is in one of them, and the packets of
    /// a stream keep their order; different streams may change places.
    pub fn group(&mut self, pieces: impl Iterator<Item = Piece>) -> &Runs {
        self.open.clear();
        self.of.clear();
        for piece in pieces {
            // Only the stream's latest run: going into an earlier one would overtake it.
            let latest = self.open.iter().rposition(|run| run.first.ssrc == piece.ssrc);
            let run = match latest.filter(|run| self.open[*run].takes(&piece)) {
                Some(run) => run,
                None => {
                    self.open.push(Run { first: piece, count: 0, bytes: 0, full: false, end: 0 });
                    self.open.len() - 1
                }
            };
            self.open[run].add(&piece);
            self.of.push(run);
        }
        let mut begin = 0;
        for run in &mut self.open {
            run.end = begin;
            begin += run.count;
        }
        self.order.clear();
        self.order.resize(self.of.len(), 0);
        for (index, run) in self.of.iter().enumerate() {
            let end = &mut self.open[*run].end;
            self.order[*end] = index;
            *end += 1;
        }
        self
    }

    /// The indexes of all packets, those of a run one after the other.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Where in [`Runs::order`] each run is.
    pub fn spans(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.open.iter().map(|run| run.end - run.count..run.end)
    }
}

impl Run {
    fn takes(&self, piece: &Piece) -> bool {
        let Piece { ssrc, like, length, alone } = self.first;
        !self.full
            && !alone
            && !piece.alone
            && (ssrc, like) == (piece.ssrc, piece.like)
            && piece.length <= length
            && self.count < PACKETS
            && self.bytes + piece.length <= BYTES
    }

    fn add(&mut self, piece: &Piece) {
        self.count += 1;
        self.bytes += piece.length;
        self.full |= piece.length < self.first.length;
    }
}

#[cfg(test)]
mod tests;
