//! The parts of a studio: how each is started, and which address it has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use super::{
    API_SECRET, API_TOKEN, BROWSER, INJECTION, INJECTION_API, MACHINE, MediaOver, PLUGIN_SECRET, PROXY,
    PUBLISHER, RELAY, RELAY_API, SECOND_RELAY, SWITCH, VIEWERS, WHIP_TOKEN,
};
use crate::janus::{Janus, JanusConfig, Role};
use crate::netns::Lab;
use crate::node::{NodeConfig, NodeProcess};
use crate::relay::{Mode, RelayConfig};
use crate::topology::CONTROL;

pub(super) fn janus<'lab>(lab: &'lab Lab, ns: &str, role: Role) -> Result<Janus<'lab>> {
    let config = JanusConfig {
        ns: ns.to_owned(),
        address: address(ns)?,
        role,
        api_secret: API_SECRET.to_owned(),
        admin_key: PLUGIN_SECRET.to_owned(),
        mapped: None,
    };
    Janus::start(lab, config)
}

/// How a relay is started: reachable for all who look at nodes, and without a token, so that people try its commands.
pub(super) fn relay(
    ns: &str,
    mode: Mode,
    redis: &str,
    host: IpAddr,
    more: &[(String, String)],
) -> RelayConfig {
    let config = RelayConfig::new(ns, mode, Vec::new())
        .following(redis, ns, host)
        .with(&["--api", &format!("0.0.0.0:{RELAY_API}")]);
    let own =
        more.iter().filter_map(|(name, value)| Some((name.strip_prefix(ns)?.strip_prefix('/')?, value)));
    own.fold(config, |config, (name, value)| config.env(name, value))
}

pub(super) fn injection<'lab>(
    lab: &'lab Lab,
    janus: &Janus<'_>,
    redis: &str,
    over: MediaOver,
    more: &[(String, String)],
) -> Result<NodeProcess<'lab>> {
    let mut environment = common(INJECTION, redis, over)?;
    environment.extend(variables(&[
        ("JANUS_VIDEOROOM_WS_URL", &janus.url()),
        ("JANUS_VIDEOROOM_API_SECRET", API_SECRET),
        ("JANUS_VIDEOROOM_ROOM_SECRET", PLUGIN_SECRET),
        ("JANUS_VIDEOROOM_ADMIN_KEY", PLUGIN_SECRET),
        ("WHIP_TOKEN", WHIP_TOKEN),
    ]));
    environment.extend(of(INJECTION, more));
    let config = NodeConfig {
        program: "injection",
        ns: INJECTION.to_owned(),
        port: INJECTION_API,
        token: API_TOKEN.to_owned(),
        environment,
    };
    NodeProcess::start(lab, config)
}

/// What all nodes are told.
pub(super) fn common(ns: &str, redis: &str, over: MediaOver) -> Result<Vec<(String, String)>> {
    let host = over.address(ns)?.to_string();
    let proxy = address(PROXY)?.to_string();
    Ok(variables(&[
        ("NODE_ID", ns),
        ("NODE_HOST", &host),
        ("TREE_ID", "tree-1"),
        ("REDIS_URL", redis),
        ("TRUSTED_PROXIES", &proxy),
    ]))
}

/// Variables as they are at a node.
pub(super) fn of(ns: &str, more: &[(String, String)]) -> Vec<(String, String)> {
    let own = |(name, value): &(String, String)| {
        let (node, name) = name.split_once('/').unwrap_or((ns, name));
        (node == ns).then(|| (name.to_owned(), value.replace("{node}", ns)))
    };
    more.iter().filter_map(own).collect()
}

pub(super) fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Adds a namespace with an `eth0` at the switch.
pub(super) fn plug(lab: &Lab, ns: &str, over: MediaOver) -> Result<()> {
    lab.add_namespace(ns)?;
    lab.link(ns, "eth0", SWITCH, ns)?;
    lab.run(SWITCH, &["ip", "link", "set", ns, "master", "br0"])?;
    if over == MediaOver::V6 {
        lab.address(ns, "eth0", &format!("{}/64", over.address(ns)?))?;
    }
    lab.address(ns, "eth0", &format!("{}/24", address(ns)?))
}

impl MediaOver {
    /// Where media for a namespace goes.
    pub(super) fn address(self, ns: &str) -> Result<IpAddr> {
        let v4 = address(ns)?;
        Ok(match self {
            MediaOver::V4 => v4.into(),
            MediaOver::V6 => Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, v4.octets()[3].into()).into(),
        })
    }
}

/// Each namespace's address.
pub fn address(ns: &str) -> Result<Ipv4Addr> {
    let host = match ns {
        CONTROL => 2,
        INJECTION => 10,
        RELAY => 20,
        SECOND_RELAY => 21,
        PUBLISHER => 200,
        VIEWERS => 201,
        BROWSER => 202,
        PROXY => 203,
        MACHINE => 150,
        _ => {
            let number = |of: &str, most: u8| {
                let number = ns.strip_prefix(of).and_then(|number| number.parse::<u8>().ok());
                number.filter(|number| *number <= most)
            };
            let relay = number("relay-", 9).map(|number| 19 + number);
            let address = relay.or_else(|| number("egress-", 100).map(|number| 30 + number));
            address.with_context(|| format!("no address for {ns}"))?
        }
    };
    Ok(numbered(host))
}

pub(super) fn numbered(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 1, host)
}
