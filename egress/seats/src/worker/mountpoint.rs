//! A mountpoint as one worker has it: its streams, and those of its viewers that sit here.

use std::collections::BTreeMap;
use std::time::Duration;

use node::media::{Kind, PerKind};

use super::reasons::{self, Reason};
use super::sitting::Sitting;
use super::{Arrival, Shared};
use crate::pace::Rounds;
use crate::peer::Seat;
use crate::send::Batch;
use crate::server::Notice;
use crate::stream::{History, Packet, Put};
use crate::viewer::{Asks, Moment, Stream};

/// Most packets that come late between two rounds.
const MOST_LATE: usize = 1024;

/// One mountpoint.
pub struct Mountpoint {
    /// Which of those that had this number.
    pub opening: u64,
    streams: PerKind<Stream>,
    viewers: BTreeMap<Seat, Sitting>,
    rounds: Rounds,
}

/// What a packet has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// More of the same.
    Media,
    /// A keyframe begins.
    Keyframe,
    /// Nothing.
    Dropped(Reason),
}

impl Mountpoint {
    /// Without viewers and media. Keeps packets for so long.
    pub fn new(opening: u64, keep: Duration) -> Mountpoint {
        let streams = PerKind::from_fn(|_| Stream { history: History::new(keep), late: Vec::new() });
        Mountpoint { opening, streams, viewers: BTreeMap::new(), rounds: Rounds::default() }
    }

    /// A packet of it.
    pub fn take(&mut self, kind: Kind, packet: Packet, now: Duration) -> Took {
        let Stream { history, late } = &mut self.streams[kind];
        let (index, marker) = (packet.index, packet.marker);
        let before = history.keyframe().map(|keyframe| keyframe.timestamp);
        match history.put(packet) {
            Put::Next => {}
            Put::Late if late.len() < MOST_LATE => late.push(index),
            Put::Late | Put::Old => return Took::Dropped(reasons::MEDIA_OLD),
            Put::Twice => return Took::Dropped(reasons::MEDIA_TWICE),
        }
        let keyframe = history.keyframe().map(|keyframe| keyframe.timestamp);
        // Sound comes alone, and in time.
        self.rounds.came(marker && kind == Kind::Video, now);
        if keyframe.is_some() && keyframe != before { Took::Keyframe } else { Took::Media }
    }

    /// Somebody sits down; whoever sat there is gone. `Ok(true)`: it waits for a keyframe.
    pub fn sit(&mut self, arrival: Arrival, at: Moment, shared: &Shared) -> Result<bool, String> {
        let seat = arrival.seat;
        let mut sitting = Sitting::new(arrival, &self.streams, at)?;
        let waits = sitting.waits(&self.streams, shared.keyframe_cache, at.now);
        self.viewers.insert(seat, sitting);
        self.rounds.came(false, at.now);
        Ok(waits)
    }

    /// It gets up.
    pub fn rise(&mut self, seat: Seat) {
        self.viewers.remove(&seat);
    }

    /// Who sits there.
    pub fn viewer(&mut self, seat: Seat) -> Option<&mut Sitting> {
        self.viewers.get_mut(&seat)
    }

    /// What a viewer has sent. Gives what it asks for of others.
    pub fn hears(
        &mut self,
        seat: Seat,
        packet: &mut [u8],
        at: Moment,
        batch: &mut Batch,
        shared: &Shared,
    ) -> Asks {
        match self.viewers.get_mut(&seat) {
            Some(sitting) => sitting.hears(packet, &self.streams, at, batch, shared),
            None => Asks::default(),
        }
    }

    /// When the next round is.
    pub fn due(&self) -> Option<Duration> {
        self.rounds.due()
    }

    /// Sends each viewer its share of what has come, if it is time. Who gets the first of it is told of.
    pub fn round(&mut self, at: Moment, batch: &mut Batch, shared: &Shared) {
        if !self.rounds.begin(at.now) {
            return;
        }
        let (mut more, mut missed) = (false, 0);
        for (seat, sitting) in &mut self.viewers {
            sitting.waits(&self.streams, shared.keyframe_cache, at.now);
            let round = sitting.round(&self.streams, at, batch, &shared.reasons);
            more |= round.more;
            missed += round.missed;
            if round.shows {
                (shared.notify)(Notice::Shown(*seat));
            }
        }
        shared.reasons.count(reasons::VIEWER_BEHIND, missed);
        Kind::BOTH.iter().for_each(|kind| self.streams[*kind].late.clear());
        if more {
            self.rounds.more(at.now);
        }
    }

    /// Sends what is due beside media, and forgets what is old. `true`: somebody waits for a keyframe.
    pub fn housekeeping(&mut self, at: Moment, batch: &mut Batch, shared: &Shared) -> bool {
        Kind::BOTH.iter().for_each(|kind| self.streams[*kind].history.forget(at.now));
        let mut wanted = false;
        for sitting in self.viewers.values_mut() {
            wanted |= sitting.housekeeping(&self.streams, at, batch, &shared.reasons);
            wanted |= sitting.waits(&self.streams, shared.keyframe_cache, at.now);
        }
        wanted
    }

    /// All who sit here.
    pub fn viewers(&self) -> impl Iterator<Item = (&Seat, &Sitting)> {
        self.viewers.iter()
    }

    /// Says goodbye to all, who then are gone.
    pub fn end(mut self, batch: &mut Batch, shared: &Shared) -> Vec<Seat> {
        self.viewers.values_mut().for_each(|sitting| sitting.goodbye(batch, &shared.reasons));
        self.viewers.into_keys().collect()
    }
}
