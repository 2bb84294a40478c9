//! nftables in the netdev family: for each child its headers are written and the packet is duplicated to the interface,
//! the last one is forwarded. No statistics, no TTL check, and all children in a ruleset that is replaced as a whole.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use lab::relay::AUDIO;

use super::{Contestant, Running};
use crate::stage::{Stage, text};

/// `dup` and `fwd`.
pub struct Nftables;

impl Contestant for Nftables {
    fn name(&self) -> &'static str {
        "nftables dup and fwd, netdev family"
    }

    fn short(&self) -> &'static str {
        "nftables"
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let macs = stage.egress_macs()?;
        let rules = ruleset(
            macs,
            stage.topology.children[0].relay.v4,
            stage.topology.relay.v4,
            &stage.clients(children),
        );
        let file = stage.lab.directory().join("fanout.nft");
        fs::write(&file, rules).context("writing the ruleset")?;
        stage.lab.run("relay-1", &["nft", "-f", &file.to_string_lossy()])?;
        Ok(Box::new(Ruleset { stage }))
    }
}

struct Ruleset<'a> {
    stage: &'a Stage<'a>,
}

impl Running for Ruleset<'_> {
    fn stop(self: Box<Self>) -> Result<()> {
        self.stage.lab.run("relay-1", &["nft", "delete", "table", "netdev", "fanout"]).map(drop)
    }
}

/// All rules, to replace whatever there was: one transaction.
pub fn ruleset(macs: [[u8; 6]; 2], source: Ipv4Addr, relay: Ipv4Addr, clients: &[SocketAddr]) -> String {
    let [ours, theirs] = macs.map(text);
    let mut rules = String::from(
        "table netdev fanout\ndelete table netdev fanout\ntable netdev fanout {\n chain copies {\n",
    );
    let _ = writeln!(
        rules,
        "  ether saddr set {ours} ether daddr set {theirs} ip ttl set 63 ip saddr set {source} udp sport set {AUDIO}"
    );
    for (index, client) in clients.iter().enumerate() {
        let send = if index + 1 == clients.len() { "fwd" } else { "dup" };
        let _ = writeln!(
            rules,
            "  ip daddr set {} udp dport set {} {send} to \"eth1\"",
            client.ip(),
            client.port()
        );
    }
    let _ = write!(
        rules,
        " }}\n chain ingress {{\n  type filter hook ingress device \"eth0\" priority 0;\n  \
         ip daddr {relay} udp dport {AUDIO} goto copies\n }}\n}}\n",
    );
    rules
}
