//! Which of a child's addresses copies go to. xdp and tc send a copy within its IP version only, so it is the media that
//! decides. Pure.

use std::net::IpAddr;

use relay_common::layout::StreamKey;
use relay_common::stream::Stream;

use crate::address::unmapped;

/// A stream that was silent for longer says nothing about the media that there is.
const LIVE: u64 = 10_000_000_000;

/// A set of IP versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Those of the streams that are live. One packet makes no stream: anybody can send one.
    pub fn live(streams: &[(StreamKey, Stream)], now: u64) -> Families {
        let live = streams
            .iter()
            .filter(|(_, stream)| stream.packets > 1 && now.saturating_sub(stream.last_seen) < LIVE);
        live.map(|(_, stream)| unmapped(stream.source)).collect()
    }

    fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    fn is_empty(self) -> bool {
        self == Families::default()
    }
}

impl FromIterator<IpAddr> for Families {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Families {
        addresses.into_iter().fold(Families::default(), |families, address| Families {
            v4: families.v4 || address.is_ipv4(),
            v6: families.v6 || address.is_ipv6(),
        })
    }
}

/// The address, of those that a host has, to send to. `before`: the one sent to so far; `live`: what media there is;
/// `listened`: what the relay listens on, which decides while there is no media. The answer changes only when it has to:
/// name servers give addresses in any order.
pub fn choose(
    addresses: &[IpAddr],
    before: Option<IpAddr>,
    live: Families,
    listened: Families,
) -> Option<IpAddr> {
    let suits = |address: IpAddr| live.is_empty() || live.has(address);
    let stays = before.filter(|before| addresses.contains(before));
    if let Some(address) = stays
        && suits(address)
    {
        return Some(address);
    }
    let v4 = match before.filter(|before| suits(*before)) {
        Some(before) => before.is_ipv4(),
        None if live.v4 != live.v6 => live.v4,
        None => listened.v4 || !listened.v6,
    };
    addresses.iter().copied().find(|address| address.is_ipv4() == v4).or(stays).or(addresses.first().copied())
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
    use crate::address::mapped;

    const NONE: Families = Families { v4: false, v6: false };
    const V4: Families = Families { v4: true, v6: false };
    const V6: Families = Families { v4: false, v6: true };
    const BOTH: Families = Families { v4: true, v6: true };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_media_decides_then_what_is_listened_on_and_nothing_changes_without_need() {
        let (a, b, six) = ("10.0.0.7", "10.0.0.8", "fd00::7");
        type Row<'a> = (&'a [&'a str], Option<&'a str>, Families, Families, &'a str);
        let table: &[Row<'_>] = &[
            // No media yet: IPv4 if the relay has it.
            (&[six, a], None, NONE, BOTH, a),
            (&[six, a], None, NONE, V6, six),
            (&[six, a], None, NONE, NONE, a),
            (&[six], None, NONE, BOTH, six),
            // The media is of one version.
            (&[six, a], None, V4, BOTH, a),
            (&[a, six], None, V6, BOTH, six),
            (&[six], None, V4, V4, six),
            // What is sent to stays, in whatever order the answers come.
            (&[a, b], Some(b), V4, V4, b),
            (&[six, a], Some(six), NONE, BOTH, six),
            (&[a, six], Some(six), BOTH, BOTH, six),
            (&[a], Some(a), V6, BOTH, a),
            // It has to change.
            (&[six, a], Some(six), V4, BOTH, a),
            (&[a, six], Some(a), V6, BOTH, six),
            (&[b, six], Some(a), V4, BOTH, b),
            (&[a, "fd00::8"], Some(six), NONE, BOTH, "fd00::8"),
            (&[a], Some(six), NONE, BOTH, a),
        ];
        for (addresses, before, live, listened, wanted) in table {
            let all: Vec<IpAddr> = addresses.iter().map(|text| address(text)).collect();
            let chosen = choose(&all, before.map(address), *live, *listened);
            assert_eq!(chosen, Some(address(wanted)), "{addresses:?} {before:?} {live:?} {listened:?}");
        }
        assert_eq!(choose(&[], Some(address(a)), V4, V4), None);
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
        let (v4, v6) = (mapped(address("10.0.0.1")), mapped(address("fd00::1")));
        let now = 60_000_000_000;
        assert_eq!(Families::live(&[stream(v4, 9, now)], now), V4);
        assert_eq!(Families::live(&[stream(v4, 9, now), stream(v6, 9, now - LIVE)], now), V4);
        assert_eq!(Families::live(&[stream(v4, 1, now), stream(v6, 2, now)], now), V6);
        assert_eq!(Families::live(&[], now), NONE);
    }
}
