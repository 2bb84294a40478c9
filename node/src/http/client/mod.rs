//! Who asks: the address that limits and the log go by.
//!
//! It is the connection's peer, unless that is a proxy that the operator trusts: then what the proxy says of whom it asks
//! for, by the PROXY protocol ([`proxy_protocol`]) or in a header ([`forwarded`]). What anybody else says is not believed.

mod forwarded;
pub mod proxy_protocol;
mod trusted;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

pub use trusted::Trusted;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(IpAddr);

impl Client {
    /// Who is at the other end of the connection.
    pub fn new(peer: IpAddr) -> Client {
        Client(peer.to_canonical())
    }

    /// Who asks by way of this peer. Each proxy adds whom it was asked by, so the nearest are last: as long as the one that
    /// says so is trusted, what it says is so. Beyond the first that is not, anybody may have written anything.
    ///
    /// A proxy that writes one of the two headers passes the other on as it came, perhaps from a client that means to be
    /// somebody else. So where both are there and differ, neither counts, and it is the proxy that asks.
    pub fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &Trusted) -> Client {
        let peer = Client::new(peer);
        if !trusted.includes(peer.0) {
            return peer;
        }
        let said = [forwarded::x_forwarded_for(headers), forwarded::forwarded(headers)];
        let mut asks = said.into_iter().flatten().map(|hops| nearest_stranger(peer, &hops, trusted));
        match (asks.next(), asks.next()) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(one), _) => one,
            (None, _) => peer,
        }
    }

    /// The address.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// What is limited together: an IPv4 address, or an IPv6 network of 64 bits, of which one host can use all addresses.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        }
    }

    /// Nobody that is known: all of these are one.
    pub const UNKNOWN: Client = Client(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Client::UNKNOWN { f.write_str("somebody") } else { self.0.fmt(f) }
    }
}

/// As [`super::guard`] has found out; without one, the connection's peer.
impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Client, Self::Rejection> {
        let found = parts.extensions.get::<Client>().copied();
        let peer = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| Client::new(info.0.ip()));
        Ok(found.or_else(peer).unwrap_or(Client::UNKNOWN))
    }
}

/// True if somebody says that it asks for others.
pub(super) fn is_from_a_proxy(headers: &HeaderMap) -> bool {
    forwarded::x_forwarded_for(headers).is_some() || forwarded::forwarded(headers).is_some()
}

/// `hops`: the farthest first; `None` where a proxy does not say.
fn nearest_stranger(peer: Client, hops: &[Option<IpAddr>], trusted: &Trusted) -> Client {
    let mut asks = peer;
    for hop in hops.iter().rev() {
        let (true, Some(hop)) = (trusted.includes(asks.0), hop) else { break };
        asks = Client::new(*hop);
    }
    asks
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn asks(peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted = Trusted::parse(&["10.0.0.1", "10.9.0.0/16", "fd00::/64"].map(str::to_owned)).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Client::behind(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let xff = "X-Forwarded-For";
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let table: &[Row<'_>] = &[
            ("10.0.0.2", &[(xff, "192.0.2.1")], "10.0.0.2"),
            ("10.0.0.2", &[("Forwarded", "for=192.0.2.1")], "10.0.0.2"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "192.0.2.1")], "192.0.2.1"),
            ("::ffff:10.0.0.1", &[(xff, "192.0.2.1")], "192.0.2.1"),
            ("fd00::7", &[(xff, "::ffff:192.0.2.1")], "192.0.2.1"),
            // What the client wrote itself comes first.
            ("10.0.0.1", &[(xff, "198.51.100.9, 192.0.2.1")], "192.0.2.1"),
            ("10.0.0.1", &[(xff, "198.51.100.9"), (xff, "192.0.2.1")], "192.0.2.1"),
            // A chain of proxies.
            ("10.0.0.1", &[(xff, "198.51.100.9, 192.0.2.1, 10.9.3.4")], "192.0.2.1"),
            ("10.0.0.1", &[(xff, "10.9.1.1, 10.9.3.4")], "10.9.1.1"),
            // With ports, as some proxies write it.
            ("10.0.0.1", &[(xff, "192.0.2.1:4711")], "192.0.2.1"),
            ("10.0.0.1", &[(xff, "[2001:db8::1]:4711")], "2001:db8::1"),
            ("10.0.0.1", &[(xff, "2001:db8::1")], "2001:db8::1"),
            // What is no address ends the way.
            ("10.0.0.1", &[(xff, "192.0.2.1, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "192.0.2.1, unknown, 10.9.0.1")], "10.9.0.1"),
            ("10.0.0.1", &[(xff, "")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, ",,,")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "\u{fc}")], "10.0.0.1"),
            // RFC 7239 section 4 and 6.
            (
                "10.0.0.1",
                &[("Forwarded", "for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\"")],
                "2001:db8:cafe::17",
            ),
            ("10.0.0.1", &[("Forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43")], "192.0.2.60"),
            ("10.0.0.1", &[("Forwarded", "proto=https;FOR = 192.0.2.60")], "192.0.2.60"),
            ("10.0.0.1", &[("Forwarded", "for=\"192.0.2.1:80\";host=\"a,for=9.9.9.9;\"")], "192.0.2.1"),
            ("10.0.0.1", &[("Forwarded", "for=192.0.2.1, for=_hidden, for=10.9.0.1")], "10.9.0.1"),
            ("10.0.0.1", &[("Forwarded", "for=\", for=192.0.2.9")], "192.0.2.9"),
            ("10.0.0.1", &[("Forwarded", "for=192.0.2.1, proto=https")], "10.0.0.1"),
            ("10.0.0.1", &[("Forwarded", "for=192.0.2.1"), ("Forwarded", "for=10.9.0.1")], "192.0.2.1"),
            ("10.0.0.1", &[("Forwarded", "for=\"192.0.2.1")], "10.0.0.1"),
            // Both: one is perhaps the client's own word.
            ("10.0.0.1", &[(xff, "192.0.2.1"), ("Forwarded", "for=192.0.2.1;proto=https")], "192.0.2.1"),
            ("10.0.0.1", &[(xff, "192.0.2.1"), ("Forwarded", "for=198.51.100.9")], "10.0.0.1"),
        ];
        for (peer, headers, wanted) in table {
            assert_eq!(asks(peer, headers), *wanted, "{peer} {headers:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let network = |text: &str| Client::new(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
