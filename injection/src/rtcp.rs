//! Keyframe requests (RFC 4585, RFC 5104), without I/O: reading what comes from below, and how often it is passed on.

use std::collections::HashMap;
use std::time::Duration;

/// Payload-specific feedback.
const PSFB: u8 = 206;
/// Picture loss indication (RFC 4585 section 6.3.1).
const PLI: u8 = 1;
/// Full intra request (RFC 5104 section 4.3.1).
const FIR: u8 = 4;
/// At most one request per stream in this time; many viewers that ask together become one.
const PACE: Duration = Duration::from_secs(1);

/// The SSRCs that a packet, compound or not, asks a keyframe of. What makes no sense ends it.
pub fn asked(packet: &[u8]) -> Vec<u32> {
    let mut ssrcs = Vec::new();
    let mut rest = packet;
    while let Some([first, kind, high, low]) = rest.first_chunk::<4>().copied() {
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let Some(one) = rest.get(..length).filter(|_| first >> 6 == 2) else { break };
        match (kind, first & 0x1f) {
            (PSFB, PLI) => ssrcs.extend(word(one, 8)),
            // One entry of eight bytes for each of the streams.
            (PSFB, FIR) => ssrcs.extend((12..length).step_by(8).filter_map(|at| word(one, at))),
            _ => {}
        }
        rest = &rest[length..];
    }
    ssrcs
}

/// A PLI.
pub fn pli(media: u32) -> [u8; 12] {
    let mut packet = [0x80 | PLI, PSFB, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0];
    packet[8..].copy_from_slice(&media.to_be_bytes());
    packet
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// When keyframes were asked for.
#[derive(Clone, Debug, Default)]
pub struct Keyframes {
    streams: HashMap<u32, Stream>,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    sent: Duration,
    /// Somebody has asked since, too early to be passed on.
    waits: bool,
}

impl Keyframes {
    /// Somebody asks; whether to pass it on now. If not, it is passed on when it is [`due`](Self::due): the keyframe on
    /// its way may be too early for whoever asked.
    pub fn ask(&mut self, ssrc: u32, now: Duration) -> bool {
        match self.streams.get_mut(&ssrc) {
            Some(stream) if now < stream.sent + PACE => {
                stream.waits = true;
                false
            }
            _ => {
                self.streams.insert(ssrc, Stream { sent: now, waits: false });
                true
            }
        }
    }

    /// When the next one that waits is to be passed on.
    pub fn due(&self) -> Option<Duration> {
        self.streams.values().filter(|stream| stream.waits).map(|stream| stream.sent + PACE).min()
    }

    /// Those to be passed on now.
    pub fn take(&mut self, now: Duration) -> Vec<u32> {
        // What nobody has asked for in a while needs no memory.
        self.streams.retain(|_, stream| stream.waits || now < stream.sent + PACE);
        let due = self.streams.iter_mut().filter(|(_, stream)| stream.waits && now >= stream.sent + PACE);
        due.map(|(ssrc, stream)| {
            *stream = Stream { sent: now, waits: false };
            *ssrc
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn requests_are_found_alone_and_among_others() {
        let pli = pli(8888);
        assert_eq!(pli, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x22, 0xb8]);
        let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let mut fir = vec![0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0];
        fir.extend([0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0]);
        let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 1, 0, 0];
        let table: [(Vec<u8>, Vec<u32>); 6] = [
            (pli.to_vec(), vec![8888]),
            ([&receiver_report[..], &nack, &pli].concat(), vec![8888]),
            (fir.clone(), vec![7, 9]),
            (receiver_report.to_vec(), vec![]),
            (pli[..11].to_vec(), vec![]),
            (vec![], vec![]),
        ];
        for (packet, wanted) in table {
            assert_eq!(asked(&packet), wanted, "{packet:?}");
        }
    }

    #[test]
    fn many_requests_become_one_a_second() {
        let mut keyframes = Keyframes::default();
        assert!(keyframes.ask(1, at(0)));
        for ms in [1, 300, 999] {
            assert!(!keyframes.ask(1, at(ms)));
        }
        assert!(keyframes.ask(2, at(5)), "another stream");
        assert_eq!((keyframes.due(), keyframes.take(at(999))), (Some(at(1000)), vec![]));
        assert_eq!(keyframes.take(at(1000)), [1]);
        assert_eq!(keyframes.due(), None);
        assert!(!keyframes.ask(1, at(1500)) && keyframes.ask(2, at(1005)));
    }

    proptest! {
        #[test]
        fn noise_is_read_to_its_end(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(asked(&packet).len() <= packet.len());
        }

        #[test]
        fn never_more_than_one_a_second_and_none_is_lost(times in proptest::collection::vec(0_u64..5000, 1..60)) {
            let (mut times, mut keyframes, mut sent) = (times, Keyframes::default(), Vec::new());
            times.sort();
            let mut asking = times.iter().copied().peekable();
            for now in 0..7000 {
                sent.extend(keyframes.take(at(now)).iter().map(|_| now));
                while asking.next_if_eq(&now).is_some() {
                    if keyframes.ask(1, at(now)) {
                        sent.push(now);
                    }
                }
            }
            prop_assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{:?}", sent);
            prop_assert!(times.iter().all(|asked| sent.iter().any(|sent| sent >= asked)));
        }
    }
}
