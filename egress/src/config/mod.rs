//! What an egress is configured with: flags, environment and file, checked before anything is bound.

mod server;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use node::auth::AuthConfig;
use node::config::{
    ConfigError, Defaults, NodeConfig, Settings, base_path, count, ice_servers, rate, seconds,
};
use node::drain::DEFAULT_LIMIT;
use node::http::Rate;
use node::ice::IceServers;
use node::prefix::Prefix;
use node::repair;
use node::secret::Secret;
pub use server::{JanusAdmin, JanusConfig, ServerConfig};
pub use settings::EgressSettings;
use settings::*;

use crate::capacity::Most;

/// What is so unless told otherwise.
const DEFAULTS: Defaults = Defaults { node_id: "egress-1", api_port: 7073, drain_limit: DEFAULT_LIMIT };
/// Joins of one client a second unless told otherwise.
const JOINS: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// How long mountpoints are kept unless told otherwise.
const CUT_OFF_HELD: Duration = Duration::from_secs(10);
/// Where WHEP is served unless told otherwise.
const WHEP: &str = "/whep";
/// How paths begin that WHEP must leave alone, besides those of all nodes.
pub(crate) const OWN_PATHS: [&str; 8] = [
    "/events",
    "/events.js",
    "/broadcasts",
    "/mountpoint",
    "/mountpoints",
    "/portpool",
    "/viewers",
    "/watch",
];

/// The flags of an egress, as they were given.
pub type Flags = node::config::Flags<EgressSettings>;

/// Everything, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every node has.
    pub node: NodeConfig,
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// Address that media is taken on.
    pub listen: IpAddr,
    /// RTP ports: audio, video.
    pub media: [u16; 2],
    /// What serves viewers.
    pub server: ServerConfig,
    /// Path of WHEP, without a slash at its end.
    pub whep_path: String,
    /// What viewers must know.
    pub whep_token: Option<Secret>,
    /// Who may watch besides, and who is told.
    pub auth: AuthConfig,
    /// Where media is taken from, besides from the parent; empty: anywhere.
    pub sources: BTreeSet<Prefix>,
    /// How long a packet that is missing is asked for; zero: none is.
    pub repair_within: Duration,
    /// How long mountpoints are kept when no media can reach this node any more.
    pub cut_off_grace: Duration,
    /// How many may come in.
    pub most: Most,
    /// STUN and TURN servers that viewers are told of.
    pub ice: IceServers,
}

impl Config {
    /// All that was asked for, checked as a whole. `env` looks a variable up.
    pub fn load(flags: Flags, env: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        Config::new(flags.settings(&env)?)
    }

    /// Of settings that have been gathered.
    pub fn new(mut settings: Settings<'_>) -> Result<Config, ConfigError> {
        let mut node = NodeConfig::new(DEFAULTS, &mut settings)?;
        // Media is taken on IPv6 as well if that is where others are told to send it.
        let v6 = node.host.as_deref().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        let listen = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let server = ServerConfig::new(&mut node, listen, &mut settings)?;
        let whep_path = settings.get(&WHEP_BASE_PATH, |path| base_path(path, WHEP, &OWN_PATHS))?;
        let whep_token = settings.token(&WHEP_TOKEN_FILE)?.map(|found| found.value);
        let auth = AuthConfig::new(&mut node, &mut settings)?;
        let sources = settings.list(&SOURCES)?.map(|found| found.value).unwrap_or_default();
        let sources = node::sources::parse_all(&sources)?;
        let repair_within = settings.get(&REPAIR_WITHIN, repair::settings::within)?;
        let cut_off_grace = settings.get(&CUT_OFF_GRACE, seconds)?.unwrap_or(CUT_OFF_HELD);
        let ice = ice_servers(&mut settings)?;
        node.warnings.append(&mut settings.warnings);
        if node.tree.is_some() && node.host.is_none() {
            return bad(
                "NODE_HOST or --node-host is not set; it is the address that the tree sends media to",
            );
        }
        let most = most(&mut settings, &node, server.bears())?;
        Ok(Config {
            api: node.api,
            listen,
            media: node.ports,
            server,
            whep_path: whep_path.unwrap_or_else(|| WHEP.to_owned()),
            whep_token,
            auth,
            sources,
            repair_within: repair_within.unwrap_or(repair::WITHIN),
            cut_off_grace,
            most,
            ice,
            node,
        })
    }
}

/// How many may watch, join and listen. `viewers`: how many may watch unless told otherwise.
fn most(settings: &mut Settings<'_>, node: &NodeConfig, viewers: usize) -> Result<Most, ConfigError> {
    let find = |setting, default: usize| {
        Ok::<_, ConfigError>(settings.get(setting, count)?.map_or(default, |number| number.get()))
    };
    let per_second = settings.get(&MAX_CLIENT_JOINS, rate)?.unwrap_or(JOINS);
    Ok(Most {
        viewers: find(&MAX_VIEWERS, viewers)?,
        joining: find(&MAX_JOINING, 2_000)?,
        client_joining: find(&MAX_CLIENT_JOINING, 100)?,
        client_joins: Rate::per_second(per_second),
        events: find(&MAX_EVENTS, (node.http.most_connections() / 2).max(1))?,
        client_events: find(&MAX_CLIENT_EVENTS, 1_000)?,
    })
}

fn number(text: &str, what: &str) -> Result<u16, String> {
    let number = text.trim().parse().ok().filter(|number: &u16| *number != 0);
    number.ok_or_else(|| format!("must be {what}"))
}

fn bad<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}
