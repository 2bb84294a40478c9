//! The table of streams: read without the lock that changes wait for, and kept from filling up.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use node::metrics::Kept;
use relay_common::layout::{MAX_STREAMS, StreamKey};
use relay_common::stream::Stream;
use tokio::sync::{Mutex, MutexGuard};

use super::State;
use super::plane::Plane;
use crate::clock::monotonic_ns;
use crate::kernel::{self, Pins};

/// Streams that are many: half of what the table holds.
const CROWDED: usize = MAX_STREAMS as usize / 2;
/// Streams that are forgotten at a time, so that changes need not wait for all of them.
const AT_A_TIME: usize = 1_000;
/// Streams are forgotten by this.
pub const PATIENCE: Patience =
    Patience { silent: 600_000_000_000, when_full: 30_000_000_000, single: 2_000_000_000 };

/// For how many ns a stream may be silent before it is forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Any stream.
    pub silent: u64,
    /// The same when the table is three quarters full.
    pub when_full: u64,
    /// A stream of one packet, or of RTCP only, when the table is half full: those go first that may be none.
    pub single: u64,
}

/// The streams of a relay, and the order in which they and their sums may be read.
pub struct StreamTable {
    pins: Pins,
    /// RTP ports: audio, video.
    ports: [u16; 2],
    /// Held while streams and totals are added up, and while some go from the ones to the others.
    sums: Mutex<()>,
    /// What forgotten streams had counted: packets, late ones, and those that came again.
    forgotten: std::sync::Mutex<Kept<StreamKey, 3>>,
}

impl StreamTable {
    /// Those of the data plane that is pinned there, or of the sockets.
    pub fn new(pins: Pins, ports: [u16; 2]) -> StreamTable {
        StreamTable { pins, ports, sums: Mutex::default(), forgotten: Default::default() }
    }

    /// Nothing is forgotten while this is held: what streams and totals add up to is right.
    pub async fn hold(&self) -> MutexGuard<'_, ()> {
        self.sums.lock().await
    }

    /// The streams as they are now. Between this and a reading of what was forgotten, nothing may be forgotten:
    /// [`StreamTable::hold`].
    ///
    /// Changes come first: reading thousands of streams takes milliseconds, so that is done without the lock that changes
    /// wait for, through a handle of its own.
    pub async fn read(&self, state: &Mutex<State>) -> Vec<(StreamKey, Stream)> {
        match &state.lock().await.plane {
            Plane::Userspace(sockets) => return sockets.streams(),
            Plane::Kernel(_) => {}
        }
        let pins = self.pins.clone();
        match tokio::task::spawn_blocking(move || kernel::streams_pinned(&pins)).await {
            Ok(Ok(streams)) => streams,
            // Detached this moment, most likely: the handles that are open still read.
            _ => state.lock().await.plane.streams(),
        }
    }

    /// What each of these had counted before it was forgotten last.
    pub fn before(&self, streams: &[(StreamKey, Stream)]) -> Vec<[u64; 3]> {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().map(|(key, _)| forgotten.before(key)).collect()
    }

    /// Is the table more than half full? Counts no further than that.
    pub async fn is_crowded(&self, state: &Mutex<State>) -> bool {
        match &state.lock().await.plane {
            Plane::Userspace(sockets) => return sockets.known() > CROWDED,
            Plane::Kernel(_) => {}
        }
        let pins = self.pins.clone();
        let counting = tokio::task::spawn_blocking(move || kernel::has_more_streams(&pins, CROWDED));
        matches!(counting.await, Ok(Ok(true)))
    }

    /// Forgets streams that were silent for longer than our patience lasts.
    pub async fn forget_silent(&self, state: &Mutex<State>, patience: Patience) {
        self.forget(state, |streams| silent(streams, monotonic_ns(), patience)).await;
    }

    /// Forgets those of the streams that are chosen.
    pub async fn forget(
        &self,
        state: &Mutex<State>,
        choose: impl FnOnce(&[(StreamKey, Stream)]) -> Vec<StreamKey>,
    ) {
        // Nobody adds up streams and totals while some of them go from here to there.
        let _sums = self.hold().await;
        let streams = self.read(state).await;
        let chosen = choose(&streams);
        if chosen.is_empty() {
            return;
        }
        let known: BTreeMap<StreamKey, Stream> = streams.into_iter().collect();
        for keys in chosen.chunks(AT_A_TIME) {
            let mut state = state.lock().await;
            if let Err(error) = state.plane.forget(keys, self.ports) {
                tracing::warn!("streams stay in the table: {error}");
                continue;
            }
            let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, stream) in keys.iter().filter_map(|key| Some((*key, known.get(key)?))) {
                // One packet is a stranger's as a rule: no series is missed.
                if stream.packets > 1 {
                    forgotten.gone(key, [stream.packets, stream.reordered, stream.duplicates]);
                }
            }
        }
    }
}

/// Which streams were silent for too long, at a moment on the clock of `last_seen`.
fn silent(streams: &[(StreamKey, Stream)], now: u64, patience: Patience) -> Vec<StreamKey> {
    let most = MAX_STREAMS as usize;
    let limit = if streams.len() * 4 > most * 3 { patience.when_full } else { patience.silent };
    let crowded = streams.len() > CROWDED;
    let goes = |stream: &Stream| {
        let silent = now.saturating_sub(stream.last_seen);
        silent > limit || (crowded && stream.packets <= 1 && silent > patience.single)
    };
    streams.iter().filter(|(_, stream)| goes(stream)).map(|(key, _)| *key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 1_000 * SECOND;

    /// `count` streams of so many packets, silent for so long; their SSRCs begin at `first`.
    fn streams(first: u32, count: u32, packets: u64, silent_for: u64) -> Vec<(StreamKey, Stream)> {
        let begun = Stream::begin_with_rtcp(NOW - silent_for, [0; 16], 5004);
        let stream = Stream { packets, ..begun };
        let key = |ssrc| StreamKey { port: 5004, reserved: [0; 2], ssrc };
        (first..first + count).map(|ssrc| (key(ssrc), stream)).collect()
    }

    /// How many of the streams from each of these SSRCs on are forgotten.
    fn forgotten(parts: &[(u32, u64, u64)]) -> Vec<usize> {
        let starts: Vec<u32> = (0..parts.len() as u32).map(|part| part * MAX_STREAMS).collect();
        let all: Vec<_> = starts
            .iter()
            .zip(parts)
            .flat_map(|(first, (count, packets, silent))| streams(*first, *count, *packets, *silent))
            .collect();
        let gone = silent(&all, NOW, PATIENCE);
        let of = |first: &u32| {
            gone.iter().filter(|key| (*first..*first + MAX_STREAMS).contains(&key.ssrc)).count()
        };
        starts.iter().map(of).collect()
    }

    #[test]
    fn streams_of_one_packet_go_first_when_the_table_is_half_full() {
        let half = MAX_STREAMS / 2;
        // Real ones that pause, a flood that has gone by, RTCP alone, and what has just come.
        let parts =
            |flood| [(10, 2, 20 * SECOND), (flood, 1, 3 * SECOND), (10, 0, 3 * SECOND), (10, 1, SECOND)];
        assert_eq!(forgotten(&parts(half - 30)), [0, 0, 0, 0]);
        assert_eq!(forgotten(&parts(half)), [0, half as usize, 10, 0]);
    }

    #[test]
    fn silent_streams_go_sooner_when_the_table_is_nearly_full() {
        let most = MAX_STREAMS * 3 / 4;
        let parts = |live| [(live, 9, SECOND), (10, 9, 40 * SECOND), (10, 9, 700 * SECOND)];
        assert_eq!(forgotten(&parts(100)), [0, 0, 10]);
        assert_eq!(forgotten(&parts(most)), [0, 10, 10]);
    }
}
