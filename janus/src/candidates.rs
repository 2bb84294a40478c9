//! Candidates that Janus cannot use, and what it does without any.
//!
//! Browsers hide the addresses of whoever has not opened his camera: their candidates are names such as `….local` (mDNS), which
//! nobody resolves beyond a router. A TCP candidate, or an IPv6 one where Janus has only IPv4, is of as little use. That would
//! matter little, since a peer's address is learned from its first connectivity check (RFC 8445 section 7.3.1.3), but Janus
//! begins only once it has been given a candidate, any: without one, viewers behind a router waited between four seconds
//! and for ever (Janus 1.1.2, libnice 0.1.18). So it is given one.

use std::net::Ipv4Addr;

/// Leads nowhere: the discard port of an address that nobody has (RFC 5737), with the lowest of priorities. Janus takes none
/// of 127.0.0.0/8.
const NOWHERE: &str = "a=candidate:0 1 udp 1 192.0.2.1 9 typ host\r\n";

/// A session description with a candidate in it that Janus can use, which is added if there is none.
pub(crate) fn with_one_at_least(mut sdp: String) -> String {
    if sdp.lines().any(is_usable) {
        return sdp;
    }
    // Media is bundled: what the first medium has is for all.
    let media: Vec<usize> = sdp.match_indices("\nm=").map(|(at, _)| at + 1).collect();
    let end = match media[..] {
        [] => return sdp,
        [_] => sdp.len(),
        [_, second, ..] => second,
    };
    let broken_off = end == sdp.len() && !sdp.ends_with('\n');
    sdp.insert_str(end, NOWHERE);
    if broken_off {
        sdp.insert_str(end, "\r\n");
    }
    sdp
}

/// By UDP, to an IPv4 address (RFC 8839 section 5.1).
fn is_usable(line: &str) -> bool {
    let Some(candidate) = line.trim().strip_prefix("a=candidate:") else { return false };
    let mut words = candidate.split_ascii_whitespace();
    let by_udp = words.nth(2).is_some_and(|transport| transport.eq_ignore_ascii_case("udp"));
    by_udp && words.nth(1).is_some_and(|address| address.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: &str =
        "a=candidate:1 1 udp 2113937151 66be0893-83ae-46bb-bbc5-0abed03193a2.local 41898 typ host\r\n";

    fn sdp(candidate: &str) -> String {
        format!("v=0\r\ns=-\r\nm=audio 9 X 111\r\na=mid:a\r\n{candidate}m=video 9 X 96\r\na=mid:v\r\n")
    }

    #[test]
    fn what_can_be_used_is_left_alone() {
        for candidate in [
            "a=candidate:1 1 udp 2113937151 10.0.0.5 41898 typ host generation 0\r\n",
            "a=candidate:1 1 UDP 1 203.0.113.2 4 typ srflx raddr 0.0.0.0 rport 0\r\n",
        ] {
            assert_eq!(with_one_at_least(sdp(candidate)), sdp(candidate));
        }
    }

    #[test]
    fn the_first_medium_gets_one_if_there_is_none_to_be_used() {
        for candidate in [
            "",
            HIDDEN,
            "a=candidate:1 1 tcp 1518280447 10.0.0.5 9 typ host tcptype active\r\n",
            "a=candidate:1 1 udp 2113937151 fd00::5 41898 typ host\r\n",
            "a=candidate:\r\n",
        ] {
            assert_eq!(
                with_one_at_least(sdp(candidate)),
                sdp(&format!("{candidate}{NOWHERE}")),
                "{candidate}"
            );
        }
        let single = "v=0\r\nm=audio 9 X 111\r\na=mid:a";
        assert_eq!(with_one_at_least(single.to_owned()), format!("{single}\r\n{NOWHERE}"));
        assert_eq!(with_one_at_least("v=0\r\n".to_owned()), "v=0\r\n");
    }
}
