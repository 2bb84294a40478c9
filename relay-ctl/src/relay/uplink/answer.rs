//! What a child asks for is sent again: to that child only, from the address and the port that its copies come from.

use std::net::{IpAddr, SocketAddr};

use node::repair::nack::{self, Question};
use node::repair::{Asked, History, Kept};
use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use super::{State, Uplink, bound, key};
use crate::clock::monotonic_ns;
use crate::fanout::ChildId;
use crate::userspace::{Heard, Mouth};

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

/// What is asked for: packets of a stream, which goes to whoever asks, or does not.
struct Found {
    key: StreamKey,
    question: Question,
    stream: Option<(Stream, Taker)>,
}

/// What is sent again: from which port, to whom.
struct Answers {
    key: StreamKey,
    taker: Taker,
    packets: Vec<Kept>,
}

impl Uplink {
    /// Sends again what is asked for, if it is a child that asks and there is anything.
    pub(super) async fn answer(&mut self, heard: &Heard) {
        let asked = nack::asked_for(&heard.packet);
        if asked.is_empty() {
            return;
        }
        let relay = self.relay.clone();
        let ports = self.relay.config.listen.ports;
        let questions: Vec<Found> = {
            let state = relay.state.lock().await;
            if !state.is_child(heard.from) {
                let numbers = asked.iter().map(|question| question.numbers.len()).sum();
                tracing::debug!("{} is no child and asks for {numbers} packets: not answered", heard.from);
                return relay.repairs().answerer.stranger(numbers);
            }
            let find = |question: Question| {
                let key = key(heard.port, question.ssrc);
                let stream = state.plane.stream(&key).filter(|stream| stream.packets > 0);
                let taker = state.taker(heard, &key, usize::from(ports[0] != key.port));
                Found { key, question, stream: stream.zip(taker) }
            };
            asked.into_iter().map(find).collect()
        };
        // Nobody waits for the relay's state while it is looked for what they lack, nor while that leaves.
        for Found { key, question, stream } in questions {
            let Some((stream, taker)) = stream else {
                relay.repairs().answerer.no_stream(question.numbers.len());
                continue;
            };
            let Some(answers) = self.look_for(key, &question, &stream, taker) else { continue };
            let failed = answers.send(self.mouth.as_ref());
            tracing::debug!(
                "SSRC {}: {} packets sent again to {}, {failed} refused",
                answers.key.ssrc,
                answers.packets.len(),
                answers.taker.to
            );
            relay.repairs().failed += failed;
        }
    }

    fn look_for(
        &mut self,
        key: StreamKey,
        question: &Question,
        stream: &Stream,
        taker: Taker,
    ) -> Option<Answers> {
        let Question { numbers, bytes, .. } = question;
        let asked = Asked { stream: key.into(), numbers, bytes: *bytes, rate: rate_of(stream) };
        let relay = self.relay.clone();
        let past = self.past();
        past.catch_up();
        let mut repairs = relay.repairs();
        repairs.untold = past.untold();
        let packets = repairs.answerer.answer(&taker.id, &asked, past, monotonic_ns());
        (!packets.is_empty()).then_some(Answers { key, taker, packets })
    }
}

impl State {
    fn taker(&self, heard: &Heard, key: &StreamKey, kind: usize) -> Option<Taker> {
        let is_set = |id: &ChildId| self.routes.get(key).is_none_or(|subset| subset.contains(id));
        let at_address = self.children.values().filter(|member| member.reach.address == Some(heard.from));
        let takers = at_address.filter(|member| is_set(&member.id)).map(|member| Taker {
            id: member.id,
            from: member.reach.hop.as_ref().map(|hop| hop.source),
            to: SocketAddr::new(heard.from, member.spec.ports[kind]),
        });
        who_asks(takers, heard.from_port)
    }
}

/// Which child it is that asks, of those at its address that the stream goes to. Several may be there: then by the port that it asks
/// from, and if that is nobody's, it is not known which.
fn who_asks(mut takers: impl Iterator<Item = Taker>, from_port: u16) -> Option<Taker> {
    let first = takers.next()?;
    let is_it = |taker: &Taker| from_port.checked_sub(taker.to.port()).is_some_and(|after| after <= 1);
    if is_it(&first) {
        return Some(first);
    }
    let mut others = takers.peekable();
    match others.peek() {
        None => Some(first),
        Some(_) => others.find(is_it),
    }
}

impl Answers {
    /// Gives how many could not be sent. `mouth`: of userspace mode.
    fn send(&self, mouth: Option<&Mouth>) -> u64 {
        let Answers { key, taker, packets } = self;
        let count = |sends: &dyn Fn(&[u8]) -> bool| packets.iter().filter(|kept| sends(&kept.packet)).count();
        let sent = match mouth {
            Some(mouth) => count(&|packet| mouth.send(key.port, taker.to, packet).is_ok()),
            // Only for this moment: the port is not ours, and what comes to it meanwhile is taken before any socket.
            None => match taker.from.map(|from| bound(SocketAddr::new(from, key.port))) {
                Some(Ok(socket)) => count(&|packet| socket.send_to(packet, &taker.to.into()).is_ok()),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use node::media::Ssrc;
    use node::repair::StreamId;

    use super::super::past::Past;
    use super::*;
    use crate::relay::{Relay, loopback};

    /// What takes long is done while nobody waits; the rest is a packet each.
    struct Watched {
        relay: Arc<Relay>,
        is_up_to_date: bool,
    }

    impl History for Watched {
        fn find(&mut self, _: &StreamId, _: u16) -> Option<Kept> {
            assert!(self.is_up_to_date);
            Some(Kept { came: monotonic_ns(), packet: vec![0x80; 100] })
        }

        fn catch_up(&mut self) {
            assert!(self.relay.state.try_lock().is_ok() && self.relay.repairs.try_lock().is_ok());
            self.is_up_to_date = true;
        }
    }

    #[tokio::test]
    async fn nobody_waits_until_the_history_is_up_to_date() {
        let relay = Arc::new(loopback::relay(&["egress-1=127.0.0.1:9:19"], &[]).await);
        loopback::send(&relay, 1, 7, [1, 2, 3]).await;
        let mut uplink = Uplink::new(relay.clone());
        uplink.past = Past::Other(Box::new(Watched { relay: relay.clone(), is_up_to_date: false })).into();
        let packet = nack::requests(Ssrc(9), Ssrc(7), &[2]).remove(0);
        let port = relay.config.listen.ports[1];
        let heard = Heard { port, multiplexed: false, from: [127, 0, 0, 1].into(), from_port: 20, packet };
        uplink.answer(&heard).await;
        assert_eq!(relay.repairs().answerer.figures().answered, 1);
    }

    #[test]
    fn of_several_children_at_one_address_the_one_that_asks_is_answered_or_nobody() {
        let taker = |id: ChildId, port: u16| Taker { id, from: None, to: ([10, 0, 0, 1], port).into() };
        let asks = |children: &[(ChildId, u16)], from: u16| {
            who_asks(children.iter().map(|(id, port)| taker(*id, *port)), from).map(|taker| taker.id)
        };
        let two = [(0, 5004), (1, 6004)];
        assert_eq!(
            [5004, 5005, 6004, 6005].map(|from| asks(&two, from)),
            [Some(0), Some(0), Some(1), Some(1)]
        );
        assert_eq!([5003, 5006, 0, u16::MAX].map(|from| asks(&two, from)), [None; 4]);
        // Behind an address translation a single one can ask from any port.
        assert_eq!(asks(&two[..1], 40_001), Some(0));
        assert_eq!(asks(&[], 5005), None);
        assert_eq!(asks(&[(0, 65_535), (1, 5004)], 0), None, "ports do not go round");
    }
}
