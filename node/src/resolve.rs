//! From a host's name to the address that is used: the same way under every parent, and for Janus and Redis as well.
//!
//! A name server gives addresses in any order, another one each time. So all of them are kept ([`resolve`], sorted), and
//! which one is used is a decision of its own ([`choose`], pure): the IP version that the media has, then the address that
//! was used before, then the lowest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

/// A name server that takes longer has not answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// A set of IP versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Nothing is known.
    pub const NONE: Families = Families { v4: false, v6: false };

    /// Whether the address is of one of them.
    pub fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Families::NONE
    }
}

impl FromIterator<IpAddr> for Families {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Families {
        addresses.into_iter().fold(Families::NONE, |families, address| Families {
            v4: families.v4 || address.is_ipv4(),
            v6: families.v6 || address.is_ipv6(),
        })
    }
}

/// The address, of those that a host has, to send to. `before`: the one sent to so far; `live`: what media there is;
/// `listened`: what the node itself has, which decides while there is no media (IPv4, if it has both, or if that is not
/// known). The answer changes only when it has to, and never with the order of the addresses.
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
    let lowest = |wanted: &dyn Fn(&IpAddr) -> bool| addresses.iter().copied().filter(wanted).min();
    lowest(&|address| address.is_ipv4() == v4).or(stays).or_else(|| lowest(&|_| true))
}

/// What hosts resolve to, or why they do not.
pub type Answers = BTreeMap<String, Result<Vec<IpAddr>, String>>;

/// All addresses of a host, of both IP versions and sorted: its own, or those that its name resolves to. Waits for a name
/// server no longer than 5 s. An error says what to do.
pub async fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        // ::ffff:10.0.0.7 is IPv4 in another spelling (RFC 4291 section 2.5.5.2), and never on a wire.
        return Ok(vec![address.to_canonical()]);
    }
    let fix = "check the name, /etc/hosts and DNS, or give the address";
    let answer = match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await {
        Ok(answer) => answer,
        Err(_) => return Err(format!("host '{host}': the name server does not answer; {fix}")),
    };
    let addresses: BTreeSet<IpAddr> = match answer {
        Ok(found) => found.map(|address| address.ip().to_canonical()).collect(),
        Err(error) => return Err(format!("host '{host}' cannot be resolved ({error}); {fix}")),
    };
    if addresses.is_empty() {
        return Err(format!("host '{host}' has no address; {fix}"));
    }
    Ok(addresses.into_iter().collect())
}

/// Resolves hosts, all at the same time.
pub async fn resolve_all(hosts: impl IntoIterator<Item = String>) -> Answers {
    let hosts: BTreeSet<String> = hosts.into_iter().collect();
    let each = hosts.into_iter().map(|host| async move {
        let answer = resolve(&host).await;
        (host, answer)
    });
    join_all(each).await.into_iter().collect()
}

/// The address of a server that is asked, and sent no media of the tree: Janus, Redis.
pub async fn server(host: &str, port: u16) -> Result<SocketAddr, String> {
    let addresses = resolve(host).await?;
    let address = choose(&addresses, None, Families::NONE, Families::NONE);
    address
        .map(|address| SocketAddr::new(address, port))
        .ok_or_else(|| format!("host '{host}' has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Families = Families::NONE;
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
    fn the_order_of_the_answers_does_not_matter() {
        let all = ["10.0.0.9", "fd00::9", "10.0.0.7", "fd00::7"].map(address);
        for live in [NONE, V4, V6, BOTH] {
            for before in [None, Some(all[0]), Some(all[1]), Some(address("10.0.0.1"))] {
                let mut turned = all;
                let chosen = choose(&turned, before, live, BOTH);
                for _ in 0..all.len() {
                    turned.rotate_left(1);
                    assert_eq!(choose(&turned, before, live, BOTH), chosen, "{turned:?} {before:?} {live:?}");
                }
                turned.reverse();
                assert_eq!(choose(&turned, before, live, BOTH), chosen, "{turned:?} {before:?} {live:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_address_is_its_own_answer_and_a_bad_name_says_what_to_do() {
        assert_eq!(resolve("fd00::7").await, Ok(vec![address("fd00::7")]));
        assert_eq!(server("10.0.0.7", 8188).await, Ok(([10, 0, 0, 7], 8188).into()));
        let error = resolve("no such host").await.unwrap_err();
        assert!(error.contains("'no such host'") && error.contains("/etc/hosts"), "{error}");
        let both = resolve_all(["10.0.0.7", "no such host"].map(str::to_owned)).await;
        assert_eq!(both.values().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    }
}
