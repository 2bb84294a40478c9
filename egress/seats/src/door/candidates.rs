//! Where viewers are told to come to: `a=candidate` (RFC 8839 section 5.1, RFC 6544 section 4.5).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Preferences by type: TCP only for whom UDP does not reach (RFC 8421 section 4, RFC 6544 section 4.2).
const UDP_HOST: u32 = 126;
const TCP_HOST: u32 = 90;
/// Direction preference of `passive`, times 2^13.
const PASSIVE: u32 = 4 << 13;

/// Values of `a=candidate` lines, without `candidate:` in front. `own`: the machine's addresses.
pub(crate) fn candidates(bound: SocketAddr, advertise: &[IpAddr], own: &BTreeSet<IpAddr>) -> Vec<String> {
    let addresses = addresses(bound.ip(), advertise, own);
    let port = bound.port();
    let udp = addresses.iter().zip(0..).map(|(address, nth)| {
        let priority = priority(UDP_HOST, 0xffff - nth);
        format!("u{nth} 1 udp {priority} {address} {port} typ host")
    });
    let tcp = addresses.iter().zip(0..).map(|(address, nth)| {
        let priority = priority(TCP_HOST, PASSIVE + 0x1fff - nth);
        format!("t{nth} 1 tcp {priority} {address} {port} typ host tcptype passive")
    });
    udp.chain(tcp).collect()
}

fn addresses(bound: IpAddr, advertise: &[IpAddr], own: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
    if !advertise.is_empty() {
        return advertise.to_vec();
    }
    if !bound.is_unspecified() {
        return vec![bound.to_canonical()];
    }
    let all: Vec<IpAddr> = own.iter().filter(|a| bound.is_ipv6() || a.is_ipv4()).copied().collect();
    if !all.is_empty() {
        return all;
    }
    // Nobody is there but the machine itself.
    match bound {
        IpAddr::V4(_) => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
    }
}

/// RFC 8445 section 5.1.2.1, component 1.
fn priority(of_type: u32, local: u32) -> u32 {
    (of_type << 24) | (local << 8) | 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bound: &str, advertise: &[&str], own: &[&str]) -> Vec<String> {
        let ips = |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|t| t.parse().unwrap()).collect() };
        let own = ips(own).into_iter().collect();
        candidates(bound.parse().unwrap(), &ips(advertise), &own)
    }

    #[test]
    fn all_addresses_of_the_machine_are_told_of_udp_first() {
        assert_eq!(
            told("0.0.0.0:7074", &[], &["10.0.0.7", "192.0.2.1", "2001:db8::1"]),
            [
                "u0 1 udp 2130706431 10.0.0.7 7074 typ host",
                "u1 1 udp 2130706175 192.0.2.1 7074 typ host",
                "t0 1 tcp 1520435199 10.0.0.7 7074 typ host tcptype passive",
                "t1 1 tcp 1520434943 192.0.2.1 7074 typ host tcptype passive",
            ]
        );
        assert_eq!(told("[::]:7074", &[], &["10.0.0.7", "2001:db8::1"]).len(), 4);
    }

    #[test]
    fn what_is_advertised_or_bound_is_told_of_alone() {
        let only = |told: Vec<String>, address: &str| {
            told.len() == 2 && told.iter().all(|c| c.contains(&format!(" {address} 7074 ")))
        };
        let own = &["10.0.0.7"];
        assert!(only(told("0.0.0.0:7074", &["203.0.113.5"], own), "203.0.113.5"));
        assert!(only(told("10.0.0.7:7074", &[], own), "10.0.0.7"));
        assert!(only(told("127.0.0.1:7074", &[], own), "127.0.0.1"));
        assert!(only(told("0.0.0.0:7074", &[], &[]), "127.0.0.1"));
    }
}
