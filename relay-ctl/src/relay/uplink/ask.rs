//! Packets that have not come are asked for, of whoever sends the stream: generic NACK (RFC 4585 section 6.2.1).
//!
//! The relay's state is locked to copy what is known of the streams, and for nothing else: what is in the history, and what becomes of it,
//! is found out and sent while everybody else goes on.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use node::media::picture::begins_keyframe;
use node::media::{Ssrc, VideoCodec};
use node::repair::{Ask, Due, History, Looked, StreamId, nack};
use node::sources::other_way;
use relay_common::layout::{Gap, StreamKey};
use relay_common::stream::{REACH, Stream};

use super::{State, Uplink, ears};
use crate::clock::monotonic_ns;

/// So many packets behind what is missing are looked at for a keyframe.
const LOOKED_AT: usize = 256;
/// The relay's own address is looked up again after this.
const KNOWN_FOR: Duration = Duration::from_secs(2);

/// A stream of which something is due.
struct Known {
    stream: Option<Stream>,
    /// Who sends it.
    sources: Vec<SocketAddr>,
    /// Whoever sends the same.
    other: Option<SocketAddr>,
}

impl Uplink {
    /// Streams have jumped over something.
    pub(super) fn miss(&self, gaps: &[Gap]) {
        let mut repairs = self.relay.repairs();
        for gap in gaps {
            repairs.asker.missing(gap.key, gap.first, gap.count, gap.now);
        }
    }

    /// Returns when something is to be asked for, or given up; never while nothing is missing.
    pub(super) async fn repair_due(&self) {
        let due = self.relay.repairs().asker.due();
        match due {
            Some(due) => tokio::time::sleep(Duration::from_nanos(due.saturating_sub(monotonic_ns()))).await,
            None => std::future::pending().await,
        }
    }

    /// Asks for what is due, unless it has come meanwhile.
    pub(super) async fn ask_for_missing(&mut self) {
        let relay = self.relay.clone();
        let now = monotonic_ns();
        let due = relay.repairs().asker.waiting(now);
        let known: BTreeMap<StreamKey, Known> = {
            let state = relay.state.lock().await;
            due.iter()
                .map(|due| (due.stream, state.known(&due.stream, self.relay.config.listen.ports, now)))
                .collect()
        };
        let past = self.past();
        let looked: Vec<(StreamKey, Option<Looked>)> = due
            .iter()
            .map(|due| {
                let stream = known.get(&due.stream).and_then(|known| known.stream.as_ref());
                (due.stream, stream.map(|stream| look(past, due, stream, now)))
            })
            .collect();
        let untold = past.untold();
        let asks = {
            let mut repairs = relay.repairs();
            repairs.untold = untold;
            repairs.asker.take_after(looked, now)
        };
        if asks.is_empty() {
            return;
        }
        let known_by = self.known_by().await;
        for ask in asks {
            if let Some(known) = known.get(&ask.stream) {
                self.send_request(known, known_by, &ask);
            }
        }
    }

    fn send_request(&self, known: &Known, known_by: Option<IpAddr>, ask: &Ask<StreamKey>) {
        let (port, ssrc) = (ask.stream.port, Ssrc(ask.stream.ssrc));
        // Whoever sends the same may have what this one lacks, or cannot send any more.
        let other = known.other.filter(|other| ask.before > 1 && !known.sources.contains(other));
        // It may not be heard at the first of the ports, and its answer may only have been lost.
        let most = if ask.before == 0 { 1 } else { 2 };
        for packet in nack::requests(ssrc, ssrc, &ask.numbers) {
            for (to, multiplexed) in
                known.sources.iter().chain(&other).flat_map(|source| ears(*source).take(most))
            {
                match self.send_up(known_by, port, multiplexed, to, &packet) {
                    Ok(()) => tracing::debug!("SSRC {ssrc}: asked {to} for {:?} again", ask.numbers),
                    Err(error) => {
                        tracing::debug!("SSRC {ssrc}: cannot ask {to} for what is missing: {error}")
                    }
                }
            }
        }
    }

    /// The address that the relay is known by where media comes from.
    pub(super) async fn known_by(&mut self) -> Option<IpAddr> {
        match self.known_by {
            Some((since, address)) if since.elapsed() < KNOWN_FOR => address,
            _ => {
                let address = self.relay.registered_address().await;
                self.known_by = Some((Instant::now(), address));
                address
            }
        }
    }
}

impl State {
    fn known(&self, key: &StreamKey, ports: [u16; 2], now: u64) -> Known {
        let stream = self.plane.stream(key);
        let other = stream.as_ref().and_then(|stream| other_way(stream, now));
        Known { stream, sources: self.above(key, ports), other }
    }
}

/// Which of these numbers have come, and whether a keyframe has made others useless.
fn look(history: &mut impl History, due: &Due<StreamKey>, stream: &Stream, now: u64) -> Looked {
    let id = StreamId::from(due.stream);
    let mut when = |number: u32| history.find(&id, number as u16).map_or(now, |kept| kept.came);
    let looked = Looked::at(stream, &due.numbers, &mut when);
    let has_come = |number: &u32| looked.came.iter().any(|(come, _)| come == number);
    let Some(first) = due.asked.iter().copied().find(|number| !has_come(number)) else { return looked };
    if stream.highest.wrapping_sub(first) > u32::from(REACH) {
        return looked;
    }
    let mut behind = (first.saturating_add(1)..=stream.highest).take(LOOKED_AT);
    // What is before may be of the keyframe itself: of that nothing is known but by the packet just before.
    let mut before = None;
    let begins = behind.find(|number| {
        let packet = history.find(&id, *number as u16).map(|kept| kept.packet);
        let follows = std::mem::replace(&mut before, packet.as_deref().and_then(timestamp));
        packet.is_some_and(|packet| begins(&packet) && follows.is_some() && follows != timestamp(&packet))
    });
    Looked { begins, ..looked }
}

/// RTP timestamp: packets of one picture have the same.
fn timestamp(packet: &[u8]) -> Option<[u8; 4]> {
    packet.get(4..8)?.try_into().ok()
}

/// The packet begins a keyframe of the codec that it says it is of.
fn begins(packet: &[u8]) -> bool {
    let Some(kind) = packet.get(1).map(|second| second & 0x7f) else { return false };
    let codecs = [VideoCodec::Vp8, VideoCodec::H264];
    let codec = codecs.into_iter().find(|codec| codec.payload_type() == kind);
    codec.is_some_and(|codec| begins_keyframe(codec, packet))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    use node::repair::{Asker, Finder, Kept, Shelf};
    use relay_common::stream::Arrival;

    use super::super::past::Past;
    use super::*;
    use crate::relay::{Relay, loopback};

    const KEY: StreamKey = StreamKey { port: 5004, reserved: [0; 2], ssrc: 7 };
    const MS: u64 = 1_000_000;

    /// A VP8 packet of a picture: the first of a keyframe, or of another picture, or none that begins one.
    fn vp8(number: u16, picture: u32, first: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, VideoCodec::Vp8.payload_type()];
        packet.extend(number.to_be_bytes());
        packet.extend((picture * 3000).to_be_bytes());
        packet.extend(KEY.ssrc.to_be_bytes());
        packet.extend(first);
        packet
    }

    const KEYFRAME: &[u8] = &[0x10, 2, 0, 0, 0x9d, 0x01, 0x2a];
    const PICTURE: &[u8] = &[0x10, 1, 0, 0, 0, 0, 0];
    const REST: &[u8] = &[0, 0, 0, 0, 0, 0, 0];

    /// Which of the numbers 10 to 17 are still asked for, when these have come of them, each with its picture and beginning.
    fn wanted(came: &[(u16, u32, &[u8])]) -> Vec<u16> {
        let (mut asker, shelf) = (Asker::new(Duration::from_millis(150)), Shelf::new(100));
        let arrival = |sequence| Arrival { sequence, timestamp: 0, bytes: 100, now: 0, rate: 0 };
        let mut stream = Stream::begin(arrival(9), [0; 16], 1);
        for (number, picture, first) in came {
            let before = stream.highest;
            assert!(stream.update(arrival(*number)));
            shelf.keep(KEY.into(), *number, &vp8(*number, *picture, first), 0);
            if let Some(gap) = stream.missing_since(before) {
                asker.missing(KEY, gap.first, gap.count, 0);
            }
        }
        asker.take(2 * MS);
        let (now, mut finder) = (32 * MS, Finder::new(shelf));
        let due = asker.waiting(now);
        let looked = due.iter().map(|due| (due.stream, Some(look(&mut finder, due, &stream, now))));
        asker.take_after(looked, now).into_iter().flat_map(|ask| ask.numbers).collect()
    }

    #[test]
    fn what_a_keyframe_has_made_useless_is_not_asked_for_again() {
        assert_eq!(wanted(&[(12, 1, REST), (13, 2, PICTURE), (17, 3, PICTURE)]), [10, 11, 14, 15, 16]);
        assert_eq!(wanted(&[(12, 1, REST), (13, 2, KEYFRAME), (17, 3, PICTURE)]), [14, 15, 16]);
    }

    #[test]
    fn what_may_be_of_the_keyframe_itself_is_asked_for() {
        let all = [10, 11, 12, 14, 15, 16];
        // What is just before it has not come, or is of the same picture.
        assert_eq!(wanted(&[(13, 2, KEYFRAME), (17, 3, PICTURE)]), all);
        assert_eq!(wanted(&[(12, 2, REST), (13, 2, KEYFRAME), (17, 3, PICTURE)]), [10, 11, 14, 15, 16]);
    }

    #[test]
    fn what_has_come_meanwhile_is_not_asked_for() {
        assert_eq!(wanted(&[(13, 2, PICTURE), (11, 1, REST), (12, 1, REST)]), [10]);
    }

    /// Where nobody may read while others wait.
    struct Watched {
        relay: Arc<Relay>,
        read: Arc<AtomicUsize>,
    }

    impl History for Watched {
        fn find(&mut self, _: &StreamId, sequence: u16) -> Option<Kept> {
            assert!(self.relay.state.try_lock().is_ok(), "the relay's state is locked");
            assert!(self.relay.repairs.try_lock().is_ok(), "what is missing is locked");
            self.read.fetch_add(1, Relaxed);
            Some(Kept { came: 0, packet: vp8(sequence, u32::from(sequence), PICTURE) })
        }
    }

    #[tokio::test]
    async fn nobody_waits_while_the_history_is_read_for_a_keyframe_or_for_what_came() {
        let relay = Arc::new(loopback::relay(&[], &[]).await);
        let key = StreamKey { port: relay.config.listen.ports[1], ..KEY };
        loopback::send(&relay, 1, KEY.ssrc, [1, 4, 2, 200]).await;
        let read = Arc::<AtomicUsize>::default();
        let mut uplink = Uplink::new(relay.clone());
        uplink.past = Past::Other(Box::new(Watched { relay: relay.clone(), read: read.clone() })).into();
        let long_ago = monotonic_ns() - 40 * MS;
        relay.repairs().asker.missing(key, 2, 2, long_ago);
        relay.repairs().asker.take(long_ago + 3 * MS);
        uplink.ask_for_missing().await;
        let asked = relay.repairs().asker.figures();
        assert_eq!(
            (asked.repaired, asked.repeated),
            (1, 1),
            "2 has come, and 3 is asked for again: {asked:?}"
        );
        assert_eq!(read.load(Relaxed), 1 + 197, "when 2 came, and all behind 3");
    }
}
