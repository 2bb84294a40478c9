//! What a child asks for is sent again: to that child only, from the address and the port that its copies come from.

use std::net::{IpAddr, SocketAddr};

use node::media::Ssrc;
use node::repair::{Asked, Kept, nack};
use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use super::past::{self, Past};
use super::{State, Uplink, bound, key};
use crate::clock::monotonic_ns;
use crate::fanout::ChildId;
use crate::relay::plane::Plane;
use crate::userspace::Heard;

/// A stream that is younger has no rate yet, ns.
const YOUNG: u64 = 100_000_000;

/// Where a child takes a stream.
#[derive(Clone, Copy, Debug)]
struct Taker {
    id: ChildId,
    /// Where copies for it leave from, if that is known.
    from: Option<IpAddr>,
    to: SocketAddr,
}

impl Uplink {
    /// Sends again what is asked for, if it is a child that asks and there is anything.
    pub(super) async fn answer(&mut self, heard: &Heard) {
        let asked = nack::asked_for(&heard.packet);
        if asked.is_empty() {
            return;
        }
        let relay = self.relay.clone();
        let state = relay.state.lock().await;
        if !state.is_child(heard.from) {
            let numbers = asked.iter().map(|(_, numbers)| numbers.len()).sum();
            tracing::debug!("{} is no child and asks for {numbers} packets: not answered", heard.from);
            return self.relay.repairs().answerer.stranger(numbers);
        }
        for (ssrc, numbers) in asked {
            self.answer_one(&state, heard, ssrc, &numbers);
        }
    }

    fn answer_one(&mut self, state: &State, heard: &Heard, ssrc: Ssrc, numbers: &[u16]) {
        let key = key(heard.port, ssrc);
        let kind = usize::from(self.relay.config.listen.ports[0] != key.port);
        let stream = state.plane.stream(&key).filter(|stream| stream.packets > 0);
        let (Some(stream), Some(taker)) = (stream, state.taker(heard, &key, kind)) else {
            return self.relay.repairs().answerer.no_stream(numbers.len());
        };
        // Of several streams in one packet each has a part of it.
        let bytes = heard.packet.len().min(12 + 4 * numbers.len());
        let asked = Asked { stream: key.into(), numbers, bytes, rate: rate_of(&stream) };
        let mut past = Past { plane: &state.plane, kernel: past::of(&mut self.history) };
        let answers = self.relay.repairs().answerer.answer(&taker.id, &asked, &mut past, monotonic_ns());
        if answers.is_empty() {
            return;
        }
        let failed = state.send_again(&key, taker, &answers);
        tracing::debug!(
            "SSRC {ssrc}: {} packets sent again to {}, {failed} refused",
            answers.len(),
            taker.to
        );
        self.relay.repairs().failed += failed;
    }
}

impl State {
    /// Which child it is that asks, if the stream goes there. Several may be at one address: then by the port that it asks from.
    fn taker(&self, heard: &Heard, key: &StreamKey, kind: usize) -> Option<Taker> {
        let is_set = |id: &ChildId| self.routes.get(key).is_none_or(|subset| subset.contains(id));
        let at_address = self.children.values().filter(|member| member.reach.address == Some(heard.from));
        let mut takers = at_address.filter(|member| is_set(&member.id)).map(|member| Taker {
            id: member.id,
            from: member.reach.hop.as_ref().map(|hop| hop.source),
            to: SocketAddr::new(heard.from, member.spec.ports[kind]),
        });
        let first = takers.next()?;
        let is_it = |taker: &Taker| heard.from_port.wrapping_sub(taker.to.port()) <= 1;
        if is_it(&first) { Some(first) } else { Some(takers.find(is_it).unwrap_or(first)) }
    }

    /// Gives how many could not be sent.
    fn send_again(&self, key: &StreamKey, taker: Taker, packets: &[Kept]) -> u64 {
        let sent = match &self.plane {
            Plane::Userspace(own) => packets
                .iter()
                .filter(|kept| own.send_feedback(None, key.port, true, taker.to, &kept.packet).is_ok())
                .count(),
            // Only for this moment: the port is not ours, and what comes to it meanwhile is taken before any socket.
            Plane::Kernel(_) => match taker.from.map(|from| bound(SocketAddr::new(from, key.port))) {
                Some(Ok(socket)) => packets
                    .iter()
                    .filter(|kept| socket.send_to(&kept.packet, &taker.to.into()).is_ok())
                    .count(),
                Some(Err(error)) => {
                    tracing::debug!("cannot send from port {}: {error}", key.port);
                    0
                }
                None => 0,
            },
        };
        (packets.len() - sent) as u64
    }
}

/// Bytes a second.
fn rate_of(stream: &Stream) -> u64 {
    let lasts = stream.last_seen.saturating_sub(stream.first_seen).max(YOUNG);
    u64::try_from(u128::from(stream.bytes) * 1_000_000_000 / u128::from(lasts)).unwrap_or(u64::MAX)
}
