//! The IP versions of the media that there is. xdp and tc send a copy within its IP version only, so the media decides
//! which of a child's addresses copies go to ([`node::resolve::choose`]). Pure.

use std::net::IpAddr;

pub use node::resolve::{Families, choose};
use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use super::way::unmapped;

/// A stream that was silent for longer says nothing about the media that there is.
const LIVE: u64 = 10_000_000_000;

/// Those of the streams that are live. One packet makes no stream: anybody can send one.
pub fn live(streams: &[(StreamKey, Stream)], now: u64) -> Families {
    let live = streams
        .iter()
        .filter(|(_, stream)| stream.packets > 1 && now.saturating_sub(stream.last_seen) < LIVE);
    live.map(|(_, stream)| unmapped(stream.source)).collect()
}

/// Why a child at this address gets nothing of the media that there is.
pub fn mismatch(address: IpAddr, live: Families) -> Option<String> {
    let (its, wanted) = if address.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
    (!live.is_empty() && !live.has(address)).then(|| {
        format!("{address} is an {its} address and the media is {wanted}: no copy goes there; give it an {wanted} address")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Families = Families { v4: false, v6: false };
    const V4: Families = Families { v4: true, v6: false };
    const V6: Families = Families { v4: false, v6: true };
    const BOTH: Families = Families { v4: true, v6: true };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_child_that_gets_nothing_says_what_it_needs() {
        let text = mismatch(address("fd00::7"), V4).unwrap();
        for part in ["fd00::7 is an IPv6 address", "the media is IPv4", "give it an IPv4 address"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(mismatch(address("10.0.0.7"), V6).unwrap().contains("give it an IPv6 address"));
        for live in [NONE, V6, BOTH] {
            assert_eq!(mismatch(address("fd00::7"), live), None);
        }
    }

    #[test]
    fn only_what_is_heard_now_is_media() {
        let stream = |source: [u8; 16], packets: u64, last_seen: u64| {
            let arrival = relay_common::stream::Arrival {
                sequence: 1,
                timestamp: 1,
                bytes: 100,
                now: last_seen,
                rate: relay_common::stream::units_per_ns(90_000),
            };
            let stream = Stream { packets, ..Stream::begin(arrival, source, 5004) };
            (StreamKey { port: 5004, reserved: [0; 2], ssrc: 1 }, stream)
        };
        let (v4, v6) = (super::super::mapped(address("10.0.0.1")), super::super::mapped(address("fd00::1")));
        let now = 60_000_000_000;
        assert_eq!(live(&[stream(v4, 9, now)], now), V4);
        assert_eq!(live(&[stream(v4, 9, now), stream(v6, 9, now - LIVE)], now), V4);
        assert_eq!(live(&[stream(v4, 1, now), stream(v6, 2, now)], now), V6);
        assert_eq!(live(&[], now), NONE);
    }
}
