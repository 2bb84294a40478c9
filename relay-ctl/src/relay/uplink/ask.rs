//! Packets that have not come are asked for, of whoever sends the stream: generic NACK (RFC 4585 section 6.2.1).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use node::media::picture::begins_keyframe;
use node::media::{Ssrc, VideoCodec};
use node::repair::{Ask, Asker, History, StreamId, nack};
use node::sources::other_way;
use relay_common::layout::{Gap, StreamKey};
use relay_common::stream::{REACH, Stream};

use super::past::{self, Past};
use super::{Gaps, State, Uplink, ears};
use crate::clock::monotonic_ns;

/// Gaps that are taken at once, before anything else has its turn.
const AT_ONCE: usize = 256;
/// So many packets behind what is missing are looked at for a keyframe.
const LOOKED_AT: usize = 256;
/// The relay's own address is looked up again after this.
const KNOWN_FOR: Duration = Duration::from_secs(2);

impl Uplink {
    /// A stream has jumped over something; there may be more of that waiting.
    pub(super) fn miss(&self, gap: Gap, others: &mut Option<Gaps>) {
        let mut repairs = self.relay.repairs();
        let mut next = Some(gap);
        for _ in 0..AT_ONCE {
            let Some(gap) = next else { return };
            repairs.asker.missing(gap.key, gap.first, gap.count, gap.now);
            next = others.as_mut().and_then(|others| others.try_recv().ok());
        }
        if let Some(gap) = next {
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
        let state = relay.state.lock().await;
        let asks = {
            let mut repairs = relay.repairs();
            let now = monotonic_ns();
            let mut past = Past { plane: &state.plane, kernel: past::of(&mut self.history) };
            repairs.untold = past.untold();
            for (key, numbers) in repairs.asker.waiting(now) {
                match state.plane.stream(&key) {
                    Some(stream) => look(&mut repairs.asker, &mut past, &key, &stream, &numbers, now),
                    None => {
                        let _ = repairs.asker.ended(&key);
                    }
                }
            }
            repairs.asker.take(now)
        };
        if asks.is_empty() {
            return;
        }
        let known_by = self.known_by(&state).await;
        for ask in asks {
            self.send_request(&state, known_by, &ask);
        }
    }

    fn send_request(&self, state: &State, known_by: Option<IpAddr>, ask: &Ask<StreamKey>) {
        let (port, ssrc) = (ask.stream.port, Ssrc(ask.stream.ssrc));
        let stream = state.plane.stream(&ask.stream);
        let mut sources = state.above(&ask.stream, self.relay.config.listen.ports);
        // Whoever sends the same may have what this one lacks, or cannot send any more.
        let other = stream.filter(|_| ask.before > 1).and_then(|stream| other_way(&stream, monotonic_ns()));
        sources.extend(other.filter(|other| !sources.contains(other)));
        // It may not be heard at the first of the ports, and its answer may only have been lost.
        let most = if ask.before == 0 { 1 } else { 2 };
        for packet in nack::requests(ssrc, ssrc, &ask.numbers) {
            for (to, multiplexed) in sources.iter().flat_map(|source| ears(*source).take(most)) {
                match self.send_up(state, known_by, port, multiplexed, to, &packet) {
                    Ok(()) => tracing::debug!("SSRC {ssrc}: asked {to} for {:?} again", ask.numbers),
                    Err(error) => {
                        tracing::debug!("SSRC {ssrc}: cannot ask {to} for what is missing: {error}")
                    }
                }
            }
        }
    }

    /// The address that the relay is known by where media comes from.
    async fn known_by(&mut self, state: &State) -> Option<IpAddr> {
        match self.known_by {
            Some((since, address)) if since.elapsed() < KNOWN_FOR => address,
            _ => {
                let address = self.relay.registered_address(state).await;
                self.known_by = Some((Instant::now(), address));
                address
            }
        }
    }
}

/// Which of these numbers have come, and whether a keyframe has made others useless.
fn look(
    asker: &mut Asker<StreamKey>,
    history: &mut impl History,
    key: &StreamKey,
    stream: &Stream,
    numbers: &[u32],
    now: u64,
) {
    let id = StreamId::from(*key);
    asker.look(key, stream, numbers, |number| history.find(&id, number as u16).map_or(now, |kept| kept.came));
    // Only before something is repeated: looking costs more than asking.
    let Some(first) = asker.first_asked(key).filter(|first| numbers.contains(first)) else { return };
    if stream.highest.wrapping_sub(first) > u32::from(REACH) {
        return;
    }
    let mut behind = (first.saturating_add(1)..=stream.highest).take(LOOKED_AT);
    // What is before may be of the keyframe itself: of that nothing is known but by the packet just before.
    let mut before = None;
    let keyframe = behind.find(|number| {
        let packet = history.find(&id, *number as u16).map(|kept| kept.packet);
        let follows = std::mem::replace(&mut before, packet.as_deref().and_then(timestamp));
        packet.is_some_and(|packet| begins(&packet) && follows.is_some() && follows != timestamp(&packet))
    });
    if let Some(begins) = keyframe {
        asker.useless_before(key, begins);
    }
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
    use std::time::Duration;

    use node::repair::Ring;
    use relay_common::stream::Arrival;

    use super::*;

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
        let (mut asker, mut ring) = (Asker::new(Duration::from_millis(150)), Ring::new(100));
        let arrival = |sequence| Arrival { sequence, timestamp: 0, bytes: 100, now: 0, rate: 0 };
        let mut stream = Stream::begin(arrival(9), [0; 16], 1);
        for (number, picture, first) in came {
            let before = stream.highest;
            assert!(stream.update(arrival(*number)));
            ring.keep(KEY.into(), *number, &vp8(*number, *picture, first), 0);
            if let Some(gap) = stream.missing_since(before) {
                asker.missing(KEY, gap.first, gap.count, 0);
            }
        }
        asker.take(2 * MS);
        let now = 32 * MS;
        for (key, numbers) in asker.waiting(now) {
            look(&mut asker, &mut ring, &key, &stream, &numbers, now);
        }
        asker.take(now).into_iter().flat_map(|ask| ask.numbers).collect()
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
}
