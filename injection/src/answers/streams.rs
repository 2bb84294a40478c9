//! [`Streams`]: to whom streams are sent, and how fast, without I/O: who may ask for what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use node::repair::StreamId;

/// A rate is read anew after this, ns.
const READ_EVERY: u64 = 200_000_000;

/// All streams that are sent.
#[derive(Debug, Default)]
pub struct Streams {
    all: BTreeMap<StreamId, Sent>,
    /// To how many streams an address belongs.
    addresses: BTreeMap<IpAddr, usize>,
    begun: u64,
}

#[derive(Debug)]
struct Sent {
    /// Which of those that had this name.
    number: u64,
    clients: BTreeSet<SocketAddr>,
    /// Bytes that it has sent.
    bytes: Arc<AtomicU64>,
    /// What it had sent when it was last looked at, and when that was.
    read: (u64, u64),
    rate: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// One whom the stream is sent to: where, and at how many bytes a second.
    Client(SocketAddr, u64),
    /// One whom other streams are sent to.
    NotThis,
    /// Somebody.
    Stranger,
}

impl Streams {
    /// A stream begins, which is sent to nobody yet. `bytes`: what it will have sent. Gives the number that it [ends](Self::ends) by.
    pub fn begins(&mut self, stream: StreamId, bytes: Arc<AtomicU64>, now: u64) -> u64 {
        self.sends(stream, &BTreeSet::new());
        self.begun += 1;
        let read = (bytes.load(Ordering::Relaxed), now);
        let sent = Sent { number: self.begun, clients: BTreeSet::new(), bytes, read, rate: 0 };
        self.all.insert(stream, sent);
        self.begun
    }

    /// It is sent to these from now on.
    pub fn sends(&mut self, stream: StreamId, clients: &BTreeSet<SocketAddr>) {
        let Some(sent) = self.all.get_mut(&stream) else { return };
        let before = std::mem::replace(&mut sent.clients, clients.clone());
        for address in clients.iter().map(SocketAddr::ip) {
            *self.addresses.entry(address).or_default() += 1;
        }
        for address in before.iter().map(SocketAddr::ip) {
            if let Some(count) = self.addresses.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.addresses.remove(&address);
                }
            }
        }
    }

    /// The stream of that number has ended; one that took its name goes on.
    pub fn ends(&mut self, stream: StreamId, number: u64) {
        if self.all.get(&stream).is_some_and(|sent| sent.number == number) {
            self.sends(stream, &BTreeSet::new());
            self.all.remove(&stream);
        }
    }

    /// Who asks for packets of a stream. RTCP comes from the RTP port that the stream is sent to or the one after it (RFC 4961); behind an
    /// address translation from any, and then who it is can be told only if no two are at one address.
    pub fn asks(&mut self, stream: StreamId, from: SocketAddr, now: u64) -> Asks {
        let Some(sent) = self.all.get_mut(&stream) else { return self.stranger(from) };
        let own = |client: &&SocketAddr| {
            client.ip() == from.ip()
                && [Some(client.port()), client.port().checked_add(1)].contains(&Some(from.port()))
        };
        let mut there = sent.clients.iter().filter(|client| client.ip() == from.ip());
        let client = sent.clients.iter().find(own).or_else(|| match (there.next(), there.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        });
        let Some(client) = client.copied() else { return self.stranger(from) };
        let (bytes, at) = sent.read;
        let passed = now.saturating_sub(at);
        if passed >= READ_EVERY {
            let sum = sent.bytes.load(Ordering::Relaxed);
            let rate = u128::from(sum.saturating_sub(bytes)) * 1_000_000_000 / u128::from(passed);
            (sent.read, sent.rate) = ((sum, now), u64::try_from(rate).unwrap_or(u64::MAX));
        }
        Asks::Client(client, sent.rate)
    }

    fn stranger(&self, from: SocketAddr) -> Asks {
        if self.addresses.contains_key(&from.ip()) { Asks::NotThis } else { Asks::Stranger }
    }
}

#[cfg(test)]
mod tests {
    use node::media::Ssrc;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    const ONE: StreamId = StreamId { port: 5004, ssrc: Ssrc(1) };
    const OTHER: StreamId = StreamId { port: 5004, ssrc: Ssrc(2) };

    fn sent(to: &[&str]) -> (Streams, Arc<AtomicU64>) {
        let (mut streams, bytes) = (Streams::default(), Arc::<AtomicU64>::default());
        streams.begins(ONE, bytes.clone(), 0);
        streams.begins(OTHER, Arc::default(), 0);
        streams.sends(ONE, &to.iter().map(|to| at(to)).collect());
        (streams, bytes)
    }

    #[test]
    fn only_those_it_is_sent_to_ask_for_a_stream() {
        let (mut streams, _) = sent(&["10.0.0.1:5004", "10.0.0.2:5004", "10.0.0.2:6004", "[fd00::1]:5004"]);
        let client = |to: &str| Asks::Client(at(to), 0);
        for (from, wanted) in [
            ("10.0.0.1:5004", client("10.0.0.1:5004")),
            ("10.0.0.1:5005", client("10.0.0.1:5004")),
            // Behind an address translation.
            ("10.0.0.1:40001", client("10.0.0.1:5004")),
            ("10.0.0.2:6005", client("10.0.0.2:6004")),
            ("10.0.0.2:5005", client("10.0.0.2:5004")),
            // One of two, and nobody knows which.
            ("10.0.0.2:40001", Asks::NotThis),
            ("[fd00::1]:5005", client("[fd00::1]:5004")),
            ("10.0.0.3:5005", Asks::Stranger),
        ] {
            assert_eq!(streams.asks(ONE, at(from), 0), wanted, "{from}");
        }
        assert_eq!(streams.asks(OTHER, at("10.0.0.1:5005"), 0), Asks::NotThis);
        assert_eq!(streams.asks(StreamId { port: 5002, ..ONE }, at("10.0.0.1:5005"), 0), Asks::NotThis);
    }

    #[test]
    fn who_is_sent_nothing_any_more_is_a_stranger() {
        let (mut streams, bytes) = sent(&["10.0.0.1:5004"]);
        streams.sends(OTHER, &BTreeSet::from([at("10.0.0.1:5004")]));
        streams.sends(ONE, &BTreeSet::from([at("10.0.0.2:5004")]));
        assert_eq!(streams.asks(ONE, at("10.0.0.1:5005"), 0), Asks::NotThis);
        streams.sends(OTHER, &BTreeSet::new());
        assert_eq!(streams.asks(ONE, at("10.0.0.1:5005"), 0), Asks::Stranger);
        // Another begins under its name before it has ended.
        let number = streams.begins(ONE, bytes, 0);
        assert_eq!(streams.asks(ONE, at("10.0.0.2:5005"), 0), Asks::Stranger);
        streams.sends(ONE, &BTreeSet::from([at("10.0.0.3:5004")]));
        streams.ends(ONE, number - 2);
        assert!(matches!(streams.asks(ONE, at("10.0.0.3:5004"), 0), Asks::Client(..)));
        streams.ends(ONE, number);
        assert_eq!(streams.asks(ONE, at("10.0.0.3:5004"), 0), Asks::Stranger);
        assert!(streams.addresses.is_empty(), "{streams:?}");
    }

    #[test]
    fn the_rate_is_that_of_the_time_since_somebody_asked() {
        let (mut streams, bytes) = sent(&["10.0.0.1:5004"]);
        let second = 1_000_000_000;
        let mut rate = |now| match streams.asks(ONE, at("10.0.0.1:5005"), now) {
            Asks::Client(_, rate) => rate,
            other => panic!("{other:?}"),
        };
        bytes.store(500_000, Ordering::Relaxed);
        assert_eq!(rate(second / 100), 0, "too soon to tell");
        assert_eq!(rate(second), 500_000);
        bytes.store(600_000, Ordering::Relaxed);
        assert_eq!((rate(second + 1), rate(second + second / 2)), (500_000, 200_000));
    }
}
