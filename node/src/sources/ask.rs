//! Of streams that come by two ways: who is asked for what one lacks, a keyframe or packets, and who does send. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use relay_common::stream::Stream;

use crate::prefix::Prefix;

/// The stream's own source is taken for silent when so many packets in a row have come first by the other way: one that merely is
/// the longer way brings each of them, too, a moment later.
const MISSED: u8 = 4;
/// Nothing has come for so long, ns: whoever is still there is asked.
const SILENT: u64 = 500_000_000;
/// The other of two ways is remembered for so long, ns.
const REMEMBERED: u64 = 5_000_000_000;

/// Where the source of a stream is, and after it the other of two ways if the source seems to be silent: that one may be gone, and
/// one request too many costs nothing. `now`: of the clock that is in [`Stream::last_seen`], ns. None of which no packet has come.
pub fn whom_to_ask(stream: &Stream, now: u64) -> Vec<SocketAddr> {
    if stream.packets == 0 {
        return Vec::new();
    }
    let own = at(stream.source, stream.source_port);
    let is_silent = stream.run >= MISSED || now.saturating_sub(stream.last_seen) >= SILENT;
    let other = other_way(stream, now).filter(|other| is_silent && *other != own);
    std::iter::once(own).chain(other).collect()
}

/// The other of two ways that a stream comes by, if anything came by it a moment ago: what was a parent once may be anybody now.
/// `now`: of the clock that is in [`Stream::last_seen`], ns.
pub fn other_way(stream: &Stream, now: u64) -> Option<SocketAddr> {
    let is_one = stream.other_port != 0
        && stream.rival == 0
        && stream.once != 0
        && now.saturating_sub(stream.other_seen) < REMEMBERED;
    is_one.then(|| at(stream.other, stream.other_port))
}

fn at(address: [u8; 16], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(address)).to_canonical(), port)
}

/// Whether anything comes from these addresses, of all that comes; `None`: nothing comes at all.
pub(super) fn is_heard(streams: &[Stream], now: u64, from: &BTreeSet<Prefix>) -> Option<bool> {
    let is_from = |address: &[u8; 16]| from.iter().any(|prefix| prefix.covers(address));
    let sends = |stream: &Stream| {
        let other = other_way(stream, now).is_some();
        is_from(&stream.source) && stream.run < MISSED || other && is_from(&stream.other)
    };
    let recent =
        streams.iter().filter(|stream| stream.packets > 0 && now.saturating_sub(stream.last_seen) < SILENT);
    recent.map(sends).reduce(|any, one| any || one)
}

#[cfg(test)]
mod tests {
    use relay_common::stream::{Arrival, Standing};

    use super::*;
    use crate::prefix::mapped;

    #[test]
    fn the_other_of_two_ways_is_asked_when_the_source_seems_silent() {
        let ms = 1_000_000;
        let at = |last: u8| mapped([10, 0, 0, last].into());
        let asked = |stream: &Stream, now: u64| {
            whom_to_ask(stream, now).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let arrival = |sequence, now| Arrival { sequence, timestamp: 0, bytes: 100, now, rate: 0 };
        assert!(asked(&Stream::begin_with_rtcp(1, at(1), 6004), 1).is_empty());
        let mut stream = Stream::begin(arrival(1, ms), at(1), 6004);
        assert_eq!(asked(&stream, ms), ["10.0.0.1:6004"]);
        // The other way is the shorter one, and the own source keeps up.
        for sequence in 2..50 {
            let now = u64::from(sequence) * ms;
            stream.take_once(&at(2), 6014, arrival(sequence, now), Standing::Twin);
            assert_eq!(asked(&stream, now), ["10.0.0.1:6004"], "{sequence}");
            stream.take_once(&at(1), 6004, arrival(sequence, now), Standing::Own);
        }
        // It is gone.
        for sequence in 50..54 {
            stream.take_once(&at(2), 6014, arrival(sequence, u64::from(sequence) * ms), Standing::Twin);
        }
        assert_eq!(asked(&stream, 54 * ms), ["10.0.0.1:6004", "10.0.0.2:6014"]);
        for sequence in 54..90 {
            let standing = if stream.is_from(&at(2), 6014) { Standing::Own } else { Standing::Twin };
            stream.take_once(&at(2), 6014, arrival(sequence, u64::from(sequence) * ms), standing);
        }
        assert_eq!(asked(&stream, 90 * ms), ["10.0.0.2:6014"], "the stream is the other's now");
        // Both are silent: whoever is back first is asked as well.
        assert_eq!(asked(&stream, 800 * ms), ["10.0.0.2:6014", "10.0.0.1:6004"]);
        assert_eq!(asked(&stream, 9_000 * ms), ["10.0.0.2:6014"], "that one has been away for long");
    }

    #[test]
    fn a_former_parent_is_no_other_way_for_good() {
        let ms = 1_000_000;
        let at = |last: u8| mapped([10, 0, 0, last].into());
        let arrival = |sequence, now| Arrival { sequence, timestamp: 0, bytes: 100, now, rate: 0 };
        let mut stream = Stream::begin(arrival(1, ms), at(1), 6004);
        assert_eq!(other_way(&stream, ms), None);
        stream.take_once(&at(2), 6014, arrival(1, 2 * ms), Standing::Twin);
        assert_eq!(other_way(&stream, 2 * ms), Some("10.0.0.2:6014".parse().unwrap()));
        // It is taken from one parent only since.
        (2..100).for_each(|number| assert!(stream.update(arrival(number, u64::from(number) * 100 * ms))));
        assert_eq!(other_way(&stream, 9_900 * ms), None);
    }

    #[test]
    fn a_parent_is_heard_by_whichever_way_its_packets_come() {
        let ms = 1_000_000;
        let at = |last: u8| mapped([10, 0, 0, last].into());
        let from = |last: u8| BTreeSet::from([Prefix::from(IpAddr::from([10, 0, 0, last]))]);
        let arrival = |sequence, now| Arrival { sequence, timestamp: 0, bytes: 100, now, rate: 0 };
        let heard = |stream: Stream, now| [1, 2].map(|parent| is_heard(&[stream], now, &from(parent)));
        let mut stream = Stream::begin(arrival(1, ms), at(1), 6004);
        assert_eq!(heard(stream, ms), [Some(true), Some(false)]);
        stream.take_once(&at(2), 6014, arrival(1, 2 * ms), Standing::Twin);
        assert_eq!(heard(stream, 2 * ms), [Some(true), Some(true)]);
        assert_eq!(heard(stream, 900 * ms), [None, None], "nobody sends anything");
        for sequence in 2..10 {
            stream.take_once(&at(2), 6014, arrival(sequence, u64::from(sequence) * ms), Standing::Twin);
        }
        assert_eq!(heard(stream, 10 * ms), [Some(false), Some(true)]);
        assert_eq!(is_heard(&[], ms, &from(1)), None);
    }
}
