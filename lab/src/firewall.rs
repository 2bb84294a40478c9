//! Firewalls and address translation between namespaces, by nftables: what stands between players and servers.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::netns::Lab;

/// A namespace reaches nothing any more but these TCP ports, wherever they are, as behind a strict firewall. Nothing is told of
/// what is dropped.
pub fn let_out_only(lab: &Lab, ns: &str, tcp: &[u16]) -> Result<()> {
    let ports = list(tcp);
    apply(
        lab,
        ns,
        &format!(
            "table inet strict {{
    chain out {{
        type filter hook output priority 0; policy drop;
        oifname \"lo\" accept
        tcp dport {{ {ports} }} accept
    }}
    chain in {{
        type filter hook input priority 0; policy drop;
        iifname \"lo\" accept
        tcp sport {{ {ports} }} accept
    }}
}}
"
        ),
    )
}

/// A router that stands for a host: what comes to `public` goes to `private`, and what comes from there is from `public`, with the
/// same ports (1:1 NAT, as clouds have it). `outside`: the router's interface there, which gets the address.
pub fn translate_one_to_one(
    lab: &Lab,
    router: &str,
    outside: &str,
    public: Ipv4Addr,
    private: Ipv4Addr,
) -> Result<()> {
    lab.sysctl(router, "ipv4/ip_forward", "1")?;
    lab.address(router, outside, &format!("{public}/32"))?;
    apply(
        lab,
        router,
        &format!(
            "table ip translation {{
    chain in {{
        type nat hook prerouting priority -100;
        iifname \"{outside}\" ip daddr {public} dnat to {private}
    }}
    chain out {{
        type nat hook postrouting priority 100;
        oifname \"{outside}\" ip saddr {private} snat to {public}
    }}
}}
"
        ),
    )
}

/// Of the datagrams that come into a namespace from a UDP port, these of a thousand get lost, any of them: as on a bad wireless
/// network.
pub fn lose(lab: &Lab, ns: &str, from: u16, of_a_thousand: u16) -> Result<()> {
    apply(
        lab,
        ns,
        &format!(
            "table inet lossy {{
    chain in {{
        type filter hook input priority 0;
        udp sport {from} numgen random mod 1000 < {of_a_thousand} counter drop
    }}
}}
"
        ),
    )
}

/// How many have been lost by [`lose`].
pub fn lost(lab: &Lab, ns: &str) -> Result<u64> {
    let said = lab.run(ns, &["nft", "list", "table", "inet", "lossy"])?;
    let (_, counted) = said.split_once("counter packets ").context("no counter of what is lost")?;
    let number = counted.split(' ').next().unwrap_or_default();
    number.parse().with_context(|| format!("'{number}' packets lost"))
}

fn apply(lab: &Lab, ns: &str, rules: &str) -> Result<()> {
    let file = lab.directory().join(format!("nftables-{ns}"));
    fs::write(&file, rules).with_context(|| format!("writing {}", file.display()))?;
    lab.run(ns, &["nft", "-f", &file.to_string_lossy()]).map(drop)
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}
