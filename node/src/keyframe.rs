//! Requests for keyframes on their way up the tree: what a feedback packet asks for, and how often it is passed on.
//!
//! A viewer's decoder needs a keyframe to begin. Its request (PLI, RFC 4585 section 6.3.1, or FIR, RFC 5104 section 4.3.1)
//! goes hop by hop to the encoder; a hundred viewers who begin together are one request. Pure: the time goes in.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use rtcp_types::prelude::*;
use rtcp_types::{Compound, Fir, Packet, PayloadFeedback, Pli};

use crate::media::Ssrc;

/// At most one request in this time for each stream.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// The SSRCs that a packet asks keyframes of; none for anything else that comes to an RTCP port.
pub fn asked_for(packet: &[u8]) -> Vec<Ssrc> {
    let Ok(compound) = Compound::parse(packet) else { return Vec::new() };
    let mut ssrcs = Vec::new();
    for part in compound {
        // What is broken ends the compound; what came before it counts.
        let Ok(part) = part else { break };
        let Packet::PayloadFeedback(feedback) = part else { continue };
        if feedback.parse_fci::<Pli>().is_ok() {
            ssrcs.push(Ssrc(feedback.media_ssrc()));
        } else if let Ok(fir) = feedback.parse_fci::<Fir>() {
            ssrcs.extend(fir.entries().map(|entry| Ssrc(entry.ssrc())));
        }
    }
    ssrcs.sort_unstable();
    ssrcs.dedup();
    ssrcs
}

/// The packet that asks for a keyframe of `media`: a PLI, 12 bytes.
pub fn request(sender: Ssrc, media: Ssrc) -> Vec<u8> {
    let pli = PayloadFeedback::builder_owned(Pli::builder()).sender_ssrc(sender.0).media_ssrc(media.0);
    let mut packet = vec![0; 12];
    match pli.write_into(&mut packet) {
        Ok(length) => packet.truncate(length),
        // A PLI has one size; there is nothing that could not fit.
        Err(_) => packet.clear(),
    }
    packet
}

/// Lets one request a second through for each stream. Who asks too soon is served when the time has come, and not
/// forgotten: the keyframe on its way may be too early for him, and he need not ask again.
#[derive(Clone, Debug)]
pub struct Limiter<K> {
    streams: HashMap<K, Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When one was passed on last.
    last: Duration,
    /// When somebody asked last whose request has not been passed on.
    again: Option<Duration>,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self { streams: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Limiter<K> {
    /// True when a request for this stream is to be passed on at once; otherwise it is among those that are due later.
    /// Ask only for streams that are known: strangers would fill the books.
    pub fn ask(&mut self, stream: K, now: Duration) -> bool {
        self.streams.retain(|_, asked| asked.again.is_some() || now.saturating_sub(asked.last) < INTERVAL);
        match self.streams.get_mut(&stream) {
            Some(asked) => {
                asked.again = Some(now);
                false
            }
            None => {
                self.streams.insert(stream, Asked { last: now, again: None });
                true
            }
        }
    }

    /// Streams with a request that came too soon.
    pub fn waiting(&self) -> Vec<K> {
        let waiting = self.streams.iter().filter(|(_, asked)| asked.again.is_some());
        waiting.map(|(stream, _)| *stream).collect()
    }

    /// A keyframe of this stream began to come at that time, for those who can see it: whoever had asked before needs no
    /// other.
    pub fn served(&mut self, stream: K, at: Duration) {
        if let Some(asked) = self.streams.get_mut(&stream) {
            asked.again = asked.again.filter(|asked| *asked >= at);
        }
    }

    /// When to [`take`](Self::take) next.
    pub fn due(&self) -> Option<Duration> {
        self.streams.values().filter(|asked| asked.again.is_some()).map(|asked| asked.last + INTERVAL).min()
    }

    /// Streams whose request is to be passed on now.
    pub fn take(&mut self, now: Duration) -> Vec<K> {
        let due = self
            .streams
            .iter_mut()
            .filter(|(_, asked)| asked.again.is_some() && now >= asked.last + INTERVAL);
        due.map(|(stream, asked)| {
            *asked = Asked { last: now, again: None };
            *stream
        })
        .collect()
    }
}

/// The same request at another port counts as one for so long. The two are sent one right after the other.
const ECHO: Duration = Duration::from_millis(100);
/// Most requests remembered; what comes beyond is taken for new.
const MOST_ECHOES: usize = 1024;

/// Requests that come to two ports: who does not know at which of them he is heard asks at both. By who asks for what.
#[derive(Clone, Debug)]
pub struct Echoes<K>(HashMap<K, (u16, Duration)>);

impl<K> Default for Echoes<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Echoes<K> {
    /// Has the same come to another port a moment ago?
    pub fn is_one(&mut self, asks: K, port: u16, now: Duration) -> bool {
        self.0.retain(|_, (_, at)| now.saturating_sub(*at) < ECHO);
        if self.0.get(&asks).is_some_and(|(before, _)| *before != port) {
            return true;
        }
        if self.0.len() < MOST_ECHOES {
            self.0.insert(asks, (port, now));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_pli_that_the_standard_draws() {
        let packet = request(Ssrc(1), Ssrc(0x22b8));
        assert_eq!(packet, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x22, 0xb8]);
        assert_eq!(asked_for(&packet), [Ssrc(0x22b8)]);
    }

    #[test]
    fn what_comes_to_both_ports_is_one_request() {
        let mut echoes = Echoes::default();
        let at = Duration::from_millis;
        assert!(!echoes.is_one("child 1, stream 7", 5005, at(0)));
        assert!(echoes.is_one("child 1, stream 7", 5004, at(1)));
        assert!(!echoes.is_one("child 1, stream 7", 5005, at(2)), "asked again");
        assert!(echoes.is_one("child 1, stream 7", 5004, at(3)));
        for other in ["child 2, stream 7", "child 1, stream 8"] {
            assert!(!echoes.is_one(other, 5004, at(4)), "{other}");
        }
        assert!(!echoes.is_one("child 1, stream 7", 5004, at(2) + ECHO), "later");
        assert!(echoes.is_one("child 1, stream 7", 5005, at(3) + ECHO), "whichever port was first");
    }

    #[test]
    fn in_a_compound_packet_every_request_counts_once() {
        // An empty receiver report, two PLIs for one stream, a FIR for two others.
        let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        packet.extend(request(Ssrc(9), Ssrc(7)));
        packet.extend(request(Ssrc(9), Ssrc(7)));
        packet.extend([0x84, 206, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0]);
        packet.extend([0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 6, 1, 0, 0, 0]);
        assert_eq!(asked_for(&packet), [5, 6, 7].map(Ssrc));
    }

    #[test]
    fn nothing_else_asks_for_anything() {
        let table: [&[u8]; 6] = [
            &[],
            &[0x80],
            // RTP, a receiver report, a NACK (RFC 4585 section 6.2.1), a PLI cut off.
            &[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
            &[0x80, 201, 0, 1, 0, 0, 0, 9],
            &[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0],
            &[0x81, 206, 0, 2, 0, 0, 0, 1],
        ];
        for packet in table {
            assert!(asked_for(packet).is_empty(), "{packet:x?}");
        }
    }

    #[test]
    fn many_who_ask_together_are_one_and_one_more_for_the_late() {
        let mut limiter = Limiter::default();
        let at = Duration::from_millis;
        assert!(limiter.ask(7, at(0)));
        assert_eq!(limiter.due(), None, "nobody was late");
        assert!((1..1000).all(|ms| !limiter.ask(7, at(ms))));
        assert!(limiter.ask(8, at(500)), "another stream");
        assert_eq!((limiter.take(at(999)), limiter.due()), (vec![], Some(at(1000))));
        assert_eq!((limiter.take(at(1000)), limiter.due()), (vec![7], None));
        assert!(!limiter.ask(7, at(1999)), "that one counts as well");
        assert_eq!(limiter.take(at(2000)), [7]);
        assert!(limiter.ask(7, at(3000)));
    }

    #[test]
    fn a_keyframe_serves_those_who_asked_before_it() {
        let mut limiter = Limiter::default();
        let at = Duration::from_millis;
        assert!(limiter.ask(7, at(0)));
        // One viewer, asking in two ways.
        assert!(!limiter.ask(7, at(1)));
        limiter.served(7, at(40));
        assert_eq!(
            (limiter.due(), limiter.take(at(1000))),
            (None, vec![]),
            "it costs nobody the next second"
        );
        assert!(limiter.ask(7, at(1300)));
        assert!(!limiter.ask(7, at(1350)));
        limiter.served(7, at(1340));
        assert_eq!(limiter.take(at(2300)), [7], "who came after the keyframe has not seen it");
        limiter.served(8, at(5000));
        assert_eq!(limiter.due(), None, "nobody asked for that one");
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_one_a_second_and_none_is_lost(times in proptest::collection::vec(0_u64..5000, 1..60)) {
            let (mut times, mut limiter, mut sent) = (times, Limiter::default(), Vec::new());
            times.sort_unstable();
            let mut asking = times.iter().copied().peekable();
            for now in 0..7000 {
                sent.extend(limiter.take(Duration::from_millis(now)).iter().map(|_: &u32| now));
                while asking.next_if_eq(&now).is_some() {
                    if limiter.ask(7, Duration::from_millis(now)) {
                        sent.push(now);
                    }
                }
            }
            proptest::prop_assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{:?}", sent);
            proptest::prop_assert!(times.iter().all(|asked| sent.iter().any(|sent| sent >= asked)));
        }

        #[test]
        fn no_packet_makes_it_panic(packet in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = asked_for(&packet);
        }
    }
}
